"""The `callsim` command: reads its options, puts the parts together, runs them."""

import argparse
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from simulator.errors import CallServerError, ServiceError
from simulator.views import CallState, TerminateReason

# All else is imported by the command that takes it: a shell does not wait for a call server.
if TYPE_CHECKING:
    from simulator.config import Config, Override
    from simulator.server import CallServer

_EPILOG: Final = """\
examples:
  callsim demo                          see a whole call, steered over REST
  callsim serve                         SIP on port 5060, REST on 8000 (HTTPS) and 8080
  callsim serve --route '3>=sip:10.0.0.7:5060'
                                        calls to numbers that begin with 3 go to that callee
  callsim check --defaults > plan.yaml  a configuration to start from
  callsim lookup 7001                   where would a call to 7001 go?
  callsim calls --state queued          who waits in a running server?
  callsim load --ramp 10:500            how many calls a second? a report says
  callsim transfer GUID 1002            send a call elsewhere, and say what came of it
  callsim trace GUID --follow           its SIP messages as they come and go
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code (0 good, 1 failed, 2 wrong options)."""
    options = _parser().parse_args(arguments)
    import asyncio
    import logging

    from simulator.log_lines import ConsoleFormatter
    from simulator.log_thread import LogThread

    handler = LogThread(sys.stderr)
    handler.setFormatter(ConsoleFormatter())
    logging.basicConfig(level=options.log_level.upper(), handlers=[handler])
    try:
        return int(options.run(options))
    except (ServiceError, CallServerError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except asyncio.CancelledError:  # SIGTERM
        return 143
    except BrokenPipeError:
        return 141


class _Command(argparse.ArgumentParser):
    """The parser of one command: options that it does not know show its own usage.

    `fill` adds its options once they are asked for.
    """

    fill: Callable[["_Command"], None] | None = None

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        _add_log_level(self, argparse.SUPPRESS)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        fill, self.fill = self.fill, None
        if fill is not None:
            fill(self)
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from simulator.version import callsim_version

        print(f"callsim {callsim_version()}")
        parser.exit()


def _add_log_level(parser: argparse.ArgumentParser, default: str) -> None:
    """Before the command or after it."""
    parser.add_argument(
        "--log-level",
        default=default,
        choices=("debug", "info", "warning", "error"),
        help="what goes to standard error (default: warning)",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="callsim",
        description="A call server that behaves like a Cisco Unified CVP Call Server, on real SIP.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version, and end")
    _add_log_level(parser, os.environ.get("CALLSIM_LOG_LEVEL", "warning"))
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=_Command
    )

    serve = commands.add_parser(
        "serve", help="run the call server until SIGTERM; SIGHUP reads the configuration again"
    )
    _add_server_options(serve)
    serve.set_defaults(run=_serve)

    demo = commands.add_parser(
        "demo",
        help="a whole call before your eyes, steered over REST",
        description="Starts a server and its neighbours on loopback, places a call, drives it "
        "through self-service, queue and agent, transfers and ends it over REST, and prints "
        "the SIP ladder as it happens and the CDR. Then stays up for your own calls.",
    )
    _add_server_options(demo, "loopback, 5060 and 8080, or any free port")
    demo.add_argument(
        "--scenario",
        metavar="NAME",
        help="a call that a common misconfiguration spoils; 'list' names them",
    )
    demo.add_argument(
        "--mended",
        action="store_true",
        help="with --scenario: the same call, the fault mended",
    )
    demo.add_argument("--exit", action="store_true", help="end after the call: 0 if all went right")
    demo.set_defaults(run=_demo)

    lookup = commands.add_parser(
        "lookup", help="the routing decision for a number, as the API gives it"
    )
    lookup.add_argument("number", metavar="NUMBER", help="the dialed number")
    lookup.add_argument("--calling", default="", metavar="NUMBER", help="the calling number")
    lookup.add_argument("--explain", action="store_true", help="list every pattern that matches")
    _add_config_options(lookup)
    lookup.set_defaults(run=_lookup)

    check = commands.add_parser(
        "check",
        help="validate a configuration file",
        description="Names every fault by line, key and fix. Exit code 0: usable, 1: not.",
    )
    check.add_argument("file", nargs="?", metavar="FILE", help="the configuration (YAML)")
    check.add_argument(
        "--defaults", action="store_true", help="print the built-in plan as a file to start from"
    )
    check.set_defaults(run=_check)

    password = commands.add_parser(
        "password",
        help="the hash of a password, for api.users",
        description="Asks for a password, or reads a line of standard input, and prints its hash.",
    )
    password.set_defaults(run=_password)
    _add_steering(commands)
    load = commands.add_parser(
        "load", help="a load run with SIPp: both sides' figures, a report, a verdict"
    )
    load.fill = _fill_load
    return parser


def _fill_load(load: _Command) -> None:
    from scenarios.load.options import DESCRIPTION, EPILOG, add_options

    load.description, load.epilog = DESCRIPTION, EPILOG
    load.formatter_class = argparse.RawDescriptionHelpFormatter
    add_options(load)
    load.set_defaults(run=_load)


def _load(options: argparse.Namespace) -> int:
    from scenarios.load.command import load

    return load(options)


def _add_steering(commands: "argparse._SubParsersAction[_Command]") -> None:
    """The commands that ask a running server over REST."""
    calls = commands.add_parser("calls", help="the calls of a running server")
    calls.add_argument("--state", choices=get_args(CallState), help="only calls in this state")
    for name, what in (
        ("called", "to this number"),
        ("calling", "from this number"),
        ("application", "of this application"),
        ("leg", "with this leg: number, session id or Call-ID"),
    ):
        calls.add_argument(f"--{name}", metavar=name.upper(), help=f"only calls {what}")
    calls.add_argument("--json", action="store_true", help="a JSON object for each")

    transfer = commands.add_parser(
        "transfer",
        help="send a call elsewhere, and wait for the outcome",
        description="Exit code 0: the transfer was completed, 1: not.",
    )
    transfer.add_argument("guid", metavar="GUID")
    transfer.add_argument("destination", help="a number, an extension or a SIP URI")
    transfer.add_argument("--label", default="", help="in its place; the prefix rf chooses REFER")
    transfer.add_argument("--consultation", action="store_true", help="ask the target first")
    transfer.add_argument("--no-wait", action="store_true", help="return when it is under way")

    hangup = commands.add_parser("hangup", help="end a call; returns when its CDR is stored")
    hangup.add_argument("guid", metavar="GUID")
    hangup.add_argument("--reason", choices=get_args(TerminateReason), default="requested")

    wait = commands.add_parser(
        "wait",
        help="wait until a call is in a state",
        description="Prints the state. Exit code 0: it is one of those, 1: the call is over, "
        "or the time.",
    )
    wait.add_argument("guid", metavar="GUID")
    wait.add_argument("state", nargs="+", choices=[*get_args(CallState), "ended"])
    wait.add_argument("--timeout", type=float, metavar="SECONDS", help="(default: none)")

    trace = commands.add_parser(
        "trace",
        help="the SIP messages of a call, on all its legs",
        description="Prints a ladder. The Call-ID of a leg will do for the GUID; GET "
        "/sim/v1/trace/calls lists the calls of which messages are kept, refused ones too.",
    )
    trace.add_argument("guid", metavar="GUID")
    form = trace.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a JSON object for each message")
    form.add_argument("--pcap", metavar="FILE", help="write a capture for Wireshark and its like")
    form.add_argument("--svg", metavar="FILE", help="write the ladder as a picture")
    form.add_argument("--sipp", metavar="DIR", help="each far end as a SIPp scenario, or FILE.xml")
    trace.add_argument("--follow", action="store_true", help="go on until the call is over")
    for parser in (calls, transfer, hangup, wait, trace):
        parser.add_argument(
            "--url", default="http://127.0.0.1:8080", help="of the server (default: %(default)s)"
        )
        # As the server has them, where its environment is: in its container.
        user = next(iter(os.environ.get("CALLSIM_USER", "").splitlines()), None)
        parser.add_argument("--user", metavar="NAME:PASSWORD", default=user, help="who asks")
        parser.add_argument(
            "--data-dir",
            metavar="DIR",
            default=os.environ.get("CALLSIM_DATA_DIR", "callsim-data"),
            help="where the server keeps its password, without --user (default: %(default)s)",
        )
        parser.add_argument("--insecure", action="store_true", help="trust any certificate")
        parser.set_defaults(run=_steer)


def _steer(options: argparse.Namespace) -> int:
    from api.shell import steer

    return steer(options)


def _add_config_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", help="configuration file (YAML)")
    parser.add_argument(
        "--route",
        action="append",
        metavar="PATTERN=URI",
        help="calls to these numbers go straight to that callee (repeatable)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any configuration key, such as --set sip.t1=0.1 (repeatable)",
    )


def _add_server_options(parser: argparse.ArgumentParser, ports: str = "") -> None:
    """The options of a running server; `ports` are the defaults of the demo."""
    _add_config_options(parser)
    sip = ports or "both on 0.0.0.0:5060"
    api = ports or "https://0.0.0.0:8000 and http://127.0.0.1:8080"
    parser.add_argument(
        "--sip",
        action="append",
        metavar="udp:HOST:PORT",
        help=f"SIP listener, udp:, tcp: or tls: (repeatable; default {sip}, and tls: on 5061 "
        "with sip.tls.certificate); "
        "';advertise=HOST' behind NAT or in a container",
    )
    parser.add_argument(
        "--api",
        action="append",
        metavar="URL",
        help=f"REST listener (repeatable; default {api})",
    )
    parser.add_argument(
        "--user",
        action="append",
        metavar="NAME:PASSWORD",
        help="REST user who may do all (repeatable; other roles: api.users; without one a "
        "password is made on first start)",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="CDRs, certificate, password")
    if not ports:
        parser.add_argument(
            "--grace", metavar="SECONDS", help="how long calls may go on after SIGTERM (default 30)"
        )


def _overrides(options: argparse.Namespace) -> "list[Override]":
    """Options as the configuration takes them, ``--set`` last."""
    from simulator.config import OPTION_KEYS

    found: list[Override] = [
        (OPTION_KEYS[name], value)
        for name in OPTION_KEYS
        if (value := getattr(options, name, None)) is not None
    ]
    return [*found, *options.set]


def _environment() -> Mapping[str, str]:
    """The variables of the configuration; CALLSIM_LOG_LEVEL is the command's own."""
    return {name: value for name, value in os.environ.items() if name != "CALLSIM_LOG_LEVEL"}


def load_config(
    options: argparse.Namespace, ready: "Callable[[Config], None] | None" = None
) -> "Config":
    """The configuration that the options name. Raises ConfigError."""
    from simulator.config import Config

    path = Path(options.config) if options.config else None
    return Config.load(path, _environment(), _overrides(options), ready)


def _serve(options: argparse.Namespace) -> int:
    from simulator.log_lines import use_format
    from simulator.serving import run, serve

    config = load_config(options, use_format)
    return run(serve(lambda: load_config(options), config, _service))


def _demo(options: argparse.Namespace) -> int:
    from simulator.demo import run_demo
    from simulator.demo_scenarios import SCENARIOS, run_scenario
    from simulator.log_lines import use_format
    from simulator.serving import run

    name = options.scenario
    if options.mended and name in (None, "list"):
        print(
            "--mended: name the fault that is to be mended by --scenario NAME; "
            "'callsim demo --scenario list' names them",
            file=sys.stderr,
        )
        return 2
    if name == "list":
        for known, scenario in SCENARIOS.items():
            print(f"{known:18} {scenario.title}")
        return 0
    if name is not None and name not in SCENARIOS:
        print(f"--scenario: {name!r} is none of {', '.join(SCENARIOS)}", file=sys.stderr)
        return 2
    if name is not None:
        config = load_config(options, use_format)
        return run(run_scenario(SCENARIOS[name], config, _service, mended=options.mended))
    return run(run_demo(load_config(options, use_format), _service, leave=options.exit))


@asynccontextmanager
async def _service(config: "Config") -> AsyncIterator[tuple["CallServer", list[str]]]:
    """The whole server: SIP, CDRs, and the REST surface with the URLs it is at."""
    from api.app import serve_api  # the one place that knows both sides
    from simulator.service import call_server

    async with call_server(config) as server, serve_api(server, config) as addresses:
        yield server, [f"{address}/cvp/rest" for address in addresses]


def _lookup(options: argparse.Namespace) -> int:
    from api.models import routing_result
    from simulator.administration import merged
    from simulator.routing import DialPlan

    config = load_config(options)

    def dress(config: "Config") -> "Config":  # the ports of neighbours are known only at start
        return config.with_lab("sip:agents.lab", "sip:vxml.lab") if config.lab.embedded else config

    plan = DialPlan(merged(config, dress)[1])
    found = plan.lookup(options.number, options.calling)
    print(routing_result(found).model_dump_json(by_alias=True, exclude_none=True, indent=2))
    if options.explain:
        for pattern, why in plan.explain(options.number):
            print(f"{pattern}: {why}")
    return 0 if found.matched else 1


def _check(options: argparse.Namespace) -> int:
    if options.defaults and options.file is not None:
        print("check: give FILE or --defaults, not both", file=sys.stderr)
        return 2
    from simulator.config import Config, check_config

    if options.defaults:
        print(Config.builtin().to_yaml(), end="")
        return 0
    if options.file is None:
        print("check: give FILE, or --defaults", file=sys.stderr)
        return 2
    problems = check_config(options.file)
    for problem in problems:
        print(problem)
    if any(not problem.warning for problem in problems):
        return 1
    print(f"{options.file}: good")
    return 0


def _password(options: argparse.Namespace) -> int:
    from simulator.passwords import PasswordHash, read_password

    print(PasswordHash.of(read_password()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
