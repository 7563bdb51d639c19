"""Reports over many records: pages, filters, sorts and figures, and what each record costs.

``python -m benchmarks.records --rows 10000000`` makes a store of that many calls (12 GB, some
minutes), asks each kind of query many times in random order by the functions that REST asks,
then some of them by REST, and at last stores more records, with what reports need and without.
Every page and summary is to take less than 50 ms (p95); the
file is in the page cache, where it was just written.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Final
from unittest.mock import patch
from urllib.parse import urlencode

from api.report_models import at
from benchmarks.figures import Outcome, Target, WholeNumber, percentile, tell
from benchmarks.record_data import ANONYMOUS, DAY, END, FIRST, HOUR, WEEK, WEEKS, make_store, rows
from benchmarks.report import table
from benchmarks.rest_client import RestClient, RestError
from benchmarks.subjects import CALLEE, BenchmarkError, Callsim, start
from benchmarks.tools import makers_of, run_tool, tool_parser
from simulator.cdr import SqliteCdrStore
from simulator.cdr_queries import CdrFilter
from simulator.cdr_schema import QUARTER
from simulator.errors import ReportTooLong
from tests.support.records import explained

P95: Final = 50.0
"""Milliseconds for a query, p95."""

_BYTES: Final = 1300  # a record with its entries in the indexes, and what is there meanwhile
_EXPORTED: Final = 500
_WRITTEN: Final = 20_000
_GROUP: Final = 40  # records in a commit at 1,250 calls/s
_PREFIX: Final = "/cvp-reporting/rest"


@dataclass(frozen=True, slots=True)
class Sample:
    """A record that a query is made from."""

    id: int
    guid: str
    start: int
    calling: str
    called: str
    result: str

    @property
    def hour(self) -> dict[str, Any]:
        """The hour in which it started."""
        begin = self.start // HOUR * HOUR
        return {"start": begin, "end": begin + HOUR}

    @property
    def day(self) -> dict[str, Any]:
        """The day in which it started."""
        begin = self.start // DAY * DAY
        return {"start": begin, "end": begin + DAY}

    @property
    def month(self) -> dict[str, Any]:
        """Thirty days around it, which begin and end at no special time."""
        return {"start": self.start - 15 * DAY, "end": self.start + 15 * DAY}


Question = Callable[[Sample], Mapping[str, Any]]
Ask = Callable[[SqliteCdrStore, Sample], object]

PAGES: Final[Mapping[str, Question]] = {
    "first page": lambda s: {},
    "first page, oldest first": lambda s: {"sort_order": "asc"},
    "at an offset, anywhere": lambda s: {"offset": s.id - 1},
    "behind a cursor, anywhere": lambda s: {"cursor": s.id},
    "an hour": lambda s: s.hour,
    "a day": lambda s: s.day,
    "30 days": lambda s: s.month,
    "30 days, at an offset": lambda s: {**s.month, "offset": s.id // 10},
    "called number": lambda s: {"called_number": s.called},
    "called number, behind a cursor": lambda s: {"called_number": s.called, "cursor": s.id},
    "called number, a day": lambda s: {"called_number": s.called, **s.day},
    "called number, errors": lambda s: {"called_number": s.called, "call_result": "error"},
    "calling number": lambda s: {"calling_number": s.calling},
    "calling number, 30 days": lambda s: {"calling_number": s.calling, **s.month},
    "anonymous": lambda s: {"calling_number": ANONYMOUS},
    "both numbers": lambda s: {"calling_number": s.calling, "called_number": s.called},
    "anonymous, called number, a day": lambda s: {
        "calling_number": ANONYMOUS,
        "called_number": s.called,
        **s.day,
    },
    "a GUID": lambda s: {"call_guid": s.guid},
    "a result": lambda s: {"call_result": s.result},
    "errors, at an offset": lambda s: {"call_result": "error", "offset": s.id // 60},
    "errors of a day": lambda s: {"call_result": "error", **s.day},
    "errors behind a cursor": lambda s: {"call_result": "error", "cursor": s.id},
    "called number, by end": lambda s: {"called_number": s.called, "sort_by": "callEndTime"},
    "called number, a day, by end": lambda s: {
        "called_number": s.called,
        "sort_by": "callEndTime",
        **s.day,
    },
    "called number, by calling": lambda s: {
        "called_number": s.called,
        "sort_by": "callingNumber",
    },
    "called number, a day, by calling": lambda s: {
        "called_number": s.called,
        "sort_by": "callingNumber",
        **s.day,
    },
}
_SORTS: Final = {"end": "callEndTime", "called": "calledNumber", "calling": "callingNumber"}


def pages() -> dict[str, Question]:
    """All kinds of pages: those above, and every order with what it may have to walk by."""
    found = dict(PAGES)
    for name, sort in _SORTS.items():
        found |= _sorted(name, {"sort_by": sort})
    return found


def _sorted(name: str, by: dict[str, Any]) -> dict[str, Question]:
    ascending = {**by, "sort_order": "asc"}
    errors = {**by, "call_result": "error"}
    return {
        f"by {name}": lambda s: by,
        f"by {name}, ascending": lambda s: ascending,
        f"by {name}, behind a cursor": lambda s: {**by, "cursor": s.id},
        f"by {name}, an hour": lambda s: {**by, **s.hour},
        f"by {name}, a day": lambda s: {**by, **s.day},
        f"by {name}, ascending, 30 days": lambda s: {**ascending, **s.month},
        f"by {name}, errors": lambda s: errors,
        f"by {name}, errors of a day": lambda s: {**errors, **s.day},
    }


def _page(question: Question, store: SqliteCdrStore, sample: Sample) -> object:
    return store.page(CdrFilter(**question(sample)))


FIGURES: Final[Mapping[str, Ask]] = {
    "a record whole, by its GUID": lambda store, s: _whole(store, s.guid),
    "CSV, 500 records behind a cursor": lambda store, s: store.csv(
        CdrFilter(cursor=s.id, limit=_EXPORTED)
    ),
    "summary of a day by quarters": lambda store, s: store.summary(CdrFilter(**s.day), QUARTER),
    "summary of 13 weeks by days": lambda store, s: store.summary(CdrFilter(FIRST, END), DAY),
    "summary of a day, called number": lambda store, s: store.summary(
        CdrFilter(called_number=s.called, **s.day), HOUR
    ),
}

# What walks over calls, each of them of its range or up to its offset: no target.
LINEAR: Final[Mapping[str, Ask]] = {
    "by called, at an offset, anywhere": lambda store, s: store.page(
        CdrFilter(sort_by="calledNumber", offset=s.id - 1)
    ),
    "applications of an hour": lambda store, s: store.applications(CdrFilter(**s.hour), None),
    "applications of a day": lambda store, s: store.applications(CdrFilter(**s.day), None),
    "servers of an hour": lambda store, s: store.servers(s.hour["start"], s.hour["end"]),
    "servers of a day": lambda store, s: store.servers(s.day["start"], s.day["end"]),
}


def _whole(store: SqliteCdrStore, guid: str) -> object:
    record = store.get(guid)
    if record is None:
        raise BenchmarkError(f"there is no record of {guid}")
    return record.events, record.vxml_sessions


@dataclass(slots=True)
class Times:
    """Milliseconds of one kind of query, and its query plans."""

    what: str
    limited: bool = True
    values: list[float] = field(default_factory=list)
    plans: list[list[str]] = field(default_factory=list)

    @property
    def p95(self) -> float:
        """What 95 % do not exceed."""
        return percentile(self.values, 0.95)


def samples(store: SqliteCdrStore, random: Random, count: int, highest: int) -> list[Sample]:
    """Records at random: so frequent numbers are asked for most."""
    columns = "id, call_guid, call_start_time, calling_number, called_number, call_result"
    query = f"SELECT {columns} FROM cdr WHERE id = ?"
    read = store._report_connection.execute
    return [Sample(*read(query, (random.randint(1, highest),)).fetchone()) for _ in range(count)]


def _asked(ask: Ask, store: SqliteCdrStore, sample: Sample) -> None:
    """Ask; what the store gives up has taken as long as it may."""
    with suppress(ReportTooLong):
        ask(store, sample)


def ask_all(path: Path, repeat: int) -> list[Times]:
    """Each kind of query `repeat` times in random order, by the product's own functions."""
    kinds: dict[str, Ask] = {what: partial(_page, question) for what, question in pages().items()}
    kinds |= {**FIGURES, **LINEAR}
    times = {what: Times(what, what not in LINEAR) for what in kinds}
    random = Random(4021)
    with SqliteCdrStore(path, lambda _: None) as store:
        made = samples(store, random, repeat * len(kinds), store.newest())
        order = [what for what in kinds for _ in range(repeat)]
        random.shuffle(order)
        for what, sample in zip(order, made, strict=True):
            begun = time.perf_counter()
            _asked(kinds[what], store, sample)
            times[what].values.append((time.perf_counter() - begun) * 1e3)
        for what, ask in kinds.items():
            asked = partial(_asked, ask, store, made[0])
            for connection in (store._report_connection, store._reader_connection):
                times[what].plans += [steps for _, steps in explained(connection, asked)]
    return list(times.values())


REST: Final[Mapping[str, Question]] = {
    "REST: first page": lambda s: {},
    "REST: a day": lambda s: _range(s.day),
    "REST: called number": lambda s: {"calledNumber": s.called},
    "REST: by calling, behind a cursor": lambda s: {"sortBy": "callingNumber", "cursor": s.id},
    "REST: at an offset": lambda s: {"offset": s.id - 1},
}


def _range(range_: Mapping[str, int]) -> dict[str, str]:
    names = {"startTime": "start", "endTime": "end"}
    return {name: at(range_[part]).isoformat() for name, part in names.items()}


def ask_rest(client: RestClient, made: Sequence[Sample], repeat: int) -> list[Times]:
    """Some of them over HTTP, one after the other."""
    times = [Times(what) for what in (*REST, "REST: summary of a day")]
    rest = iter(made)
    for _ in range(repeat):
        for one in times:
            sample = next(rest)
            question = REST.get(one.what)
            path = f"/statistics/summary?{urlencode(_range(sample.day))}"
            if question is not None:
                path = f"/cdr?{urlencode(question(sample))}"
            begun = time.perf_counter()
            body = client.request("GET", path)
            one.values.append((time.perf_counter() - begun) * 1e3)
            if b'"records":[' not in body and b'"intervals":[{' not in body:
                raise RestError(f"{path}: {body[:300]!r}")
    return times


def write_cost(path: Path, first: int, *, entered: bool) -> float:
    """Microseconds of CPU for a record, in groups as under load, the tidying of the log too.

    `entered`: with what reports need, which a later start enters otherwise.
    """
    made = rows(_WRITTEN, first=first, days=1, seed=first)
    groups = list(iter(lambda: list(islice(made, _GROUP)), []))
    with ExitStack() as stack:
        if not entered:
            stack.enter_context(patch.object(SqliteCdrStore, "_ENTERED_AT", 2 * _WRITTEN))
        store = stack.enter_context(SqliteCdrStore(path, lambda _: None))
        begun = time.process_time()
        for group in groups:
            store._commit(group)
            store._between_commits()
        if entered:
            store._catch_up()
        store._checkpoint(store._writer_connection)
        return (time.process_time() - begun) / _WRITTEN * 1e6


def outcome_of(
    times: Sequence[Times], cost: tuple[float, float], settings: Mapping[str, object]
) -> Outcome:
    """Tables, verdicts and figures."""
    outcome = Outcome(settings)
    lines = [
        (
            *(one.what, str(len(one.values)), f"{median(one.values):.2f}", f"{one.p95:.2f}"),
            *(f"{max(one.values):.2f}", "" if one.limited else "no target"),
        )
        for one in times
    ]
    heading = ("query", "asked", "p50, ms", "p95, ms", "worst, ms", "")
    outcome.tables.append(table(heading, lines))
    plans = [
        (one.what, "; ".join(dict.fromkeys(step for steps in one.plans for step in steps)))
        for one in times
        if one.plans
    ]
    outcome.tables.append(table(("query", "plan"), plans))
    alone, now = cost
    costs = [
        ("the record, and that it comes once", f"{alone:.1f}", "1.00"),
        ("with what reports need", f"{now:.1f}", f"{now / alone:.2f}"),
    ]
    outcome.tables.append(table(("what is stored", "CPU for a record, us", "ratio"), costs))
    outcome.targets = [
        Target(f"{one.what}, p95", one.p95, P95, "ms", below=True) for one in times if one.limited
    ]
    outcome.figures["queries"] = [asdict(one) | {"p95": one.p95} for one in times]
    outcome.figures["write_us"] = {"alone": alone, "with what reports need": now}
    return outcome


def measure(options: argparse.Namespace, directory: Path) -> Outcome:
    """The whole run."""
    needed, free = options.rows * _BYTES + (1 << 30), shutil.disk_usage(directory).free
    if free < needed:
        raise BenchmarkError(
            f"{directory.parent} has {free / 1e9:.1f} GB; the records take {needed / 1e9:.1f} GB"
        )
    path = directory / "callsim" / "data" / "cdr.sqlite"
    path.parent.mkdir(parents=True)
    count = options.rows // WEEKS * WEEKS
    tell(f"making {count:,} records")
    begun = time.monotonic()
    make_store(path, count)
    size = path.stat().st_size
    tell(f"{size / 1e9:.2f} GB after {time.monotonic() - begun:.0f} s; asking")
    times = ask_all(path, options.repeat)
    with SqliteCdrStore(path, lambda _: None) as store:
        made = samples(store, Random(77), options.repeat * (len(REST) + 1), count)
    server = start("callsim", makers_of(options.form)[CALLEE], directory, 600)
    assert isinstance(server, Callsim)
    client = RestClient(server.api, prefix=_PREFIX)
    try:
        times += ask_rest(client, made, options.repeat)
    except RestError as error:
        raise BenchmarkError(f"REST: {error}") from error
    finally:
        client.close()
        problems = server.stop()
    tell("storing more")
    now = write_cost(path, END, entered=True)
    alone = write_cost(path, END + WEEK, entered=False)
    settings = {"rows": count, "repeat": options.repeat, "bytes": size}
    outcome = outcome_of(times, (alone, now), settings)
    outcome.problems += problems
    return outcome


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as told by the command line."""
    parser = tool_parser("records", __doc__)
    parser.add_argument(
        "--rows",
        type=WholeNumber(1000, 100_000_000),
        default=10_000_000,
        help="records in the store, a thirteenth in each week (10,000,000)",
    )
    parser.add_argument(
        "--repeat", type=WholeNumber(1, 1000), default=40, help="of each kind of query (40)"
    )
    return run_tool("records", parser.parse_args(arguments), measure)


if __name__ == "__main__":
    sys.exit(main())
