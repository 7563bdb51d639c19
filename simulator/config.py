"""The configuration: a YAML file, ``CALLSIM_...`` variables and options, in rising rank.

`Config.load` gives a `Config` or raises `ConfigError`, which tells every fault with its
file, line, key and fix. Without a file the plan of `Config.builtin` holds: the dial plan of
the README, with the lab neighbours embedded. The models are in the
`simulator.config_` modules.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, Field, ValidationError

from simulator import config_dial_plan as dialing
from simulator import config_plan as plan
from simulator import config_sections as sections
from simulator import config_sip
from simulator.config_admission import AdmissionSection
from simulator.config_base import Section, one_or_many
from simulator.config_check import cross_check, translate
from simulator.config_defaults import BUILTIN, LAB_AGENT_LABELS, LAB_SERVICE_LABELS, write_yaml
from simulator.config_faults import MOST_RULES, FaultRule
from simulator.config_headers import HeadersSection
from simulator.config_icm import IcmSection
from simulator.config_services import ServicesSection
from simulator.config_source import (
    OPTION_KEYS,
    ConfigError,
    Problem,
    Source,
    apply_environment,
    apply_option,
    apply_setting,
    read_file,
)
from simulator.config_values import HttpListen, Listen, SipTarget
from simulator.config_vxml import VxmlSection
from simulator.patterns import Pattern, PatternTable
from simulator.profile_patterns import PriorityTable

__all__ = [
    "OPTION_KEYS",
    "Config",
    "ConfigError",
    "HttpListen",
    "Listen",
    "Override",
    "Problem",
    "SipTarget",
    "check_config",
]

log = logging.getLogger(__name__)

# `key.path=value` as after --set, or a key path and the value of an option of its own.
Override: TypeAlias = str | tuple[str, object]


class Config(Section):
    """The whole configuration; it never changes once made."""

    server: sections.ServerSection = sections.ServerSection()
    admission: AdmissionSection = AdmissionSection()
    sip: config_sip.SipSection = config_sip.SipSection()
    api: sections.ApiSection = sections.ApiSection()
    sdp: sections.SdpSection = sections.SdpSection()
    cdr: sections.CdrSection = sections.CdrSection()
    statistics: sections.StatisticsSection = sections.StatisticsSection()
    log: sections.LogSection = sections.LogSection()
    telemetry: sections.TelemetrySection = sections.TelemetrySection()
    headers: HeadersSection = HeadersSection()
    events: sections.EventsSection = sections.EventsSection()
    trace: sections.TraceSection = sections.TraceSection()
    health: sections.HealthSection = sections.HealthSection()
    variables: sections.VariablesSection = sections.VariablesSection()
    dial_plan: dialing.DialPlanSection = dialing.DialPlanSection()
    server_groups: dialing.ServerGroups = Field(
        default=(),
        description="Servers under one name, which is the host in routes: sip:NAME. Each of "
        "servers is HOST:PORT, or host, port, transport, priority, weight, name.",
    )
    direct_routes: Annotated[tuple[plan.DirectRoute, ...], BeforeValidator(one_or_many)] = Field(
        default=(),
        description="Numbers that go straight to a callee, before the dial plan (--route). "
        "PATTERN=URI is short for pattern and to.",
    )
    dialed_numbers: tuple[plan.DialedNumber, ...] = Field(
        default=(),
        description="The dial plan: the most specific pattern wins, then the first (or as "
        "dial_plan.syntax says). Each has a script or a label, or a server_group alone.",
    )
    routes: Annotated[tuple[plan.StaticRoute, ...], BeforeValidator(one_or_many)] = Field(
        default=(),
        description="Static routes: where labels and extensions are. PATTERN=URI is short for "
        "pattern and to.",
    )
    icm: IcmSection = IcmSection()
    services: ServicesSection = ServicesSection()
    transfer: sections.TransferSection = sections.TransferSection()
    neighbours: tuple[sections.Neighbour, ...] = Field(
        default=(), description="What /health/connectivity probes besides the lab's."
    )
    vxml: VxmlSection = VxmlSection()
    faults: tuple[FaultRule, ...] = Field(
        default=(),
        max_length=MOST_RULES,
        description="What is to go wrong with SIP messages, for tests; the same as /sim/v1/faults.",
    )
    lab: sections.LabSection = sections.LabSection()

    @classmethod
    def load(
        cls,
        path: Path | str | None = None,
        env: Mapping[str, str] | None = None,
        overrides: Iterable[Override] = (),
        ready: Callable[["Config"], None] | None = None,
    ) -> "Config":
        """Read `path` (else the file ``CALLSIM_CONFIG`` names, else the built-in plan).

        `env` is laid over it, then `overrides` in their order. A value replaces the one
        below it whole, lists too. Raises `ConfigError`; a warning alone goes to the log,
        after `ready` got the configuration.
        """
        config, source = _read(path, env or {}, overrides)
        errors = [problem for problem in source.problems if not problem.warning]
        if config is None or errors:
            raise ConfigError(_ordered(errors))
        if ready is not None:
            ready(config)
        for warning in _ordered(source.problems):
            log.warning("%s", warning)
        return config

    @classmethod
    def builtin(cls) -> "Config":
        """The plan that answers every number, for a start without a configuration file."""
        return cls.model_validate(BUILTIN)

    def to_yaml(self, *, comments: bool = True) -> str:
        """A configuration file that loads back as this `Config`, passwords included."""
        return write_yaml(self, comments=comments)

    def with_lab(self, agents: str, vxml: str) -> "Config":
        """A copy whose static routes lead to lab neighbours at these SIP URIs.

        The ports of embedded neighbours are known only once they run. Routes of the
        configuration for the same labels stand.
        """
        wanted = dict.fromkeys(LAB_AGENT_LABELS, agents)
        vru_labels = {self.icm.vru_label, self.services.vru_return or self.icm.vru_label}
        labels = [f"{label}>" for label in sorted(vru_labels)]
        wanted |= dict.fromkeys([*labels, *LAB_SERVICE_LABELS], vxml)
        present = {(p.body, p.open_ended) for r in self.routes if (p := Pattern.parse(r.pattern))}
        added = [
            plan.StaticRoute(pattern=pattern, to=SipTarget.parse(to))
            for pattern, to in wanted.items()
            if ((p := Pattern.parse(pattern)).body, p.open_ended) not in present
        ]
        return self.model_copy(update={"routes": (*self.routes, *added)})

    def route_table(self) -> PatternTable[plan.StaticRoute]:
        """The static routes as a table; ValueError when two have the same pattern."""
        table = PatternTable[plan.StaticRoute]()
        for route in self.routes:
            table.add(route.pattern, route)
        return table

    def number_table(self) -> "PatternTable[plan.DialedNumber] | PriorityTable[plan.DialedNumber]":
        """The dialed numbers in force as a table; ValueError as for the routes."""
        numbers = [number for number in self.dialed_numbers if number.enabled]
        if self.dial_plan.syntax == "profile":
            by_priority = PriorityTable[plan.DialedNumber]()
            for number in numbers:
                by_priority.add(number.pattern, number, number.priority)
            return by_priority
        table = PatternTable[plan.DialedNumber]()
        for number in numbers:
            table.add(number.pattern, number)
        return table

    @property
    def cdr_path(self) -> Path:
        """The SQLite file of the CDRs, where `cdr.url` names no other store."""
        if self.cdr.url is None:
            return self.server.data_dir / "cdr.sqlite"
        return Path(self.cdr.url.removeprefix("sqlite:///"))


def check_config(path: Path | str) -> list[Problem]:
    """Every fault of a configuration file, warnings included; never raises for one."""
    _, source = _read(path, {}, ())
    return _ordered(source.problems)


def _ordered(problems: Iterable[Problem]) -> list[Problem]:
    """Faults of a file by line; stable otherwise."""
    return sorted(problems, key=lambda problem: problem.line or 0)


def _read(
    path: Path | str | None, env: Mapping[str, str], overrides: Iterable[Override]
) -> tuple[Config | None, Source]:
    """The configuration, unless it is too broken to be one, and what is wrong with it."""
    path = path or env.get("CALLSIM_CONFIG") or None
    if path is None:
        source = Source(tree=deepcopy(BUILTIN), name="built-in plan")
    else:
        source = read_file(Path(path))
        if source.problems and source.tree == {}:
            return None, source
    apply_environment(source, env)
    for override in overrides:
        if isinstance(override, str):
            apply_setting(source, override)
        else:
            apply_option(source, *override)
    try:
        config = Config.model_validate(source.tree)
    except ValidationError as error:
        translate(error, Config, source)
        return None, source
    cross_check(config, source)
    return config, source
