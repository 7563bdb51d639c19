"""The options of ``callsim load``, and what they mean."""

import argparse
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from scenarios.load.criteria import (
    Check,
    Most,
    duration,
    max_failed,
    max_growth,
    max_retransmissions,
    max_time,
    megabytes,
    milliseconds,
    min_rate,
    percentile_options,
)
from scenarios.load.profile import MOST, Profile
from scenarios.runner import Address, scenario_names

T = TypeVar("T")

WAITS_FOR_BYE: Final = "caller-waits-for-bye"
"""What calls by default where calls are ended over REST."""

MOST_GENERATORS: Final = 64
USUAL_RATE: Final = 10.0
USUAL_SECONDS: Final = 30.0
TRY_SECONDS: Final = 5.0

DESCRIPTION: Final = """\
Places calls with SIPp at a fixed, rising or stepped rate against a running server, or one
that it starts on loopback if none is named, and says what came of it on both sides: an HTML
report with plots, the same as PNG, JSON and JUnit XML, and a verdict who was saturated.
"""
EPILOG: Final = """\
examples:
  callsim load --rate 50 --for 60                    a server of its own, 50 calls/s for a minute
  callsim load 10.0.0.5 --ramp 10:500 --for 2m       where does it break?
  callsim load 10.0.0.5 --step 100:1000:100 --every 10
  callsim load 10.0.0.5 --rate 100 --soak 8h --max-growth 50MB
  callsim load --find-max --generators 2
  callsim load --rate 20 --callee --number 3001      SIPp answers as well
  callsim load 10.0.0.5 --rate 50 --max-failed 0.1% --p99-answer 50ms --max-retransmissions 0

response times: ringing (INVITE to first 18x, the post-dial delay), answer (INVITE to 200),
refer (REFER to the last NOTIFY), terminate (REST terminate to BYE, with --terminate).
Each as --p50-NAME, --p95-NAME and --p99-NAME.

exit code: 0 the run was made and the criteria are met; 1 a criterion is not; 2 it could not
run; 3 it broke off, as SIPp or the server ended; 130 it was interrupted. A report is written
in all cases but 2.
"""


def _checked(read: Callable[[str], T]) -> Callable[[str], T]:
    """`read` as argparse wants it: what is wrong is said with the option's name."""

    def value(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return value


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number of calls a second") from None
    if not 0 < rate <= MOST:
        raise ValueError(f"{text!r} must be more than 0 and at most {MOST:g} calls/s")
    return rate


def _rates(count: int, example: str) -> Callable[[str], tuple[float, ...]]:
    def read(text: str) -> tuple[float, ...]:
        parts = text.split(":")
        if len(parts) != count:
            raise ValueError(f"{text!r} is not such as {example}")
        return tuple(_rate(part) for part in parts)

    return read


def _generators(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_GENERATORS:
        raise ValueError(f"{text!r} must be a number from 1 to {MOST_GENERATORS}")
    return int(text)


def _seconds(text: str) -> float:
    return 0.0 if text.strip() == "0" else duration(text)


def address(text: str) -> Address:
    """``HOST``, ``HOST:PORT``, with ``sip:`` or without; the host resolved. Raises ValueError."""
    host, _, port = text.removeprefix("sip:").partition(":")
    if not host or (port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536)):
        raise ValueError(f"{text!r} is not such as 10.0.0.5 or 10.0.0.5:5060")
    try:
        found = socket.getaddrinfo(host, int(port or 5060), socket.AF_INET, socket.SOCK_DGRAM)
    except OSError as error:
        raise ValueError(f"{host!r} has no IPv4 address: {error.strerror}") from None
    place: Any = found[0][4]
    return str(place[0]), int(place[1])


def _number(text: str) -> str:
    if not text or any(one.isspace() or one in '<>"@;:' or ord(one) < 33 for one in text):
        raise ValueError(f"{text!r} is no number to dial")
    return text


def _url(text: str) -> str:
    text = text if "://" in text else f"http://{text}"
    if urlsplit(text).scheme not in ("http", "https") or not urlsplit(text).hostname:
        raise ValueError(f"{text!r} is not such as http://127.0.0.1:8080")
    return text.rstrip("/")


def _scenario(text: str) -> str:
    known = ["uac", *callers()]
    if text not in known:
        raise ValueError(f"there is no scenario {text!r}; --list names them; your own: --xml FILE")
    return text


def callers() -> list[str]:
    """The scenarios that call."""
    return [name for name in scenario_names() if name.startswith("caller-")]


def callees() -> list[str]:
    """The scenarios that are called."""
    return [name for name in scenario_names() if name.startswith("callee-")]


def _file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise ValueError(f"there is no file {text!r}")
    return path.absolute()


def _callee(text: str) -> str | Path:
    if text in ("uas", *callees()):
        return text
    if Path(text).is_file():
        return Path(text).absolute()
    raise ValueError(f"{text!r} is neither a callee of --list nor a file")


def add_options(parser: argparse.ArgumentParser) -> None:
    """All of them."""
    parser.add_argument(
        "server",
        nargs="?",
        type=_checked(address),
        metavar="HOST[:PORT]",
        help="the server's SIP address, UDP (default: one is started on loopback)",
    )
    profile = parser.add_argument_group("how many calls")
    kinds = profile.add_mutually_exclusive_group()
    kinds.add_argument(
        "--ramp",
        type=_checked(_rates(2, "100:2000")),
        metavar="FROM:TO",
        help="from one rate to another, over the time of --for",
    )
    kinds.add_argument(
        "--step",
        type=_checked(_rates(3, "100:1000:100")),
        metavar="FROM:TO:BY",
        help="rates so far apart, each for --every",
    )
    kinds.add_argument("--soak", type=_checked(duration), metavar="TIME", help="--rate for so long")
    kinds.add_argument(
        "--find-max",
        action="store_true",
        help="search the highest clean rate, beginning at --rate; each try "
        f"takes --for ({TRY_SECONDS:g} s)",
    )
    profile.add_argument(
        "--rate", type=_checked(_rate), metavar="N", help=f"calls a second ({USUAL_RATE:g})"
    )
    profile.add_argument(
        "--for",
        dest="seconds",
        type=_checked(duration),
        metavar="TIME",
        help=f"90, 90s, 30m, 8h ({USUAL_SECONDS:g} s)",
    )
    profile.add_argument(
        "--every", type=_checked(duration), metavar="TIME", help="of each step (10 s)"
    )
    calls = parser.add_argument_group("which calls")
    which = calls.add_mutually_exclusive_group()
    which.add_argument(
        "--scenario",
        type=_checked(_scenario),
        metavar="NAME",
        help="one that comes with Callsim, or uac, SIPp's own (uac; with --terminate "
        f"{WAITS_FOR_BYE})",
    )
    which.add_argument(
        "--xml",
        type=_checked(_file),
        metavar="FILE",
        help="your own SIPp scenario (it may run commands)",
    )
    calls.add_argument("--list", action="store_true", help="list the scenarios, and end")
    numbers = calls.add_mutually_exclusive_group()
    numbers.add_argument(
        "--number",
        type=_checked(_number),
        default="5000",
        metavar="NUMBER",
        help="the number called (5000)",
    )
    numbers.add_argument(
        "--numbers",
        type=_checked(_file),
        metavar="FILE",
        help="numbers called in turn: one a line, or an injection file of SIPp's",
    )
    calls.add_argument(
        "--hold",
        type=_checked(_seconds),
        default=0.0,
        metavar="TIME",
        help="how long a call stays up, or another pause of the scenario (0)",
    )
    calls.add_argument(
        "--callee",
        nargs="?",
        const="uas",
        type=_checked(_callee),
        metavar="NAME|FILE",
        help="a SIPp that answers (uas, or a scenario), with a route of the server's "
        "to it for the time of the run",
    )
    calls.add_argument(
        "--terminate",
        type=_checked(_seconds),
        metavar="TIME",
        help="end each call of the server over REST when it is so old, and time that",
    )
    calls.add_argument(
        "--generators",
        type=_checked(_generators),
        default=1,
        metavar="N",
        help="SIPps that share the calls (1)",
    )
    rest = parser.add_argument_group("the server's own figures, over REST")
    rest.add_argument(
        "--url",
        type=_checked(_url),
        metavar="URL",
        help="of its REST interface (http://127.0.0.1:8080 for a server on loopback)",
    )
    rest.add_argument("--user", metavar="NAME:PASSWORD", help="who asks")
    rest.add_argument(
        "--data-dir",
        default="callsim-data",
        metavar="DIR",
        help="where the server keeps its password, without --user (%(default)s)",
    )
    rest.add_argument("--insecure", action="store_true", help="trust any certificate")
    rest.add_argument(
        "--pid", type=int, help="of its process, where it is on this machine (found by its port)"
    )
    rest.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of the server that is started (repeatable)",
    )
    _add_criteria(parser)
    parser.add_argument(
        "--report",
        type=Path,
        default=Path("callsim-load"),
        metavar="DIR",
        help="where report.html, .png, .json and junit.xml go (%(default)s)",
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep SIPp's own files there as well, in sipp/"
    )


def _add_criteria(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("criteria: exit code 1 when one is not met")
    most = _checked(Most.parse)
    group.add_argument("--max-failed", type=most, metavar="N|N%", help="calls without a good end")
    group.add_argument(
        "--max-retransmissions",
        type=most,
        metavar="N|N%",
        help="messages sent again, by anybody; %% of the calls",
    )
    group.add_argument(
        "--min-rate",
        type=_checked(_rate),
        metavar="N",
        help="calls completed a second; of --find-max the rate found",
    )
    group.add_argument(
        "--max-growth",
        type=_checked(megabytes),
        metavar="MB",
        help="of the server's memory, first tenth of the run to last",
    )
    for name in percentile_options():
        shown = "a percentile of a response time, such as 50ms (and so on, see below)"
        group.add_argument(
            f"--{name}",
            type=_checked(milliseconds),
            metavar="TIME",
            help=shown if name == "p99-answer" else argparse.SUPPRESS,
        )


def profile_of(options: argparse.Namespace) -> Profile:
    """The profile that the options name. Raises ValueError, which names the option."""
    rate = options.rate or USUAL_RATE
    if options.every is not None and options.step is None:
        raise ValueError("--every: is the length of a step; add --step FROM:TO:BY")
    if options.step is not None:
        first, last, by = options.step
        if options.seconds is not None:
            raise ValueError("--for: a step lasts --every; leave --for out")
        if options.rate is not None:
            raise ValueError("--rate: --step has its own rates; leave --rate out")
        return Profile.steps(first, last, by, options.every or 10.0)
    if options.ramp is not None:
        if options.rate is not None:
            raise ValueError("--rate: --ramp has its own rates; leave --rate out")
        first, last = options.ramp
        return Profile.ramp(first, last, options.seconds or USUAL_SECONDS)
    if options.soak is not None:
        if options.seconds is not None:
            raise ValueError("--for: --soak says how long; leave --for out")
        return Profile.fixed(rate, options.soak, "soak")
    if options.find_max:
        return Profile.fixed(rate, options.seconds or TRY_SECONDS)
    return Profile.fixed(rate, options.seconds or USUAL_SECONDS)


def criteria_of(options: argparse.Namespace) -> list[Check]:
    """The criteria, in the order of the help."""
    found: list[Check] = []
    if options.max_failed is not None:
        found.append(max_failed(options.max_failed))
    if options.max_retransmissions is not None:
        found.append(max_retransmissions(options.max_retransmissions))
    if options.min_rate is not None and not options.find_max:
        found.append(min_rate(options.min_rate))
    if options.max_growth is not None:
        found.append(max_growth(options.max_growth))
    for name, (timer, percent) in percentile_options().items():
        most = getattr(options, name.replace("-", "_"))
        if most is not None:
            found.append(max_time(timer, percent, most))
    return found
