"""Who was saturated: the generator, the server, the machine, or nobody.

Nobody was, where all calls were offered in time and none was late: a process that works hard and
keeps up is not at its end. Otherwise the first seconds of trouble count, before it spreads: a
server that cannot keep up makes callers repeat themselves, which then have too much to do as
well.
"""

from collections.abc import Sequence
from typing import Final

from scenarios.load.meters import MACHINE_SATURATED, SATURATED
from scenarios.load.result import Second, Totals, Verdict

MOST_REPEATED: Final = 0.001
"""Messages sent again for each call that are still clean."""

LOWEST_OFFER: Final = 0.97
"""The share of the planned calls that a generator must place."""

_LASTING: Final = 3  # seconds of trouble that are looked at
_LEAST: Final = 2.0  # calls or messages in a second, below which chance rules
_WAITS: Final = 0.25  # of a core that a process was denied
_RESTLESS: Final = 0.95  # of the time that a process ran or could have
_MOST_OF_A_CORE: Final = 0.7


def judge(seconds: Sequence[Second], totals: Totals, *, limit: int = 0, lost: int = 0) -> Verdict:
    """The verdict on a run; `limit` are the calls that SIPp keeps open at most, `lost` those
    that were refused by 503 or never answered."""
    within = [second for second in seconds if second.planned > 0]
    if not within or not totals.offered:
        return Verdict("none", ("no call was placed",))
    begin = next((n for n, one in enumerate(within) if _troubled(one, limit)), None)
    again = totals.again_share > MOST_REPEATED
    if not (again or short(totals) or lost or totals.unfinished):
        return Verdict(
            "none",
            (
                "all calls were placed in time, and nothing was sent again or turned away",
                *_loads(within),
            ),
        )
    if begin is None:
        begin = max(range(len(within)), key=lambda n: within[n].again + within[n].behind)
    looked = within[begin : begin + _LASTING]
    return _first(looked, limit, lost)


def short(totals: Totals) -> bool:
    """Whether fewer calls were placed than were planned, by more than chance."""
    missing = totals.planned - totals.offered
    return missing > max(_LEAST, (1 - LOWEST_OFFER) * totals.planned)


def _troubled(second: Second, limit: int) -> bool:
    """Whether something was late in this second."""
    return (
        _short(second)
        or second.again + second.behind > max(_LEAST, MOST_REPEATED * second.offered)
        or bool(second.refused)
        or bool(limit and second.active >= limit)
    )


def _short(second: Second) -> bool:
    missing = second.planned - second.offered
    return missing > max(_LEAST, 2 * (1 - LOWEST_OFFER) * second.planned)


def _first(looked: Sequence[Second], limit: int, lost: int) -> Verdict:
    """Who was, in the seconds in which the trouble began."""
    at = f"from second {looked[0].at:.0f} on"
    waits, starved = _most(looked, "generator_waits"), _most(looked, "server_waits")
    generator, server = _at_its_end(looked, "generator"), _at_its_end(looked, "server")
    machine = _most(looked, "machine")
    planned, offered = sum(one.planned for one in looked), sum(one.offered for one in looked)
    full = bool(limit) and any(one.active >= limit for one in looked)
    behind = offered < LOWEST_OFFER * planned and not full
    placed = f"{at} {offered:,.0f} of {planned:,.0f} planned calls were placed"
    if full:
        placed += f": as many calls as SIPp may have ({limit:,}) were open"
    loads = _loads(looked)
    if generator and (behind or not server):
        return Verdict("generator", (placed, generator, *loads))
    if server:
        return Verdict("server", (placed, server, *loads))
    if machine > MACHINE_SATURATED and max(waits, starved) > _WAITS:
        return Verdict("machine", (placed, "all cores were busy, with others' work too", *loads))
    if waits > _WAITS and _demand(looked, "generator") > SATURATED:
        reason = f"a SIPp was ready to run and had no core for {waits:.0%} of the time"
        return Verdict("generator", (placed, reason, *loads))
    if starved > _WAITS and _demand(looked, "server") > SATURATED:
        reason = f"the server was ready to run and had no core for {starved:.0%} of the time"
        return Verdict("server", (placed, reason, *loads))
    if behind:
        reason = "SIPp placed fewer calls than planned, and nothing else was at its end"
        return Verdict("generator", (placed, reason, *loads))
    if machine > MACHINE_SATURATED:
        return Verdict("machine", (placed, "all cores were busy", *loads))
    reason = "calls were placed in time and answered late, or never: the server, or what it waits "
    reason += "for (a disk, a callee, the path to it), could not keep up"
    if lost:
        reason += f"; {lost:,} calls were turned away or never answered"
    return Verdict("server", (placed, reason, *loads))


def _at_its_end(seconds: Sequence[Second], name: str) -> str:
    """Why a process that can use one core had no more to give; empty if it had.

    One that shares its core with others is at its end as well, if it never rests and has most of
    that core all the same.
    """
    who = {"generator": "a SIPp", "server": "the server"}[name]
    cpu = _most(seconds, name)
    if cpu > SATURATED:
        return f"{who} had no more of its core to give"
    if cpu > _MOST_OF_A_CORE and _demand(seconds, name) > _RESTLESS:
        return f"{who} never rested, and had {cpu:.0%} of a core"
    return ""


def _demand(seconds: Sequence[Second], name: str) -> float:
    """The highest share of a second in which it ran, or could have."""
    pairs = [(getattr(one, name) or 0.0, getattr(one, f"{name}_waits") or 0.0) for one in seconds]
    return max((sum(pair) for pair in pairs), default=0.0)


def _most(seconds: Sequence[Second], name: str) -> float:
    return max((getattr(one, name) or 0.0 for one in seconds), default=0.0)


def _loads(seconds: Sequence[Second]) -> list[str]:
    named = {
        "generator": "the busiest SIPp {:.0%} of a core",
        "server": "the server {:.0%} of a core",
        "machine": "the machine {:.0%} of all cores",
    }
    seen = [name for name in named if any(getattr(one, name) is not None for one in seconds)]
    if not seen:
        return []
    return ["at most: " + ", ".join(named[name].format(_most(seconds, name)) for name in seen)]
