"""The console makes nothing of text but text, and takes nothing from elsewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONSOLE = ROOT / "api" / "console"
FILES = sorted(path for path in CONSOLE.rglob("*") if path.suffix in (".js", ".css", ".html"))
MAX_LINES = 450

# What makes markup or code of text, and what the policy of the page refuses.
FORBIDDEN = re.compile(
    r"\b(innerHTML|outerHTML|insertAdjacentHTML|setHTMLUnsafe|parseHTMLUnsafe|createContextualFragment"
    r"|DOMParser|srcdoc|eval|Function\(|document\.write(ln)?|javascript:)"
    r"|set(Timeout|Interval)\(\s*[\"'`]"
    r"|https?://(?!www\.w3\.org/2000/svg)"
    r"|[{,]\s*style:|<[^>]+\s(style|on\w+)="
)


def ids(path: Path) -> str:
    return path.relative_to(CONSOLE).as_posix()


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_text_is_never_markup(path: Path) -> None:
    assert [found[0] for found in FORBIDDEN.finditer(path.read_text())] == []


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_a_file_is_read_at_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize(
    "source",
    [
        "node.innerHTML = name",
        'node.insertAdjacentHTML("beforeend", name)',
        "eval(name)",
        "new Function(name)",
        'setTimeout("go()", 1)',
        'import x from "https://cdn.example/x.js"',
        'h("p", { style: "color: red" })',
        '<p onclick="go()">',
    ],
)
def test_it_is_seen(source: str) -> None:
    assert FORBIDDEN.search(source)


def test_every_view_is_registered() -> None:
    registry = (CONSOLE / "registry.js").read_text()
    loaded = re.findall(r'import\("\./views/(\w+)\.js"\)', registry)
    modules = [path for path in (CONSOLE / "views").glob("*.js")]
    shown = [path.stem for path in modules if "export const title" in path.read_text()]
    assert sorted(loaded) == sorted(shown)
