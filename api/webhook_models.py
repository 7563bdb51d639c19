"""The schemas of webhooks."""

import base64
import binascii
from datetime import datetime
from typing import Annotated, Final

from pydantic import AfterValidator, Field
from pydantic.json_schema import SkipJsonSchema

from api.event_models import Event
from api.models import OptionalText, Reply, Request, Text
from api.webhooks import SECRET_PREFIX, check_url
from simulator.event_views import EventType

_MAX_URL: Final = 2000
_SECRET: Final = f"^{SECRET_PREFIX}[A-Za-z0-9+/]{{32,86}}={{0,2}}$"


def _key(secret: str) -> str:
    try:
        size = len(base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True))
    except binascii.Error:
        size = 0
    if not secret.startswith(SECRET_PREFIX) or not 24 <= size <= 64:
        raise ValueError(f"must be {SECRET_PREFIX} and 24 to 64 bytes in Base64")
    return secret


class WebhookRequest(Request):
    """Where events are to be posted."""

    url: Annotated[
        str,
        Field(
            max_length=_MAX_URL,
            json_schema_extra={"format": "uri"},
            description="Where to post them: http or https. A 2xx says that an event was taken.",
        ),
        AfterValidator(check_url),
    ]
    event_types: list[EventType] = Field(
        default_factory=list, description="Only events of these types; all where there is none."
    )
    secret: Annotated[str, Field(json_schema_extra={"pattern": _SECRET}), AfterValidator(_key)] = (
        Field("", description="What to sign with; without it one is made.", validate_default=False)
    )


class Webhook(Reply):
    """One webhook. `lost` counts events that its receiver was too slow for."""

    webhook_id: Text
    url: Text
    event_types: list[Text]
    created: datetime
    delivered: int
    lost: int
    dead_letters: int
    last_delivery: datetime | SkipJsonSchema[None] = None
    last_error: OptionalText = None


class NewWebhook(Webhook):
    """A webhook with its secret, which is shown this once."""

    secret: Text


class Webhooks(Reply):
    """All webhooks, the oldest first."""

    webhooks: list[Webhook]


class DeadLetter(Reply):
    """An event that its receiver did not take, after so many attempts."""

    event: Event
    attempts: int
    error: Text
    failed: datetime


class DeadLetters(Reply):
    """The last ones, the oldest first."""

    dead_letters: list[DeadLetter]


class Redelivery(Reply):
    """How many events are posted again."""

    webhook_id: Text
    redelivered: int
