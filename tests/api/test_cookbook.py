"""api/README.md: every example, run in its order against a live server, prints what it says."""

import ast
import asyncio
import inspect
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from scenarios.plugin import ServerFactory
from scenarios.server import PASSWORD, USER, ServerProcess
from tests.api.support import run

README = Path(__file__).parents[2] / "api" / "README.md"
ERRORS = "errors.txt"
END = "--- the end of an example ---"
PATIENCE = 60.0
CODE = ("sh", "python")


class Example(NamedTuple):
    """A block of code, and what it is to print; `...` stands for anything."""

    task: str
    language: str
    code: str
    output: str


def blocks(text: str) -> Iterator[tuple[str, str, str]]:
    """Each fenced block with the heading that it stands under, and its language."""
    task, language = "", ""
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("```"):
            if language:
                yield task, language, "\n".join(lines)
                language = ""
            else:
                language, lines = line[3:], []
        elif language:
            lines.append(line)
        elif line.startswith("#"):
            task = line.lstrip("# ")


def examples(text: str) -> list[Example]:
    """The blocks of code, each with the block of output below it."""
    found: list[Example] = []
    for task, language, content in blocks(text):
        if language in CODE:
            found.append(Example(task, language, content, ""))
        else:
            found[-1] = found[-1]._replace(output=content)
    return found


SERVE, *EXAMPLES = examples(README.read_text())
TASKS = list(dict.fromkeys(example.task for example in EXAMPLES))


def prints(expected: str, output: str) -> bool:
    """Whether an output is the expected one."""
    pattern = ".*".join(map(re.escape, expected.strip().split("...")))
    shown = "\n".join(line.strip() for line in output.strip().splitlines())
    return re.fullmatch(pattern, shown, re.DOTALL) is not None


class Shell:
    """One bash for all examples, so that variables and functions stay."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, directory: Path) -> "Shell":
        tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        with (directory / ERRORS).open("w") as errors:
            process = await asyncio.create_subprocess_exec(
                "bash",
                cwd=directory,
                env={**os.environ, "PATH": tools},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
            )
        return cls(process)

    async def run(self, code: str) -> str:
        """What a block of code prints."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{code}\necho; echo '{END}'\n".encode())
        output = await asyncio.wait_for(self._process.stdout.readuntil(END.encode()), PATIENCE)
        return output.decode().removesuffix(END)

    async def close(self) -> None:
        """End it, and what it started."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"kill $(jobs -p)\n")
        self._process.stdin.close()
        await self._process.wait()


class Python:
    """What `python -m asyncio` does with a block of code."""

    def __init__(self) -> None:
        self._names: dict[str, Any] = {}

    async def run(self, code: str) -> str:
        """What a block of code prints."""
        compiled = compile(code, str(README), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        with redirect_stdout(StringIO()) as output:
            result = eval(compiled, self._names)
            if inspect.isawaitable(result):
                await asyncio.wait_for(result, PATIENCE)
        return output.getvalue()

    async def close(self) -> None:
        """Close the client, which an example that failed has left open."""
        if "server" in self._names:
            await self._names["server"].close()


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return str(taken.getsockname()[1])


@run
async def run_all(server: ServerProcess, directory: Path) -> None:
    """Run the examples against `server`, in a folder of their own."""
    here = {
        "http://127.0.0.1:8080": server.api.removesuffix("/cvp/rest"),
        "me:secret": f"{USER}:{PASSWORD}",
        '"me", "secret"': f'"{USER}", "{PASSWORD}"',
        "9000": free_port(),
        "9001": free_port(),
    }
    shell, python = await Shell.start(directory), Python()
    try:
        for example in EXAMPLES:
            code = example.code
            for there, ours in here.items():
                code = code.replace(there, ours)
            output = await (shell if example.language == "sh" else python).run(code)
            errors = (directory / ERRORS).read_text()
            assert prints(example.output, output), f"{example.task}:\n{code}\n\n{output}\n{errors}"
    finally:
        await shell.close()
        await python.close()


def test_every_example_does_what_it_says(callsim_server: ServerFactory, tmp_path: Path) -> None:
    assert SERVE.code.startswith("callsim serve --user me:secret ")
    settings = dict(re.findall(r"--set (\S+)=(\S+)", SERVE.code))
    run_all(callsim_server(settings=settings, lab=True), tmp_path)


@pytest.mark.parametrize("task", TASKS)
def test_each_task_is_shown_in_both_forms(task: str) -> None:
    assert {one.language for one in EXAMPLES if one.task == task} == set(CODE)


def test_another_output_is_seen() -> None:
    assert prints('{"a":...}\nb', '{"a":1}\r\nb\n')
    assert not prints('{"a":...}\nb', '{"a":1}\nc\n')
    assert not prints("", "curl: (22) The requested URL returned error: 404")
