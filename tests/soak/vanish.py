"""Peers that vanish: the mix in memory, where the far end of some legs is gone from one moment
to the next, without a word, and is never heard of again.

Nothing is set for it: what ends such calls are the timers of transactions, the time to ring,
the people at the other legs, and in the end the audit of old calls (`sip.audit`: after two
hours, an UPDATE every two minutes).
"""

from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any, Final

from simulator.cdr_records import CdrRecord
from simulator.config import Config
from sip.timers import Timers
from sip.transport import Address
from sip.usage.session import TERMINATED
from tests.simulator.flows.phones import Line
from tests.soak.ends import End
from tests.soak.mix import PATIENCE, RATE
from tests.soak.mix_phones import Parting, Seat
from tests.soak.mix_verdict import Asked, judge
from tests.soak.mix_virtual import VirtualMix
from tests.support.network import Network, Packet

MOMENTS: Final = (0.05, 0.5, 2.0, 10.0, 30.0)
"""Seconds within which a far end vanishes: as often in the first steps of a leg as later on."""

LICENCES: Final = 100_000
LOST: Final = 408

_CALL_ID: Final = b"\r\nCall-ID: "
_SUBSCRIPTION: Final = 301.0  # seconds: a REFER of which no more is heard


class VanishingNetwork(Network):
    """Packets of the dialogs in `gone` (Call-IDs) come from nobody, and reach nobody."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, latency=0.02)
        self.gone: set[str] = set()
        self.server: Address = ("", 0)

    def post(self, source: Address, target: Address, data: bytes, transport: str = "UDP") -> None:
        """Only what the call server sends is on the wire then."""
        if not self.gone or _call_id(data) not in self.gone:
            super().post(source, target, data, transport)
        elif source == self.server:
            self.log.append(Packet(self.now, "server", "nobody", data, lost=True))


def _call_id(data: bytes) -> str:
    at = data.index(_CALL_ID) + len(_CALL_ID)
    return data[at : data.index(b"\r", at)].decode()


class VanishMix(VirtualMix):
    """The far end of each leg may vanish, with the probability `share`.

    `vanished` says when, by leg; `who` counts them by phone, `noticed` what became of the calls.
    """

    def __init__(self, seed: int, calls: int, share: float, rate: float = RATE) -> None:
        self.share = share
        self.fate = Random(f"{seed} vanish")
        self.vanished: dict[str, float] = {}
        self.who: Counter[str] = Counter()
        self.noticed: Counter[str] = Counter()
        self.left: dict[str, Any] = {}  # in the tables, 64*T1 after the last audit
        self.dark = VanishingNetwork(seed)
        super().__init__(seed, calls, rate, self.dark)
        self.dark.server = self.world.party.address

    def config(self) -> Config:
        """As in the mix, but that no call is turned away; each takes a licence."""
        config = super().config()
        server = config.server.model_copy(update={"max_calls": -1, "licences": LICENCES})
        return config.model_copy(update={"server": server})

    def _sit(self, guid: str, line: Line, number: str) -> Seat:
        seat = super()._sit(guid, line, number)
        if self.fate.random() < self.share:
            most = self.fate.choice(MOMENTS)
            at = self.network.now + self.fate.random() * most
            self.network.at(at, lambda: self.vanish(line))
        return seat

    def vanish(self, line: Line) -> None:
        """Its host dies, if the leg is not over; a switch takes both its legs along."""
        seat = self.seats.get(line)
        if seat is None or line.session.state == TERMINATED or seat.leg_id in self.vanished:
            return
        self.vanished[seat.leg_id] = self.network.now
        self.who[line.phone.name] += 1
        self.dark.gone.add(line.session.dialog.call_id)
        self.leave(line)  # nobody hears of it, and nothing is left in the tables of the phone
        other = self.switch.pairs.pop(line, None)
        if other is not None:
            self.switch.pairs.pop(other, None)
            self.vanish(other)

    def finish(self) -> None:
        """Until the audit has found the last of them, and 64*T1 more."""
        audit = self.server.config.sip.audit
        last = self.calls / self.rate + PATIENCE + audit.older_than + audit.every
        self.network.run(last + _SUBSCRIPTION + 2 * Timers().timeout + 1.0)
        self.left = self.leftovers()
        self.wrong += [f"64*T1 later: {name} {what}" for name, what in self.left.items()]
        super().finish()  # for the verdict

    def leftovers(self) -> dict[str, Any]:
        """And calls without a record, licences that are taken."""
        more = {
            "without a record": self.records.alive,
            "licences": self.server.licences.used,
        }
        return {name: value for name, value in more.items() if value} | super().leftovers()

    # Judging.

    def _end(self, seat: Seat) -> End:
        """One that has vanished did not see how it ended; the wire did."""
        bye = self.log.partings.get(seat.leg_id, Parting()).server_bye
        end = super()._end(seat)
        if seat.leg_id in self.vanished and bye and not end.ended_by:
            return replace(end, answered=True, ended_by="server", ended_at=bye)
        return end

    def verdict(self, record: CdrRecord, ends: list[End], asked: Asked) -> list[str]:
        """Right is what a far end says that is gone by error 408, or what else has ended it."""
        codes = {
            leg.leg_id: leg.sip_response_code for leg in record.legs if leg.leg_id in self.vanished
        }
        if not codes:
            return super().verdict(record, ends, asked)
        lost = record.call_result == "error" and record.error_code == str(LOST)
        if lost and LOST in codes.values():
            age = (record.call_end_time - record.call_start_time) / 1000
            old = age >= self.server.config.sip.audit.older_than
            self.noticed["found by the audit" if old else "did not answer"] += 1
            return []
        self.noticed[f"{record.call_result} otherwise"] += 1
        ended = record.call_end_time / 1000 - self.epoch
        told = [
            _as_told(end, codes[end.leg_id], ended) if end.leg_id in codes else end for end in ends
        ]
        return judge(record, told, asked, self.epoch, codes)


def _as_told(end: End, status: int | None, ended: float) -> End:
    """What the call server can know of an end that is gone; its BYE may wait for an ACK."""
    at = ended if end.ended_by == "server" else end.ended_at
    return replace(end, status=status or 0, ended_at=at)
