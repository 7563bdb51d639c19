"""Who may come in while there is more to do than time."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from simulator.config_base import Section, one_or_many
from simulator.patterns import Pattern


def _pattern(text: str) -> str:
    Pattern.parse(text)
    return text


class AdmissionSection(Section):
    """New calls under overload: who is refused gets 503 with Retry-After at once, and leaves no
    trace; calls in progress go on.
    """

    rate: float = Field(
        default=0.0,
        ge=0,
        le=1_000_000,
        description="New calls a second; more get 503. 0: any number, as with CVP.",
    )
    delay: float = Field(
        default=0.2,
        ge=0,
        le=5,
        description="Seconds that a new call may wait for the server while it has more to do "
        "than time; then it gets 503. 0: it waits however long.",
    )
    always: Annotated[
        tuple[Annotated[str, AfterValidator(_pattern)], ...], BeforeValidator(one_or_many)
    ] = Field(
        default=(),
        description="Patterns of numbers, such as 112 and 911, that come in all the same, "
        "above server.max_calls too.",
    )
