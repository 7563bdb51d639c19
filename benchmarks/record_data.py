"""A store of many records, made at once: what a busy contact centre leaves behind.

Calls come by the hour of the day and the day of the week. Some dialed numbers and callers are
far more frequent than others, one in 25 callers is anonymous; most calls have two or three
legs, those that an application served have its events. As in a real store, ids follow the
end of the calls, not their start. One week is made; the others are copies of it, later, but
for the times of their legs.
"""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import accumulate, islice
from operator import itemgetter
from pathlib import Path
from random import Random
from typing import Final

from simulator.cdr_records import COLUMNS, Row
from simulator.cdr_schema import COMPLETION, TABLE, VERSION

HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR
WEEK: Final = 7 * DAY
WEEKS: Final = 13
FIRST: Final = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp()) * 1000
"""A Monday."""

END: Final = FIRST + WEEKS * WEEK
"""When the last of them has begun."""

ANONYMOUS: Final = "anonymous"

_AT_ONCE: Final = 50_000
_MOVED: Final = {
    "call_guid": "printf('%012X', call_start_time + :later) || substr(call_guid, 13)",
    "call_start_time": "call_start_time + :later",
    "call_end_time": "call_end_time + :later",
}
_COPY: Final = (
    f"INSERT INTO cdr ({', '.join(COLUMNS)}) "
    f"SELECT {', '.join(_MOVED.get(name, name) for name in COLUMNS)} FROM cdr WHERE id <= :week"
)
_BY_HOUR: Final = (2, 1, 1, 1, 2, 4, 10, 25, 60, 85, 95, 90, 75, 80, 90, 92, 88, 70, 50, 35, 25, 15,
                   8, 4)  # fmt: skip
_BY_WEEKDAY: Final = (1.15, 1.05, 1.0, 1.0, 0.95, 0.4, 0.25)
_DIALED: Final = 300
_APPLICATIONS: Final = (
    "main_menu", "bank", "claims", "orders", "status", "returns", "appointments", "billing",
    "survey", "callback", "language", "password",
)  # fmt: skip
_RESULTS: Final = ("completed", "transferred", "abandoned", "error")
_CAUSES: Final = {"completed": 1, "transferred": 3, "abandoned": 2, "error": 18}
_RESULT_WEIGHTS: Final = tuple(accumulate((70, 18, 10, 2)))


class _World:
    """Who calls whom, and for how long."""

    def __init__(self, random: Random, count: int) -> None:
        self.dialed = [str(80_000 + 7 * number) for number in range(_DIALED)]
        self.popularity = list(accumulate(1 / rank for rank in range(1, _DIALED + 1)))
        callers = max(100, min(1_000_000, count // 5))
        self.callers = [f"+49{random.randrange(10**9, 10**10)}" for _ in range(callers)]
        for company in range(20):  # 0.2 % of all calls each
            for _ in range(callers // 500):
                self.callers[random.randrange(callers)] = f"+4989{5500 + company}"
        for place in random.sample(range(callers), callers // 25):
            self.callers[place] = ANONYMOUS
        self.durations = [
            min(4 * HOUR, int(random.lognormvariate(12.0, 0.9))) for _ in range(20_000)
        ]  # 160 seconds in the median


def rows(count: int, *, first: int = FIRST, days: int = 7, seed: int = 1) -> Iterator[Row]:
    """`count` rows of as many calls, in the order in which they ended."""
    random = Random(seed)
    world = _World(random, count)
    weights = [
        _BY_HOUR[hour] * _BY_WEEKDAY[day % len(_BY_WEEKDAY)]
        for day in range(days)
        for hour in range(len(_BY_HOUR))
    ]
    total, sofar, made = sum(weights), 0.0, 0
    lasting: list[Row] = []
    for hour, weight in enumerate(weights):
        sofar += weight
        due = round(count * sofar / total)
        start = first + hour * HOUR
        lasting += _calls(random, world, start, due - made, made)
        made = due
        lasting.sort(key=itemgetter(2))
        over = [row for row in lasting if row[2] < start + HOUR]
        yield from over
        del lasting[: len(over)]
    yield from lasting


def _calls(random: Random, world: _World, hour: int, count: int, made: int) -> Iterator[Row]:
    dialed = random.choices(world.dialed, cum_weights=world.popularity, k=count)
    callers = random.choices(world.callers, k=count)
    durations = random.choices(world.durations, k=count)
    results = random.choices(_RESULTS, cum_weights=_RESULT_WEIGHTS, k=count)
    for place in range(count):
        start = hour + int(random.random() * HOUR)
        yield _row(
            made + place, start, durations[place], callers[place], dialed[place], results[place]
        )


def _row(number: int, start: int, duration: int, caller: str, dialed: str, result: str) -> Row:
    """The values of `COLUMNS`."""
    guid = f"{start:012X}{number * 2_654_435_761 % 2**32:08X}{number:012X}"
    end = start + duration
    server = f"cvp{number % 3 + 1}"
    served = result != "error" and number % 10 < 8
    treated = min(duration, 20_000 + number % 40_000) if served else 0
    queued = duration // 4 if result != "completed" or number % 2 else 0
    agent = f"{4000 + number % 700}" if result in ("completed", "transferred") else ""
    application = _APPLICATIONS[int(dialed) % len(_APPLICATIONS)] if served else ""
    leg = f"{start}{number}"
    to_us, from_us = f"sip:{dialed}@10.86.0.{number % 3 + 11}", f"sip:{caller}@10.86.0.11"
    legs = (
        f'["{leg}","inbound",{start},{end},"sip:{caller}@10.86.1.4","{to_us}","{server}",200,'
        f'{start + 80},"caller"]'
    )
    marks = None
    if served:
        legs += (
            f',["{leg}1","outbound",{start + 20},{start + treated},"{from_us}",'
            f'"sip:777{number % 9000}@10.86.2.7","10.86.2.7",200,{start + 70},"vxml"]'
        )
        cause = 1 if agent else 1001
        marks = f'[[80,11,0,0,"{application}"],[{treated},9,{cause},0,"{application}"]]'
    if agent:
        legs += (
            f',["{leg}2","outbound",{start + treated},{end},"{from_us}",'
            f'"sip:{agent}@10.86.3.2","10.86.3.2",200,{start + treated + 900},"agent"]'
        )
    return (
        guid, start, end, caller, dialed, result, treated, queued, application, server,
        "10.86.2.7" if served else "", f"{leg}@10.86.1.4", f"152340-{number}-0" if agent else "",
        agent, "E503" if result == "error" else None, _CAUSES[result], 4, 0, None,
        number % 7 // 6, int(served), int(served) + bool(agent), 0, int(result == "error"),
        f'{{"user.media.id":"{guid}","user.language":"de"}}', f"[{legs}]", marks,
    )  # fmt: skip


def make_store(path: Path, count: int) -> None:
    """A file with `count` records, which `WEEKS` divides; a crash may spoil it while it is made."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for pragma in ("page_size=2048", "journal_mode=OFF", "synchronous=OFF"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("PRAGMA cache_size=-262144")  # KiB
        for statement in (*VERSION, TABLE):
            connection.execute(statement)
        marks = ", ".join("?" * len(COLUMNS))
        insert = f"INSERT INTO cdr ({', '.join(COLUMNS)}) VALUES ({marks})"
        made = rows(count // WEEKS)
        while some := list(islice(made, _AT_ONCE)):
            connection.execute("BEGIN")
            connection.executemany(insert, some)
            connection.execute("COMMIT")
        for week in range(1, WEEKS):
            connection.execute(_COPY, {"later": week * WEEK, "week": count // WEEKS})
        for statement in COMPLETION:
            connection.execute(statement)
    finally:
        connection.close()
