"""Real VXML servers in the configuration."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from simulator.config_base import Section, one_or_many
from simulator.config_values import check_http_url


class VxmlSection(Section):
    """Real VXML servers, for the health operations."""

    servers: Annotated[
        tuple[Annotated[str, AfterValidator(check_http_url)], ...], BeforeValidator(one_or_many)
    ] = Field(
        default=(),
        description="http:// or https://HOST:PORT each; without a path CVP's heartbeat is asked "
        "for (/cvp/VBServlet). While one does not answer, health is degraded.",
    )
    heartbeat: float = Field(
        default=30.0,
        ge=0,
        le=86_400,
        description="Seconds between two heartbeats. 0: only /health/connectivity asks.",
    )
    timeout: float = Field(
        default=8.0,
        ge=0.1,
        le=60,
        description="Seconds for the answer to a heartbeat; CVP takes about 4.",
    )
