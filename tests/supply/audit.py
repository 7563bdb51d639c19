"""What is known against the pinned packages.

pip-audit asks a vulnerability service over the network. Whatever keeps it from an answer, that
is said: NOT DONE.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
LOCKS: Final = [ROOT / f"requirements{kind}.txt" for kind in ("", "-image", "-dev")]
_SERVICE_TIMEOUT: Final = 5  # seconds for one answer
_SHOWN: Final = 200  # characters of an error


@dataclass
class Audit:
    """What came of it: packages by ``name version``, findings a line each."""

    known: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)  # to the service, so nobody looked
    findings: list[str] = field(default_factory=list)
    no_answer: str = ""  # why there is none

    def __str__(self) -> str:
        if self.no_answer or not self.known:
            why = self.no_answer or "the service knows none of the packages"
            return f"pip-audit: NOT DONE, nobody has looked at the packages: {why}"
        lines = [f"pip-audit: {len(self.known)} packages, {len(self.findings)} vulnerabilities"]
        if self.unknown:
            lines.append(f"NOT audited, unknown to the service: {', '.join(self.unknown)}")
        return "\n".join([*lines, *self.findings])


def audit(locks: Sequence[Path], options: Sequence[str] = ()) -> Audit:
    """Ask about all packages of these lock files; `options` are pip-audit's own."""
    done = subprocess.run(
        [
            *[sys.executable, "-m", "pip_audit", "--format=json", "--progress-spinner=off"],
            *["--vulnerability-service=osv", f"--timeout={_SERVICE_TIMEOUT}"],
            *["--disable-pip", "--require-hashes", *options],
            *(part for lock in locks for part in ("--requirement", str(lock))),
        ],
        capture_output=True,
        text=True,
    )
    try:
        dependencies = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        said = done.stderr.strip() or f"it ended with code {done.returncode}"
        return Audit(no_answer=said.splitlines()[-1][:_SHOWN])
    found = Audit()
    for dependency in dependencies:
        _take(found, dependency)
    return found


def _take(found: Audit, dependency: dict[str, Any]) -> None:
    if "skip_reason" in dependency:
        found.unknown.append(dependency["name"])
        return
    name = f"{dependency['name']} {dependency['version']}"
    found.known.append(name)
    for one in dependency["vulns"]:
        fixed = f"mended in {', '.join(one['fix_versions'])}" if one["fix_versions"] else "no mend"
        found.findings.append(f"{name}: {one['id']}, {fixed}; `make lock ARGS=--upgrade`")
