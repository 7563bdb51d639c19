"""Who may reach the SIP side, and how often: rules by source address, and limits."""

from typing import Annotated, Literal

from pydantic import Field, PlainSerializer, PlainValidator

from simulator.config_base import ANY, Networks, Section
from simulator.config_values import Listen

ListenAddress = Annotated[Listen, PlainValidator(Listen.parse), PlainSerializer(str)]

_ANYBODY: Networks = (ANY,)


class SourceRule(Section):
    """Addresses and networks that may do something at a listener; * any."""

    listen: ListenAddress | None = Field(
        default=None, description="One of sip.listen. Unset: all that have no rule of their own."
    )
    call: Networks = Field(
        default=_ANYBODY, description="Who may call, and ask by OPTIONS whether we are there."
    )
    refer: Networks = Field(
        default=_ANYBODY, description="Who may transfer by REFER, in calls and outside."
    )
    register_: Networks = Field(
        default=_ANYBODY, alias="register", description="Who may log in by REGISTER."
    )
    subscribe: Networks = Field(
        default=_ANYBODY, description="Who may SUBSCRIBE, as far as events.watchers allows it too."
    )
    passwords: bool = Field(
        default=True,
        description="false: nobody is asked for one here, whatever sip.authentication says.",
    )
    others: Literal["403", "silence"] = Field(
        default="403", description="What others get: an answer, or none."
    )


class LimitsSection(Section):
    """What a source may do that is neither this machine nor a configured peer.

    Those are the hosts of routes, server groups, trunks and the outbound proxy (by name, once that
    has been looked up), gateways of dial_plan.location, and sip.authentication.trusted.
    """

    rate: float = Field(
        default=100.0,
        ge=0,
        le=1_000_000,
        description="Requests a second outside of calls; more are dropped, but for a 503 once "
        "a second that is no answer to an INVITE; by TCP and TLS each gets 503. 0: any number.",
    )
    burst: int = Field(
        default=1000, ge=1, le=10_000_000, description="Requests at once, after a pause."
    )
    unacknowledged: int = Field(
        default=300,
        ge=0,
        le=1_000_000,
        description="Calls by UDP whose final answer waits for its ACK at a time; more are "
        "dropped. 0: any number.",
    )
    wrong_passwords: int = Field(
        default=20,
        ge=0,
        le=10_000,
        description="Wrong passwords until a ban, none of them more than 15 minutes after the "
        "last; those of a user are forgiven once the right one came. 0: any number.",
    )
    ban: float = Field(
        default=900.0,
        ge=0,
        le=31_536_000,
        description="Seconds that a source is not heard: after wrong passwords, or when by TCP and "
        "TLS it is another burst over twice its rate. 0: nobody is banned.",
    )
    exempt: Networks = Field(
        default=(), description="Addresses and networks that are not limited, such as a load test."
    )
