"""Imports go one way: sip <- sip.aio <- simulator <- api; tests and benchmarks may use all."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path, PurePath

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("sip", "simulator", "api", "scenarios", "tests", "benchmarks")
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "sip": (),
    "simulator": ("sip",),
    "api": ("simulator",),
    "scenarios": ("simulator", "sip"),
    "tests": ROOMS,
    "benchmarks": ROOMS,
}
FILES = sorted(path.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).rglob("*.py"))

# The core has no sockets, clock, threads or randomness of its own: all come in as arguments.
NOT_SANS_IO = set(
    "asyncio concurrent multiprocessing os random secrets select selectors signal socket ssl "
    "subprocess threading time uuid".split()
)

# Where the simulator touches the network; every other module of it is pure.
SHELL = ("simulator/service", "simulator/lab")

# The composition root is the one module of the simulator that knows the API, and the load runs.
COMPOSITION_ROOT = "simulator/__main__"


def imported(tree: ast.AST, package: str) -> Iterator[str]:
    """Every name that could be a module: `from a import b` gives both `a` and `a.b`."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(level=level):
                parents = package.split(".")
                base = parents[: len(parents) - level + 1] if level else []
                origin = ".".join([*base, *filter(None, [node.module])])
                yield origin
                yield from (f"{origin}.{alias.name}" for alias in node.names)
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module")
                | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name
            case _:
                pass


def within(name: str, *parents: str, separator: str = ".") -> bool:
    """Whether a module or path is one of `parents` or lies in one."""
    return any(name == parent or name.startswith(parent + separator) for parent in parents)


def allowed(module: str, name: str) -> bool:
    """Whether the module at the path `module` (no suffix) may import `name`."""
    room, top = module.partition("/")[0], name.partition(".")[0]
    core = room == "sip" and not within(module, "sip/aio", separator="/")
    if top == "pjsua2":  # a peer to test against, under another licence
        return room == "tests"
    if top == "sippy":  # a peer to measure: run, never imported
        return False
    if top == "matplotlib":  # for plots
        return room == "benchmarks" or module == "scenarios/load/plots"
    if top == "rich":
        return module == "scenarios/load/progress"
    if top == "dns":  # dnspython, for the shell alone
        return within(module, "sip/aio", "tests", separator="/")
    if top not in ROOMS:
        standard = top in sys.stdlib_module_names
        return (standard or room != "sip") and not (core and top in NOT_SANS_IO)
    if within(name, "sip.aio") and room == "simulator":
        return within(module, *SHELL, separator="/")
    if within(name, "sip.aio") and core:
        return False
    return (
        top == room
        or top in MAY_IMPORT[room]
        or (module == COMPOSITION_ROOT and (top == "api" or within(name, "scenarios.load")))
    )


def violations(path: PurePath, source: str) -> list[str]:
    """The imports in `source` that the file at `path` may not have."""
    package = ".".join(path.parent.parts)
    module = path.with_suffix("").as_posix()
    names = dict.fromkeys(imported(ast.parse(source), package))
    return [name for name in names if not allowed(module, name)]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_go_one_way(path: Path) -> None:
    assert violations(path, (ROOT / path).read_text()) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("sip/locate.py", "import dns.resolver"),
        ("sip/uri.py", "import asyncio"),
        ("sip/uri.py", "import os.path"),
        ("sip/uri.py", "from time import monotonic"),
        ("sip/uri.py", "import yaml"),
        ("sip/uri.py", "from simulator import call"),
        ("sip/uri.py", "from . import aio"),
        ("sip/usage/invite.py", "from ..aio import driver"),
        ("sip/usage/invite.py", "def late():\n    import random"),
        ("sip/uri.py", "importlib.import_module('sip.aio.udp')"),
        ("sip/aio/udp.py", "import simulator"),
        ("sip/aio/udp.py", "import aiohttp"),
        ("simulator/call.py", "from sip.aio.driver import Driver"),
        ("simulator/call.py", "from sip import aio"),
        ("simulator/server.py", "import api.app"),
        ("simulator/demo.py", "from api import app"),
        ("simulator/call.py", "import scenarios"),
        ("api/app.py", "import sip"),
        ("api/handlers/calls.py", "from sip.uri import SipUri"),
        ("api/app.py", "import scenarios.runner"),
        ("scenarios/runner.py", "import api"),
        ("scenarios/plugin.py", "from tests.support import network"),
        ("simulator/load.py", "import benchmarks"),
        ("simulator/lab/agent.py", "import pjsua2"),
        ("benchmarks/peers.py", "import pjsua2"),
        ("benchmarks/peers.py", "from sippy.UA import UA"),
        ("simulator/load.py", "import matplotlib"),
        ("scenarios/runner.py", "import rich"),
        ("simulator/__main__.py", "from scenarios.server import ServerProcess"),
        ("simulator/demo.py", "from scenarios.load import command"),
    ],
)
def test_a_forbidden_import_is_seen(path: str, source: str) -> None:
    assert violations(PurePath(path), source)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("sip/uri.py", "import re, sip.errors\nfrom .errors import ParseError"),
        ("sip/usage/__init__.py", "from . import invite\nfrom ..dialog import Dialog"),
        ("sip/aio/udp.py", "import asyncio, socket\nfrom sip.endpoint import Endpoint"),
        ("simulator/call.py", "import yaml\nfrom sip.uri import SipUri"),
        ("simulator/service.py", "from sip.aio.driver import Driver"),
        ("simulator/lab/agent.py", "from sip.aio.driver import Driver"),
        ("simulator/__main__.py", "from api.app import create_app"),
        ("simulator/__main__.py", "from scenarios.load.command import load"),
        ("scenarios/load/plots.py", "import matplotlib"),
        ("api/app.py", "from aiohttp import web\nfrom simulator.server import CallServer"),
        ("scenarios/runner.py", "import simulator, sip"),
        ("tests/interop/test_pjsua.py", "import pjsua2, sip, api, benchmarks"),
    ],
)
def test_an_allowed_import_is_let_through(path: str, source: str) -> None:
    assert violations(PurePath(path), source) == []
