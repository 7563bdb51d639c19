"""``callsim load``: puts a run together, makes it, and writes what came of it."""

import argparse
import json
import shutil
import signal
import subprocess  # nosec B404 # SIPp tells its own scenario
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Final

from scenarios.load.callers import PATIENCE, Callee, local_address
from scenarios.load.find_max import Search
from scenarios.load.options import WAITS_FOR_BYE, callees, callers, criteria_of, profile_of
from scenarios.load.plots import can_draw, png
from scenarios.load.profile import MOST, Profile
from scenarios.load.progress import progress
from scenarios.load.report import WHO, html, junit
from scenarios.load.result import Checked, Result
from scenarios.load.run import Plan, Progress, Run
from scenarios.load.target import CalleeRoute, Rest, RestFailed, Target, basic, deserted
from scenarios.load.timers import with_byes, with_numbers, with_timers
from scenarios.runner import LOOPBACK, SCENARIOS, SippError, sipp_program
from scenarios.server import ServerError

GOOD: Final = 0
NOT_MET: Final = 1
NOT_RUN: Final = 2
BROKE_OFF: Final = 3
INTERRUPTED: Final = 130

_PASSWORD: Final = "password"  # nosec B105 # the name of a file
_URL: Final = "http://127.0.0.1:8080"
_SPARE: Final = 120.0
_SEARCHED: Final = 4 * 3600.0
_NO_PLOTS: Final = (
    "callsim load: the report has no plots, as matplotlib is not there: "
    "pip install 'callsim[load]' (in the source tree: make load)"
)


class WrongOption(Exception):
    """The run cannot be made; the text names the option and what would do."""


def load(options: argparse.Namespace) -> int:
    """The whole command; the exit code as its help says."""
    if options.list:
        _list()
        return GOOD
    try:
        sipp_program()
        if not can_draw():
            print(_NO_PLOTS, file=sys.stderr)
        with ExitStack() as stack:
            return _run(options, stack)
    except (WrongOption, SippError, ServerError) as error:
        print(f"callsim load: {error}", file=sys.stderr)
    except OSError as error:
        print(f"callsim load: {error.filename or ''} {error.strerror}", file=sys.stderr)
    return NOT_RUN


def _list() -> None:
    print("callers (--scenario):\n  uac", *callers(), sep="\n  ")
    print("callees (--callee):\n  uas", *callees(), sep="\n  ")
    print(
        "What each of them does: scenarios/README.md. Most show one thing and expect it to be so."
    )


def _run(options: argparse.Namespace, stack: ExitStack) -> int:
    try:
        profile, checks = profile_of(options), criteria_of(options)
    except ValueError as error:
        raise WrongOption(str(error)) from None
    options.report.mkdir(parents=True, exist_ok=True)
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="callsim-load-")))
    if options.keep:
        stack.callback(_keep, directory, options.report / "sipp")
    stack.callback(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, _interrupt))
    told = progress()
    if options.scenario is None:
        options.scenario = "uac" if options.terminate is None else WAITS_FOR_BYE
    plan = Plan(
        profile,
        _scenario(options, directory),
        options.generators,
        options.hold,
        options.number,
        _numbers(options, directory),
        options.terminate,
    )
    callee = _callee(options, plan, directory, stack)
    target = _target(options, callee, directory, stack)
    if target.why:
        told.note(f"the server's own figures are missing: {target.why}")
    if options.terminate is not None and target.rest is None:
        raise WrongOption(f"--terminate: takes the server's REST interface: {target.why}")
    if callee is not None:
        _lead(options, target, callee, told, stack)
    if target.own is None and deserted(target.sip):
        place = "{}:{}".format(*target.sip)
        raise WrongOption(f"nothing listens at {place} by UDP; `callsim serve`, or leave it out")
    settings = _settings(options, profile, target)
    if options.find_max:
        result = _search(options, plan, target, callee, directory, told, settings)
    else:
        run = Run(plan, target, callee, directory / "run", told)
        run.go()
        result = run.result(settings)
    if target.why:
        result.notes.append(f"The server's own figures are missing: {target.why}")
    result.checks += [check(result) for check in checks]
    _write(options.report, result)
    _tell(result, options.report)
    return _code(result)


def _keep(directory: Path, place: Path) -> None:
    """SIPp's files, and the scenario as it was run."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(directory, place, ignore=shutil.ignore_patterns("server"))


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _scenario(options: argparse.Namespace, directory: Path) -> Path:
    if options.xml is not None:
        name, text = options.xml.stem, options.xml.read_text("utf-8", "replace")
    elif options.scenario == "uac":
        name = "uac"
        told = subprocess.run(  # nosec B603
            [sipp_program(), "-sd", "uac"], capture_output=True, text=True, check=False
        )
        text = told.stdout[told.stdout.find("<?xml") :]
    else:
        name = options.scenario
        text = _shipped(name).read_text("utf-8")
    if "<scenario" not in text:
        raise WrongOption(f"--xml: {options.xml} is no SIPp scenario: it has no <scenario>")
    if options.numbers is not None:
        text = with_numbers(text)
    if options.terminate is not None:
        text = with_byes(text)
    path = directory / "scenario.xml"
    path.write_text(with_timers(text), "utf-8")
    return path


def _shipped(name: str) -> Path:
    return SCENARIOS / f"{name}.xml"


def _numbers(options: argparse.Namespace, directory: Path) -> Path | None:
    """The injection file: the user's, or made of plain lines."""
    if options.numbers is None:
        return None
    lines = options.numbers.read_text("utf-8", "replace").splitlines()
    lines = [line.strip() for line in lines if line.strip()]
    if not lines:
        raise WrongOption(f"--numbers: {options.numbers} is empty; write one number a line")
    if lines[0].partition(",")[0] not in ("SEQUENTIAL", "RANDOM", "USER"):
        for number, line in enumerate(lines, 1):
            if any(one.isspace() or one in '<>"@:' for one in line.partition(";")[0]):
                raise WrongOption(f"--numbers: line {number} is no number to dial: {line[:40]!r}")
        lines = ["SEQUENTIAL", *lines]
    path = directory / "numbers.csv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def _callee(
    options: argparse.Namespace, plan: Plan, directory: Path, stack: ExitStack
) -> Callee | None:
    if options.callee is None:
        return None
    local = LOOPBACK if options.server is None else local_address(options.server)
    seconds = _SEARCHED if options.find_max else plan.profile.seconds
    scenario: str | Path = "uas"
    if options.callee != scenario:
        file = options.callee if isinstance(options.callee, Path) else _shipped(options.callee)
        scenario = directory / "callee.xml"
        scenario.write_text(with_timers(file.read_text("utf-8", "replace")), "utf-8")
    seconds += plan.lasting + PATIENCE + _SPARE
    callee = Callee(scenario, directory / "callee", seconds, local)
    stack.callback(callee.stop)
    return callee


def _target(
    options: argparse.Namespace, callee: Callee | None, directory: Path, stack: ExitStack
) -> Target:
    if options.server is None:
        settings = dict(pair.partition("=")[::2] for pair in options.set)
        number = options.number if options.numbers is None else ">"
        routes = {number: callee.uri} if callee is not None else {}
        target = Target.started(directory / "server", routes, settings)
        stack.callback(target.stop)
        return target
    if options.pid is not None and not Path(f"/proc/{options.pid}").exists():
        raise WrongOption(f"--pid: there is no process {options.pid}")
    if options.set:
        raise WrongOption("--set: the server runs already; give its settings to callsim serve")
    local = options.server[0].startswith("127.")
    url = options.url or (_URL if local else None)
    if url is None:
        why = "give --url and --user to have them"
        return Target(options.server, pid=options.pid, why=why)
    try:
        rest = Rest(url, basic(_user(options)), insecure=options.insecure)
    except WrongOption as error:
        if options.url is not None:
            raise
        target = Target.running(options.server, None, options.pid)
        target.why = str(error)
        return target
    target = Target.running(options.server, rest, options.pid)
    if target.why and options.url is not None:
        raise WrongOption(f"--url: {target.why}")
    return target


def _user(options: argparse.Namespace) -> str:
    """Who asks: as the option says, or whom the server made on its first start."""
    if options.user is not None:
        if ":" not in options.user:
            raise WrongOption("--user: must be NAME:PASSWORD")
        return str(options.user)
    path = Path(options.data_dir) / _PASSWORD
    try:
        return path.read_text("utf-8").strip()
    except OSError as error:
        raise WrongOption(f"--user: {path}: {error.strerror}; give NAME:PASSWORD") from None


def _lead(
    options: argparse.Namespace, target: Target, callee: Callee, told: Progress, stack: ExitStack
) -> None:
    """Have the server send the calls to the callee, or say what it takes."""
    if target.own is not None:
        return
    wanted = (
        f"callsim serve --route '{options.number if not options.numbers else '>'}={callee.uri}'"
    )
    if target.rest is None or options.numbers is not None:
        told.note(f"the callee is at {callee.uri}: {wanted}")
        return
    try:
        route = CalleeRoute(target.rest, options.number, callee.address)
    except RestFailed as error:
        raise WrongOption(f"--callee: the route cannot be set: {error}; start {wanted}") from None
    stack.callback(_take_back, route, told)


def _take_back(route: CalleeRoute, told: Progress) -> None:
    for text in route.remove():
        told.note(text)


def _settings(options: argparse.Namespace, profile: Profile, target: Target) -> dict[str, str]:
    named = "a server started for this run, " if target.own is not None else ""
    load = (
        f"the highest clean rate, {profile.seconds:g} s a try" if options.find_max else str(profile)
    )
    found = {
        "load": load,
        "scenario": str(options.xml or options.scenario),
        "server": f"{named}{target.sip[0]}:{target.sip[1]}",
        "called": str(options.numbers or options.number),
        "held": f"{options.hold:g} s",
        "ended over REST": "no" if options.terminate is None else f"after {options.terminate:g} s",
        "generators": str(options.generators),
        "callee": str(options.callee or "none"),
    }
    if options.set:
        found["settings"] = ", ".join(options.set)
    return found


def _search(
    options: argparse.Namespace,
    plan: Plan,
    target: Target,
    callee: Callee | None,
    directory: Path,
    told: Progress,
    settings: Mapping[str, str],
) -> Result:
    count = 0

    def attempt(rate: float) -> Result:
        nonlocal count
        count += 1
        profile = Profile.fixed(rate, plan.profile.seconds)
        run = Run(replace(plan, profile=profile), target, callee, directory / f"try-{count}", told)
        run.go()
        return run.result(settings)

    found = Search(attempt, plan.profile.first, MOST)
    result = found.best()
    result.tries = found.tries
    result.broken = result.broken or found.broken
    rate, above = found.found.good, found.limited_by
    who = WHO.get(above, "it was clean at the highest rate tried").lower()
    result.notes.insert(0, f"The highest clean rate is {rate:g} calls/s; above it: {who}.")
    if above in ("generator", "machine", "limit"):
        result.notes.append("The server may be able to do more: the rate is a lower bound.")
    if options.min_rate is not None:
        wanted = f"at least {options.min_rate:g} calls/s"
        good = rate >= options.min_rate
        result.checks.append(Checked("min-rate", wanted, f"{rate:g} calls/s", good))
    return result


def _write(directory: Path, result: Result) -> None:
    title = f"callsim load: {result.settings['scenario']}, {result.settings['load']}"
    (directory / "report.json").write_text(json.dumps(result.as_json(), indent=1) + "\n", "utf-8")
    (directory / "junit.xml").write_text(junit(result), "utf-8")
    (directory / "report.html").write_text(html(result), "utf-8")
    if can_draw():
        png(result, directory / "report.png", title)


def _tell(result: Result, directory: Path) -> None:
    totals = result.totals
    print(
        f"{totals.offered:,} calls offered, {totals.completed:,} completed "
        f"({totals.rate:,.1f}/s), {totals.failed + totals.unfinished:,} failed; "
        f"{totals.sent_again:,} messages sent again"
    )
    for name, times in result.times.items():
        if times:
            told = ", ".join(f"p{one} {times.percentile(one):g}" for one in (50, 95, 99))
            print(f"{name}: {told} ms")
    for cause, count in result.causes.items():
        print(f"  {count:,} {cause}")
    print(f"{WHO[result.verdict.saturated]}: {'; '.join(result.verdict.reasons)}")
    for note in result.notes:
        print(note)
    for check in result.checks:
        print(
            f"{'met    ' if check.good else 'NOT MET'} {check.name}: {check.wanted}; {check.came}"
        )
    if result.broken:
        print(f"The run broke off: {result.broken}")
    others = ".png, .json, junit.xml" if can_draw() else ".json, junit.xml"
    print(f"Report: {directory / 'report.html'} (and {others})")


def _code(result: Result) -> int:
    if result.broken:
        return INTERRUPTED if result.broken == "interrupted" else BROKE_OFF
    return GOOD if result.good else NOT_MET
