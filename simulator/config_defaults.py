"""The plan of a server started without a configuration file, and the writer of files.

The numbers are those of the table in the README.
"""

import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from simulator.config_source import Tree

# Labels that the lab agents and the lab VXML gateway serve, besides the VRU label:
# ringtone and error service numbers [CG-CS] are the gateway's.
LAB_AGENT_LABELS: Final = ("1XXX", "8XX", "93XX", "94XX", "95XX", "96XX")
LAB_SERVICE_LABELS: Final = ("9191>", "9292>")


def _number(pattern: str, description: str, application: str, **treatment: Tree) -> Tree:
    return {
        "pattern": pattern,
        "description": description,
        "application": application,
        **treatment,
    }


BUILTIN: Final[dict[str, Tree]] = {
    "sip": {"error_refer": "false"},
    "dialed_numbers": [
        _number(
            "5>",
            "answered by the call server itself",
            "standalone",
            script="standalone",
            call_type="post_route",
        ),
        _number("6>", "straight to an agent, who answers after 1 s", "agent", label="1001"),
        _number("7>", "self-service, queue, agent", "support", script="support"),
        *(
            _number(f"9{digit}XX", "refused with that SIP code", "refusal", label="{dnis}")
            for digit in "3456"
        ),
        _number(
            "8XX",
            "rings so many seconds, then an agent answers",
            "agent",
            label="{dnis}",
            ring_no_answer="120",
        ),
        _number(">", "self-service until somebody hangs up", "welcome", script="self_service"),
    ],
    "icm": {
        "wait": "0",
        "scripts": {
            "standalone": [{"answer": {}}],
            "support": [
                {"self_service": {"application": "support", "seconds": "2"}},
                {"queue": {"skill_group": "support"}},
            ],
            "self_service": [{"self_service": {"application": "welcome"}}],
        },
        "skill_groups": {"support": {"wait": "3", "agents": ["1001", "1002", "1003"]}},
        "agents": {
            "1001": {"agent_id": "1001", "name": "Ada"},
            "1002": {"agent_id": "1002", "name": "Grace"},
            "1003": {"agent_id": "1003", "name": "Hedy"},
        },
    },
    "lab": {"embedded": "true"},
}

_HEADER: Final = """\
# Configuration of Callsim. Every key may be left out: what stands here holds then, or what
# its comment says by "Unset". Also: --set key.path=value, CALLSIM_SECTION__KEY=value.
"""
_PLAIN: Final = re.compile(r"(?![-.~]*$)[A-Za-z./][A-Za-z0-9_./-]*", re.ASCII)
_RESERVED: Final = frozenset("null true false yes no on off y n".split())


def write_yaml(config: BaseModel, *, comments: bool) -> str:
    """`config` as a file that loads back equal to it, a comment above each key if wanted."""
    lines = [_HEADER] if comments else []
    for name, info in type(config).model_fields.items():
        lines += [*_entry(name, info, getattr(config, name), comments), ""]
    return "\n".join(lines).rstrip() + "\n"


def _entry(name: str, info: FieldInfo, value: Any, comments: bool) -> Iterator[str]:
    if comments:
        for text in _comment(info, value):
            yield from textwrap.wrap(text, 92, initial_indent="# ", subsequent_indent="# ")
    if isinstance(value, BaseModel):
        yield f"{name}:"
        for key, inner in type(value).model_fields.items():
            for line in _entry(key, inner, getattr(value, key), comments):
                yield f"  {line}"
    elif isinstance(value, Mapping) and value:
        yield f"{name}:"
        for key, item in value.items():
            yield f"  {_scalar(str(key))}: {_flow(item)}"
    elif isinstance(value, tuple) and value:
        yield f"{name}:"
        yield from (f"  - {_flow(item)}" for item in value)
    else:
        yield f"{name}: {_flow(value)}"


def _comment(info: FieldInfo, value: Any) -> Iterator[str]:
    if info.description:
        yield info.description
    elif isinstance(value, BaseModel):
        yield (type(value).__doc__ or "").partition("\n")[0]
    if isinstance(value, BaseModel):
        return
    for kind in get_args(info.annotation):  # of a list or mapping of sections
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys = (i.alias or name for name, i in kind.model_fields.items())
            yield f"Keys: {', '.join(keys)}."
    default = info.get_default(call_default_factory=True)
    if value != default:
        yield f"Unset: {_flow(default) if default not in ((), {}) else 'none'}."


def _flow(value: Any) -> str:
    """A value on one line; keys at their default are left out of a mapping."""
    if isinstance(value, BaseModel):
        given = {
            info.alias or name: getattr(value, name)
            for name, info in type(value).model_fields.items()
            if getattr(value, name) != info.get_default(call_default_factory=True)
        }
        return _flow(given)
    if isinstance(value, Mapping):
        inner = (f"{_scalar(str(key))}: {_flow(item)}" for key, item in value.items())
        return "{" + ", ".join(inner) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return f"{value!r}".removesuffix(".0") if isinstance(value, float) else _scalar(str(value))


def _scalar(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _RESERVED:
        return text
    quoted: str = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=2**31)
    return quoted.strip()
