"""Records of transfers as readers see them."""

from typing import TYPE_CHECKING

from simulator.views import TransferStepView, TransferView

if TYPE_CHECKING:
    from simulator.transfer_log import Step, TransferRecord


def transfer_view(record: "TransferRecord", epoch: float) -> TransferView:
    """A copy of `record`; `epoch` is the loop's time zero in seconds since 1970."""
    return TransferView(
        transfer_type=record.kind,
        method=record.method,
        initiated_by=record.by,
        destination=record.destination,
        label=record.label,
        state=record.state,
        start_time=epoch + record.started,
        end_time=epoch + record.ended if record.ended else None,
        sip_code=record.status or None,
        reason=record.reason,
        steps=[_step_view(step, epoch) for step in record.steps],
    )


def _step_view(step: "Step", epoch: float) -> TransferStepView:
    return TransferStepView(
        time=epoch + step.time,
        leg=step.leg,
        number=step.number,
        session_id=step.session_id,
        direction=step.direction,
        message=step.message,
        sip_code=step.status or None,
        reason=step.reason,
        outcome=_outcome(step.status),
    )


def _outcome(status: int) -> str:
    """What a step means for the transfer: a request waits for its response."""
    if status == 0:
        return "requested"
    if status < 200:
        return "progress"
    return "success" if status < 300 else "failure"
