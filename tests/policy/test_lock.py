"""The lock files fit pyproject.toml: everything pinned within its range, with its hashes.

`make lock` writes them; pip takes them by --require-hashes.
"""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
# Each lock file, and the extras that it adds to what the product itself takes.
LOCKS = {
    "requirements.txt": (),
    "requirements-image.txt": ("fast", "otel", "postgres"),
    "requirements-dev.txt": ("compile", "load", "otel", "postgres", "test", "dev"),
    "requirements-compiled.txt": ("compile", "fast", "test"),
}
# What one target each adds to the rest, in its range.
NOT_LOCKED = {"fuzz", "interop"}

_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")

Pins = dict[str, Requirement]


def pins(text: str) -> Pins:
    """The pinned requirement of each package; raises AssertionError at a line pip would refuse."""
    found: Pins = {}
    for line in re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", "").splitlines():
        stated, *hashes = re.split(r"\s+(?=--)", line.strip())
        requirement = Requirement(stated)
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), f"{stated}: not pinned"
        assert hashes, f"{stated}: no hashes"
        assert all(map(_HASH.fullmatch, hashes)), f"{stated}: {hashes}"
        found[canonicalize_name(requirement.name)] = requirement
    return found


def misfits(wanted: list[str], locked: Pins) -> list[str]:
    """Those of the wanted requirements that are not pinned, or not within their range."""
    found = []
    for requirement in map(Requirement, wanted):
        pin = locked.get(canonicalize_name(requirement.name))
        if pin is None:
            found.append(f"{requirement}: not in the lock file; `make lock`")
        elif not requirement.specifier.contains(str(pin.specifier)[2:], prereleases=True):
            found.append(f"{requirement}: the lock file has {pin.specifier}; `make lock`")
    return found


def text_of(lock: str) -> str:
    return (ROOT / lock).read_text()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_dependency_is_pinned_in_its_range(lock: str) -> None:
    wanted = list(_PROJECT["dependencies"])
    for extra in LOCKS[lock]:
        wanted += _PROJECT["optional-dependencies"][extra]
    others = [one for one in wanted if not one.startswith("callsim[")]
    assert misfits(others, pins(text_of(lock))) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_what_a_pinned_package_takes_is_pinned(lock: str) -> None:
    """As far as it is installed here in the pinned version."""
    locked = pins(text_of(lock))
    looked_at = 0
    for name, pin in locked.items():
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            continue
        if not pin.specifier.contains(installed.version, prereleases=True):
            continue
        looked_at += 1
        requires = map(Requirement, installed.requires or [])
        taken = [str(one) for one in requires if not one.marker or one.marker.evaluate()]
        assert misfits(taken, locked) == [], name
    assert looked_at > len(locked) / 2, "is .venv up to date? `make lint`"


def test_the_lock_files_agree() -> None:
    product = pins(text_of("requirements.txt"))
    for lock in LOCKS:
        locked = pins(text_of(lock))
        assert {name: locked.get(name) for name in product} == product, f"{lock}: `make lock`"


def test_every_extra_is_locked_or_not_on_purpose() -> None:
    locked = {extra for extras in LOCKS.values() for extra in extras}
    assert locked | NOT_LOCKED == set(_PROJECT["optional-dependencies"])


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_file_says_where_packages_come_from(lock: str) -> None:
    assert re.findall(r"://|--index|--extra-index|--find-links|--trusted", text_of(lock)) == []


HASH = f"--hash=sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a==1\n", "no hashes"),
        (f"a>=1 \\\n    {HASH}\n", "not pinned"),
        (f"a==1.* \\\n    {HASH}\n", "not pinned"),
        ("a==1 \\\n    --hash=md5:0\n", "md5"),
    ],
)
def test_a_line_that_pins_nothing_is_seen(text: str, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        pins(text)


def test_a_misfit_is_seen() -> None:
    locked = pins(f"a==1.0 ; python_version < '4' \\\n    {HASH} \\\n    {HASH}\n    # via b\n")
    assert misfits(["A>=1", "a[x]<2"], locked) == []
    assert misfits(["a>=2", "c"], locked) == [
        "a>=2: the lock file has ==1.0; `make lock`",
        "c: not in the lock file; `make lock`",
    ]
