"""Service numbers in the configuration [CG-CS]."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from simulator.config_base import Section

_NUMBER: Final = re.compile(r"[A-Za-z0-9]{0,32}", re.ASCII)


def _number(text: str) -> str:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a service number: letters and digits, 32 at most")
    return text


Number = Annotated[str, AfterValidator(_number)]


class ServicesSection(Section):
    """Numbers of what the voice gateway plays; they take their way as labels do. "": none."""

    ringtone: Number = Field(
        default="9191", description="What a caller hears from the queue to the agent's answer."
    )
    error: Number = Field(
        default="9292", description="Where a failed call is sent if sip.error_refer is on."
    )
    whisper: Number = Field(
        default="9191919100", description="What an agent hears before the caller is joined."
    )
    greeting: Number = Field(
        default="9191919101", description="The voice browser that plays an agent's greeting."
    )
    longest: float = Field(
        default=30.0, gt=0, le=300, description="Seconds after which an announcement is cut off."
    )
    vru_return: Number = Field(
        default="",
        description="Label of the VXML gateway for a call that has come back from the VRU, its "
        "correlation id appended. Unset: icm.vru_label, whose route must not lead back here then.",
    )
