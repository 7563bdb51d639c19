"""Where configuration values come from, and how a fault in one is told.

The file, the environment and the command line are laid over each other as one tree of
mappings, lists and text. Plain scalars of YAML stay text, so that ``label: 0017`` is not
octal and ``name: off`` is not a truth value; the models turn them into what they want.
"""

import difflib
import errno
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeAlias

import yaml

from simulator.errors import ServiceError

KeyPath: TypeAlias = tuple[str | int, ...]
Tree: TypeAlias = "dict[str, Tree] | list[Tree] | str | None"

# The options of `callsim serve` that have a name of their own, also as CALLSIM_<NAME>.
OPTION_KEYS: Final[Mapping[str, str]] = {
    "sip": "sip.listen",
    "api": "api.listen",
    "user": "api.users",
    "data_dir": "server.data_dir",
    "grace": "server.grace",
    "route": "direct_routes",
}
_REPEATABLE: Final = ("sip", "api", "user", "route")
_ENV: Final = "CALLSIM_"
_MAX_NODES: Final = 500_000
_MAX_DEPTH: Final = 24


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault: `source` is a file, or the options or variables; `line` counts from 1.

    `key` is the path such as ``sip.listen.0``. A `warning` does not keep a server from
    starting.
    """

    source: str
    line: int | None
    key: str
    message: str
    warning: bool = False

    def __str__(self) -> str:
        where = f"{self.source}:{self.line}" if self.line is not None else self.source
        return ": ".join(
            filter(None, [where, "warning" if self.warning else "", self.key, self.message])
        )


class ConfigError(ServiceError, ValueError):
    """The configuration cannot be used; `problems` says all that is wrong, in order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a value was written; `laid` are the options and variables that changed parts of it."""

    source: str
    line: int | None = None
    laid: str = ""


def dotted(path: KeyPath) -> str:
    """``("sip", "listen", 0)`` as ``sip.listen.0``."""
    return ".".join(map(str, path))


def near(word: str, known: Iterable[str]) -> str | None:
    """Which of the `known` names a mistyped `word` probably is, if any."""
    names = {name.lower(): name for name in sorted(known, reverse=True)}
    close = difflib.get_close_matches(word.lower(), names, 1, 0.6)
    return names[close[0]] if close else None


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for an unknown key or choice: the nearest one, or all of them if they are few."""
    names = sorted(known)
    meant = near(word, names)
    if meant is not None:
        return f"did you mean {meant!r}?"
    return f"known here: {_some(names)}" if names else "nothing can stand here; remove it"


def undeclared(name: str, place: str, known: Iterable[str]) -> str:
    """What is wrong with a `name` that the key `place` does not declare."""
    names = sorted(known)
    meant = near(name, names)
    if meant is not None:
        hint = f"did you mean {meant!r}?"
    else:
        hint = f"declare it under {place}" + (f", or take one of {_some(names)}" if names else "")
    return f"{name!r} is not in {place}; {hint}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")


@dataclass(slots=True)
class Source:
    """The merged tree, where each part was written, and the faults met on the way.

    `marks` are the lines of the file, `laid` the options and variables that laid a value over
    what was there, by its path.
    """

    tree: Tree = field(default_factory=dict)
    marks: dict[KeyPath, Mark] = field(default_factory=dict)
    laid: dict[KeyPath, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    name: str = "defaults"

    def mark(self, path: KeyPath) -> Mark:
        """Where the value at `path`, or the nearest thing around it, was written."""
        for end in range(len(path), -1, -1):
            around = path[:end]
            origins = {o: None for p, o in self.laid.items() if p[:end] == around}
            laid = ", ".join(origins)
            if around in self.marks:
                return replace(self.marks[around], laid=laid)
            if laid:
                return Mark(laid)
        return Mark(self.name)

    def problem(self, path: KeyPath, message: str, *, warning: bool = False) -> None:
        """Note a fault of the value at `path`."""
        path = self._as_written(path)
        mark = self.mark(path)
        if mark.laid:
            message = f"{message} (with {mark.laid})"
        self.problems.append(Problem(mark.source, mark.line, dotted(path), message, warning))

    def _as_written(self, path: KeyPath) -> KeyPath:
        """`path` with the key of each item where a mapping was written for a list."""
        node: Tree = self.tree
        found: list[str | int] = []
        for step in path:
            if isinstance(node, dict) and isinstance(step, int) and 0 <= step < len(node):
                step = list(node)[step]
            found.append(step)
            if isinstance(node, dict):
                node = node.get(str(step))
            elif isinstance(node, list) and isinstance(step, int) and 0 <= step < len(node):
                node = node[step]
            else:
                node = None
        return tuple(found)

    def set(self, key: str, value: Tree, source: str) -> None:
        """Lay `value` over whatever is at the dotted `key`."""
        parts = key.split(".")
        if not all(parts):
            self.problems.append(Problem(source, None, key, "is not a key path such as sip.t1"))
            return
        if not isinstance(self.tree, dict):
            self.tree = {}
        node: Tree = self.tree
        path: KeyPath = ()
        for part, following in zip(parts, [*parts[1:], None], strict=True):
            step = _step(node, part)
            if step is None:
                message = f"{part!r} does not fit: {_describe(node)} stands at '{dotted(path)}'"
                self.problems.append(Problem(source, None, key, message))
                return
            path = (*path, step)
            node = _descend(node, step, value if following is None else None, following)
        for known in [p for p in (*self.marks, *self.laid) if p[: len(path)] == path]:
            self.marks.pop(known, None)
            self.laid.pop(known, None)
        self.laid[path] = source


def _step(node: Tree, part: str) -> str | int | None:
    """`part` as a key or an index into `node`, or None if it is neither."""
    if isinstance(node, dict):
        return part
    if isinstance(node, list) and re.fullmatch(r"[0-9]{1,6}", part, re.ASCII):
        return int(part) if int(part) <= len(node) else None
    return None


def _descend(node: Tree, step: str | int, value: Tree, following: str | None) -> Tree:
    """Put `value` at `step` (the last one), or step into what is there, made if missing."""
    present: Tree = None
    if isinstance(node, dict):
        present = node.get(str(step))
    elif isinstance(node, list) and isinstance(step, int) and step < len(node):
        present = node[step]
    if following is None:
        present = value
    elif present is None:
        present = {}
    if isinstance(node, dict):
        node[str(step)] = present
    elif isinstance(node, list) and isinstance(step, int):
        node[step : step + 1] = [present]
    return present


def _describe(node: Tree) -> str:
    if isinstance(node, list):
        return f"a list of {len(node)}"
    return "a mapping" if isinstance(node, dict) else f"the value {node!r}"


# -- the file ------------------------------------------------------------------------------


def read_file(path: Path) -> Source:
    """The tree of a YAML file; what cannot be read at all is a `problem` of the result."""
    name = str(path)
    source = Source(name=name)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        source.problems.append(Problem(name, line, "", "is not UTF-8 text; save it as UTF-8"))
        return source
    except OSError as error:
        source.problems.append(Problem(name, None, "", _cannot_read(error)))
        return source
    read_yaml(text, source)
    return source


def _cannot_read(error: OSError) -> str:
    match error.errno:
        case errno.ENOENT:
            return "there is no such file; `callsim check --defaults` prints one to start from"
        case errno.EISDIR:
            return "is a directory; name the YAML file in it"
        case _:
            return f"cannot be read: {os.strerror(error.errno or 0)}"


def read_yaml(text: str, source: Source) -> None:
    """Parse `text` into `source`, with the line of every key and item."""
    loader = yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader
    try:
        node = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        what = " ".join(filter(None, [error.context, error.problem]))
        source.problems.append(Problem(source.name, line, "", f"is not YAML: {what}"))
    except yaml.YAMLError as error:
        source.problems.append(Problem(source.name, None, "", f"is not YAML: {error}"))
    else:
        source.marks[()] = Mark(source.name)
        builder = _Builder(source)
        tree = builder.build(node, (), 0) if node is not None else {}
        source.tree = {} if tree is None else tree


class _Builder:
    """Turns YAML nodes into a tree, remembering lines."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.nodes = 0

    def build(self, node: yaml.Node, path: KeyPath, depth: int) -> Tree:
        self.nodes += 1
        if depth > _MAX_DEPTH or self.nodes > _MAX_NODES:
            if self.nodes < 2 * _MAX_NODES:  # say it once
                self.nodes = 2 * _MAX_NODES
                self.source.problem(path, "is too deep or too large; is an alias in itself?")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return self._sequence(node, path, depth)
        plain = not getattr(node, "style", None)
        empty = plain and node.value in ("", "~", "null", "Null", "NULL")
        return None if empty else str(node.value)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath, depth: int) -> Tree:
        tree: dict[str, Tree] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self.source.problems.append(
                    Problem(self.source.name, line, dotted(path), "a key must be plain text")
                )
                continue
            below = (*path, str(key.value))
            if key.value in tree:
                before = self.source.mark(below).line
                self.source.problems.append(
                    Problem(
                        self.source.name,
                        line,
                        dotted(below),
                        f"stands here again, after line {before}; keep one",
                    )
                )
                continue
            self.source.marks[below] = Mark(self.source.name, line)
            tree[str(key.value)] = self.build(value, below, depth + 1)
        return tree

    def _sequence(self, node: yaml.SequenceNode, path: KeyPath, depth: int) -> Tree:
        items: list[Tree] = []
        for index, item in enumerate(node.value):
            below = (*path, index)
            self.source.marks[below] = Mark(self.source.name, item.start_mark.line + 1)
            items.append(self.build(item, below, depth + 1))
        return items


# -- environment and command line ----------------------------------------------------------


def scalar_or_flow(text: str) -> Tree:
    """A value of ``--set`` or the environment: text, or YAML if it starts with ``[`` or ``{``.

    ``null`` and ``~`` are no value. ValueError when the YAML is broken.
    """
    bare = text.strip()
    if bare in ("null", "~"):
        return None
    if bare[:1] not in ("[", "{"):
        return text
    inner = Source(name="value")
    read_yaml(bare, inner)
    if inner.problems:
        raise ValueError(inner.problems[0].message)
    return inner.tree


def apply_environment(source: Source, env: Mapping[str, str]) -> None:
    """Lay the ``CALLSIM_...`` variables over `source`.

    ``CALLSIM_SIP``, ``_API`` and ``_ROUTE`` take several values with blanks between,
    ``CALLSIM_USER`` and ``CALLSIM_SET`` one per line; ``CALLSIM_DATA_DIR`` and
    ``CALLSIM_GRACE`` take one. ``CALLSIM_SIP__T1`` is the key ``sip.t1``. Other names are
    left alone unless they look like a slip.
    """
    for name in sorted(n for n in env if n.startswith(_ENV)):
        short, value = name[len(_ENV) :].lower(), env[name]
        if short in OPTION_KEYS:
            parts: list[Tree] = [*(value.splitlines() if short == "user" else value.split())]
            whole: Tree = parts if short in _REPEATABLE else value
            if parts:
                source.set(OPTION_KEYS[short], whole, name)
        elif "__" in short:
            _set_text(source, short.replace("__", "."), value, name)
        elif short not in ("config", "set"):
            near = difflib.get_close_matches(short, [*OPTION_KEYS, "config", "set"], 1, 0.75)
            if near:
                message = f"is not a variable of Callsim; did you mean {_ENV}{near[0].upper()}?"
                source.problems.append(Problem(name, None, "", message))
    for line in filter(str.strip, env.get(f"{_ENV}SET", "").splitlines()):
        apply_setting(source, line.strip(), f"{_ENV}SET")


def apply_setting(source: Source, text: str, origin: str = "--set") -> None:
    """Lay one ``key.path=value`` over `source`."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        message = f"{text!r} is not key.path=value, such as sip.t1=0.1"
        source.problems.append(Problem(origin, None, "", message))
        return
    _set_text(source, key.strip(), value, origin)


def _set_text(source: Source, key: str, value: str, origin: str) -> None:
    try:
        source.set(key, scalar_or_flow(value), origin)
    except ValueError as error:
        source.problems.append(Problem(origin, None, key, str(error)))


def apply_option(source: Source, key: str, value: object) -> None:
    """Lay the value of an option with a name of its own over the dotted `key`."""
    option = next((name for name, path in OPTION_KEYS.items() if path == key), None)
    origin = f"--{option.replace('_', '-')}" if option else f"--set {key}"
    source.set(key, _plain(value), origin)


def _plain(value: object) -> Tree:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if value is None else str(value)
