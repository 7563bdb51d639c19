"""Octets that coverage leads to new branches of the stack: `python -m tests.fuzz.guided`.

atheris (libFuzzer) does it, each target in a process of its own. It begins with the messages of
the tests and keeps what it finds in `build/fuzz`.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

FOLDER: Final = Path("build/fuzz")
TARGETS: Final = ("parser", "endpoint")
LONGEST: Final = 4_096  # octets of an input
SLOWEST: Final = 10  # seconds for one input
_SCENE: Final = 2_000  # inputs to one scene
_TELL: Final = 1_000  # inputs between two notes of how it stands
_WORDS: Final = (
    "INVITE ACK BYE CANCEL OPTIONS REGISTER REFER SUBSCRIBE NOTIFY UPDATE INFO PRACK SIP/2.0 "
    "Via: From: To: Call-ID: CSeq: Contact: Route: Record-Route: Content-Type: Content-Length: "
    "Require: Supported: RAck: RSeq: Refer-To: Replaces: Event: Subscription-State: Reason: "
    "Authorization: WWW-Authenticate: Session-Expires: Min-SE: Warning: Digest <sip: <sips: <tel: "
    ";tag= ;branch=z9hG4bK ;lr ;rport ;maddr= multipart/mixed;boundary= v=0 m=audio a=sendonly"
).split()


def main() -> int:
    """Run each target; 0 when nothing was raised, hung or left behind."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided", description=__doc__)
    parser.add_argument("--seconds", type=int, default=300, help="for each target")
    parser.add_argument("--target", choices=TARGETS, action="append")
    parser.add_argument("--within", choices=TARGETS, help=argparse.SUPPRESS)
    options, rest = parser.parse_known_args()
    if options.within:
        _fuzz(options.within, rest)
    return max(_run(target, options.seconds) for target in options.target or TARGETS)


def _run(target: str, seconds: int) -> int:
    folder = FOLDER / target
    (folder / "corpus").mkdir(parents=True, exist_ok=True)
    log = folder / "log.txt"
    with log.open("w") as file:
        code = subprocess.run(
            [
                *[sys.executable, "-m", "tests.fuzz.guided", "--within", target, "--"],
                *[f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-timeout={SLOWEST}"],
                *[f"-dict={folder}/words.txt", f"-artifact_prefix={folder}/"],
                *["-rss_limit_mb=1024", str(folder / "corpus")],
            ],
            stdout=file,
            stderr=file,
        ).returncode
    note = json.loads((folder / "note.json").read_text())
    print(
        f"== {target} ==\n{note['inputs']:,} inputs in {seconds} s, "
        f"{len(list((folder / 'corpus').iterdir())):,} kept; crashes: {int(code != 0)}\n"
        f"resident memory: {note['before'] / 1e6:.1f} MB after warming up, "
        f"{note['after'] / 1e6:.1f} MB at the end"
    )
    if code:
        print(
            f"see {log}, and the input in {folder}", *log.read_text().splitlines()[-40:], sep="\n"
        )
    return min(code, 1)


def _fuzz(target: str, arguments: list[str]) -> None:
    """In a process of its own: what is imported first is not instrumented."""
    import atheris

    with atheris.instrument_imports(include=["sip"]):
        from tests.fuzz.run import resident
        from tests.fuzz.scene import Scene, read_all

    folder = FOLDER / target
    for number, message in enumerate(Scene().messages):
        (folder / "corpus" / f"seed-{number}").write_bytes(message[:LONGEST])
    words = "".join(f'"{word}"\n' for word in _WORDS)
    (folder / "words.txt").write_text(words)
    scene = Scene()
    note = {"inputs": 0, "before": 0, "after": 0}

    def receive(data: bytes) -> None:
        nonlocal scene
        scene.receive(data)
        scene.pass_time(0.05)
        if note["inputs"] % _SCENE == 0:
            left = scene.end()
            assert not left, f"left in tables: {left}"
            scene = Scene()

    takes: Callable[[bytes], None] = read_all if target == "parser" else receive

    def one(data: bytes) -> None:
        note["inputs"] += 1
        takes(data)
        if note["inputs"] % _TELL == 0:
            memory = resident()
            # The corpus has been read by then, and the first scenes are over.
            if note["inputs"] <= 10 * _TELL:
                note["before"] = memory
            note["after"] = memory
            (folder / "note.json").write_text(json.dumps(note))

    atheris.Setup([sys.argv[0], *arguments], one)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
