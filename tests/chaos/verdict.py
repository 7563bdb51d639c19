"""What the caller's log and the records of the server must say of each other."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from simulator.cdr_records import CdrRecord
from simulator.journal import CUT_OFF


@dataclass(slots=True)
class Verdict:
    """Calls in numbers, and those that are `wrong`, each with the reason."""

    answered: int = 0
    ended: int = 0
    records: int = 0
    cut_off: int = 0
    missing: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing is missing, double or wrong."""
        return not (self.missing or self.double or self.wrong)

    def __str__(self) -> str:
        figures = (
            f"{self.answered:,} calls answered, {self.ended:,} of them acknowledged as ended; "
            f"{self.records:,} records, {self.cut_off:,} of calls that a kill cut off; "
            f"{len(self.missing)} missing, {len(self.double)} double, {len(self.wrong)} wrong"
        )
        return "\n".join([figures, *self.missing[:5], *self.double[:5], *self.wrong[:5]])


def judge(log: Iterable[str], records: Iterable[CdrRecord], kills: list[float]) -> Verdict:
    """`log` are the lines of ``caller.xml``, `kills` the times of day of kills, rising.

    A call that was acknowledged as ended has a record of its own end, one that was answered
    and not that has one of some kind; and within one run of the server no call has two. (An
    INVITE that is sent again after a restart is a new call to the server.)
    """
    said: dict[str, set[str]] = {"answered": set(), "ended": set()}
    for line in log:
        what, call_id, method = (*line.split(), "", "", "")[:3]
        if what in said and method in ("", "BYE"):  # or 200 to INVITE came once more
            said[what].add(call_id)
    answered, ended = said["answered"], said["ended"]
    by_call: dict[str, list[CdrRecord]] = defaultdict(list)
    verdict = Verdict(len(answered), len(ended))
    for record in records:
        by_call[record.sip_call_id].append(record)
        verdict.records += 1
        verdict.cut_off += record.error_code == CUT_OFF
        if record.error_code == CUT_OFF:
            if not kills or record.call_start_time > kills[-1] * 1000:
                verdict.wrong.append(f"{record.call_guid}: cut off, and nobody killed the server")
            if record.call_result != "error":
                verdict.wrong.append(f"{record.call_guid}: cut off, and {record.call_result}")
    for call_id in answered | ended:
        found = by_call.get(call_id, [])
        if not found:
            verdict.missing.append(f"{call_id}: no record")
        whole = [record for record in found if record.error_code != CUT_OFF]
        if call_id in ended and len(whole) != 1:
            list_ = verdict.double if whole else verdict.missing
            list_.append(f"{call_id}: {len(whole)} records of its end")
    for call_id, found in by_call.items():
        runs = Counter(bisect_right(kills, one.call_start_time / 1000) for one in found)
        if max(runs.values()) > 1:
            verdict.double.append(f"{call_id}: {[one.call_start_time for one in found]}")
    return verdict
