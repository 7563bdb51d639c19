"""What an end of a call saw of it: one dialog, from the phone's side."""

from dataclasses import dataclass
from typing import Final, Literal

from sip.usage.session import TERMINATED
from tests.soak.mix_phones import Parting, Partner, Referral, Seat

CANCELLED: Final = 487

Side = Literal["phone", "server", ""]


@dataclass(frozen=True, slots=True)
class End:
    """One dialog; times are those at the call server.

    `status` is the final response to its INVITE, 0 unknown. `left`: the phone hung up or gave
    up; `over`: nothing of it is left. `ended_by` and `ended_at` say who was first to end it
    after the answer; the call server says BYE only as long as it has heard none. `reason` is
    the one in its BYE or CANCEL. `denied`: it came with Retry-After.
    """

    leg_id: str
    outgoing: bool
    number: str
    answered: bool
    status: int
    left: bool
    over: bool
    ended_by: Side = ""
    ended_at: float = 0.0
    reason: str = ""
    cancelled: bool = False  # by the call server
    partners: tuple[Partner, ...] = ()
    referrals: tuple[Referral, ...] = ()
    digits: tuple[float, ...] = ()
    handing_over: bool = False  # a REFER of its phone was to move the other party elsewhere
    moved: bool = False  # and that was told to have succeeded
    denied: bool = False

    @classmethod
    def of(cls, seat: Seat, parting: Parting, delay: float) -> "End":
        """The end that a phone's line saw; what the phone says arrives `delay` seconds later."""
        line = seat.line

        def arrived(at: float) -> float:
            return at + delay if at else 0.0

        heard = set(line.heard)
        session = line.session
        if session.outgoing:
            answered = "Answered" in heard or seat.crossed
            refusals = [response for response in line.responses if response.status >= 300]
            status = 200 if answered else refusals[0].status if refusals else 0
        else:
            refusals = []
            answered = bool(heard & {"Acknowledged", "Hungup", "Closed", "Lost"})
            answered = answered and not seat.refused
            status = 200 if answered else CANCELLED if "Cancelled" in heard else seat.refused
        ended_by: Side = ""
        ended_at = 0.0
        if answered and parting.server_bye:
            ended_by, ended_at = "server", parting.server_bye
        elif answered and parting.phone_bye:
            ended_by, ended_at = "phone", parting.phone_bye + delay
        return cls(
            leg_id=seat.leg_id,
            outgoing=session.outgoing,
            number=seat.number,
            answered=answered,
            status=status,
            left=seat.left,
            over=session.state == TERMINATED,
            ended_by=ended_by,
            ended_at=ended_at,
            reason=parting.reason,
            cancelled=bool(parting.server_cancel),
            partners=tuple(Partner(p.at + delay, p.leg_id, p.number) for p in seat.partners),
            referrals=tuple(
                Referral(r.at - delay, r.number, arrived(r.accepted), arrived(r.told), r.status)
                for r in seat.referrals
            ),
            digits=tuple(at - delay for at in seat.digits),
            handing_over=seat.refer is not None,
            moved=seat.refer is not None and seat.refer.status == 200,
            denied=bool(refusals) and refusals[0].get("retry-after") is not None,
        )
