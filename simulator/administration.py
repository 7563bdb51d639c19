"""Changes to the dial plan of a server that runs: over REST, and by its configuration file.

One change at a time: it is checked, written to disk, then in force for the next call. Each
is an entry of the audit trail.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from simulator.audit_trail import AuditTrail, Requester
from simulator.config import Config, ConfigError, Problem
from simulator.config_dial_plan import ServerGroupSection
from simulator.config_plan import DialedNumber
from simulator.errors import PlanConflict, PlanEntryNotFound, PlanNotStored
from simulator.login_trail import LoginTrail
from simulator.plan_changes import FILE, Kind, PlanChanges, dumped
from simulator.reload import changed, kept
from simulator.routing import DialPlan
from simulator.views import BanView, ServerGroupView, TrunkView

if TYPE_CHECKING:
    from simulator.server import CallServer

log = logging.getLogger(__name__)

SIGHUP: Final = Requester("SIGHUP")
_SHOWN: Final[Mapping[Kind, str]] = {
    "dialedNumberPattern": "dialed number pattern",
    "sipserver": "server group",
}

Dress = Callable[[Config], Config]
Load = Callable[[], Config]


def _as_it_is(config: Config) -> Config:
    return config


class Administration:
    """The plan of `server` as it can be changed.

    `base` is what the configuration file says, `changes` what was done over REST, `dress`
    what is laid over both (the routes to embedded neighbours); `path` is where changes are
    kept, None: nowhere. `trail` records who changed what, `logins` who
    could not log in.
    """

    def __init__(
        self,
        server: "CallServer",
        base: Config,
        changes: PlanChanges | None = None,
        *,
        dress: Dress = _as_it_is,
        path: Path | None = None,
        trail: AuditTrail | None = None,
        logins: LoginTrail | None = None,
    ) -> None:
        self.server = server
        self.base = base
        self.changes = changes or PlanChanges()
        self.trail = trail or AuditTrail()
        self.logins = logins or LoginTrail()
        self._dress = dress
        self._path = path
        self._turn = asyncio.Lock()

    # Dialed numbers.

    def numbers(self) -> dict[str, DialedNumber]:
        """All dialed numbers by id, in the order of the list."""
        return self.changes.all_numbers(self.base)

    def number(self, name: str) -> DialedNumber:
        """The dialed number `name`. Raises PlanEntryNotFound."""
        found = self.numbers().get(name)
        if found is None:
            raise PlanEntryNotFound(f"no dialed number pattern has the id {name!r}")
        return found

    async def add_number(self, who: Requester, number: DialedNumber) -> str:
        """Append a dialed number; returns its id. Raises PlanConflict."""
        name = f"dn-{self.server.stack.endpoint.ids.hex(8)}"
        await self._change(who, "create", "dialedNumberPattern", name, number)
        return name

    async def set_number(self, who: Requester, name: str, number: DialedNumber | None) -> None:
        """Replace a dialed number, or delete it. Raises PlanEntryNotFound and PlanConflict."""
        action = "delete" if number is None else "replace"
        await self._change(who, action, "dialedNumberPattern", name, number)

    # Server groups.

    def groups(self) -> dict[str, ServerGroupSection]:
        """All server groups by name."""
        return self.changes.all_groups(self.base)

    def group_views(self) -> list[ServerGroupView]:
        """All server groups, with the state of each server."""
        server = self.server
        return server.server_groups.views(server.wall, server.stack.now())

    def trunk_views(self) -> list[TrunkView]:
        """The trunks where this server registers."""
        return [
            TrunkView(one.registrar, one.aor, one.state, one.status or None)  # type: ignore[arg-type]
            for one in self.server.access.trunks
        ]

    def group(self, name: str) -> ServerGroupSection:
        """The server group `name`. Raises PlanEntryNotFound."""
        found = self.groups().get(name)
        if found is None:
            raise PlanEntryNotFound(f"no server group has the id {name!r}")
        return found

    async def add_group(self, who: Requester, group: ServerGroupSection) -> None:
        """Add a server group. Raises PlanConflict."""
        await self._change(who, "create", "sipserver", group.name, group)

    async def set_group(self, who: Requester, name: str, group: ServerGroupSection | None) -> None:
        """Replace a server group, or delete it. Raises PlanEntryNotFound and PlanConflict."""
        action = "delete" if group is None else "replace"
        await self._change(who, action, "sipserver", name, group)

    # Bans.

    def bans(self) -> list[BanView]:
        """Who is not heard by SIP, the oldest first."""
        return self.server.sources.bans()

    async def lift_bans(self, who: Requester, address: str | None) -> list[BanView]:
        """End the ban of an address, or all; what was lifted. Raises BanNotFound."""
        lifted = self.server.sources.lift(address)
        for ban in lifted:
            before = {"reason": ban.reason, "refused": ban.refused}
            await self.trail.record(who, "delete", "ban", ban.address, before)
        return lifted

    # Numbers and groups.

    async def _change(
        self,
        who: Requester,
        action: str,
        kind: Kind,
        name: str,
        after: DialedNumber | ServerGroupSection | None,
    ) -> None:
        async with self._turn:
            present: dict[str, Any] = (
                dict(self.numbers()) if kind == "dialedNumberPattern" else dict(self.groups())
            )
            before = present.get(name)
            if action == "create" and before is not None:
                raise PlanConflict(f"{_SHOWN[kind]} {name!r} is there already; change it by PUT")
            if action != "create" and before is None:
                raise PlanEntryNotFound(f"no {_SHOWN[kind]} has the id {name!r}")
            if kind == "dialedNumberPattern":
                assert not isinstance(after, ServerGroupSection)
                changes = self.changes.with_number(name, after)
            else:
                assert not isinstance(after, DialedNumber)
                changes = self.changes.with_group(name, after)
            changes = changes.needed(self.base)
            config = self._dress(changes.apply(self.base))
            if action == "delete" and kind == "sipserver":
                _check_unused(config, name)
            check(config)
            plan = await asyncio.to_thread(DialPlan, config, self.server.phones)
            await self._store(changes)
            self.changes = changes
            self.server.configure(config, plan)
            await self.trail.record(who, action, kind, name, dumped(before), dumped(after))

    async def _store(self, changes: PlanChanges) -> None:
        if self._path is None:
            return
        try:
            await asyncio.to_thread(changes.save, self._path)
        except OSError as error:
            raise PlanNotStored(
                f"{self._path}: {error.strerror or error}; nothing was changed"
            ) from error

    # The file.

    async def reload(self, load: Load, who: Requester = SIGHUP) -> bool:
        """Read the configuration again; whether it could be used.

        One that cannot be used changes nothing, and the log says what is wrong with it.
        """
        async with self._turn:
            try:
                wanted = await asyncio.to_thread(load)
                base, waiting = kept(self.base, wanted)
                config = self._dress(self.changes.apply(base))
                _check_file(config, len(self.changes), self._path)
                plan = await asyncio.to_thread(DialPlan, config, self.server.phones)
            except ConfigError as error:
                for problem in error.problems:
                    log.error("reload: %s", problem)
                log.error("reload: the old configuration stays in force")
                return False
            what = changed(self.base, base)
            self.base = base
            self.server.configure(config, plan)
            self.server.stack.pump()
            if waiting:
                log.warning("reload: takes effect at the next start: %s", ", ".join(waiting))
            after = {"changed": what, "waiting": waiting}
            await self.trail.record(who, "reload", "configuration", after=after)
            return True


def merged(base: Config, dress: Dress) -> tuple[PlanChanges, Config]:
    """The changes that are kept on disk, and `base` with them. Raises ConfigError."""
    path = base.server.data_dir / FILE
    changes = PlanChanges.load(path)
    config = dress(changes.apply(base))
    _check_file(config, len(changes), path)
    if len(changes):
        text = "%d changes of the dial plan that were made over REST are in force (%s)"
        log.warning(text, len(changes), path)
    return changes, config


def check(config: Config) -> None:
    """Whether the parts fit together. Raises PlanConflict, which says which do not."""
    try:
        config.number_table()
    except ValueError as error:
        raise PlanConflict(str(error)) from None
    groups = {group.name for group in config.server_groups}
    for number in config.dialed_numbers:
        if number.server_group is not None and number.server_group not in groups:
            raise PlanConflict(
                f"pattern {number.pattern!r} leads to the server group {number.server_group!r}, "
                "which is not there; add it first, or change the pattern"
            )


def _check_unused(config: Config, group: str) -> None:
    """Whether nothing leads to a group any more. Raises PlanConflict, which says what does."""
    proxy, direct = config.sip.outbound_proxy, config.direct_routes
    users = [
        *(f"pattern {n.pattern!r}" for n in config.dialed_numbers if n.server_group == group),
        *(f"route {r.pattern!r}" for r in config.routes if r.to.host.lower() == group),
        *(f"direct route {r.pattern!r}" for r in direct if r.to.host.lower() == group),
        *(["sip.outbound_proxy"] if proxy is not None and proxy.host.lower() == group else []),
    ]
    if users:
        raise PlanConflict(
            f"{users[0]} leads to the server group {group!r}: change that first, then delete it"
        )


def _check_file(config: Config, changes: int, path: Path | None) -> None:
    """`check`, for a configuration that is good by itself. Raises ConfigError."""
    try:
        check(config)
    except PlanConflict as error:
        message = f"with its {changes} changes made over REST: {error}"
        raise ConfigError([Problem(str(path or "REST"), None, "", message)]) from None
