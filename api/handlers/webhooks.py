"""Webhooks: who gets events posted, and what could not be delivered."""

from typing import Final

from api.handlers.transfers import SIM_PREFIX
from api.keys import CallServer
from api.operations import Operations
from api.webhook_models import (
    DeadLetter,
    DeadLetters,
    NewWebhook,
    Redelivery,
    Webhook,
    WebhookRequest,
)
from api.webhook_models import Webhooks as WebhookList
from api.webhooks import Webhook as Hook
from api.webhooks import Webhooks, origin
from simulator.audit_trail import Requester

webhooks: Final = Operations("Webhooks", SIM_PREFIX)

_UNKNOWN: Final = "no such webhook"


# A URL can hold what lets its owner in, so that looking takes as much as changing.
@webhooks.add("GET", "/webhooks", "webhooks", role="admin")
async def list_webhooks(server: CallServer, webhooks: Webhooks) -> WebhookList:
    """The webhooks, and how their deliveries go."""
    return WebhookList(
        webhooks=[Webhook.model_validate(_shown(h)) for h in webhooks.hooks.values()]
    )


@webhooks.add(
    "POST",
    "/webhooks",
    "the webhook, with its secret",
    status=201,
    errors={409: "there are too many webhooks", 503: "too many read the events already"},
    once=True,
)
async def create_webhook(
    server: CallServer, who: Requester, webhooks: Webhooks, body: WebhookRequest
) -> NewWebhook:
    """Have events posted, from now on and until the server stops.

    Each is a POST of its JSON, signed as Standard Webhooks says: webhook-id, webhook-timestamp
    and webhook-signature, HMAC-SHA256 over id, timestamp and body with dots between. One that
    is not answered 2xx within 10 seconds is tried again, 8 times in two minutes; the events
    behind it wait, so that they come in order. Then it is a dead letter.
    """
    types = frozenset[str](body.event_types) or None
    hook = webhooks.add(body.url, types, body.secret or None)
    trail = server.administration.trail
    await trail.record(who, "create", "webhook", hook.webhook_id, None, _recorded(hook))
    return NewWebhook.model_validate(_shown(hook) | {"secret": hook.secret})


@webhooks.add("GET", "/webhooks/{webhookId}", "the webhook", errors={404: _UNKNOWN}, role="admin")
async def get_webhook(server: CallServer, webhooks: Webhooks, webhook_id: str) -> Webhook:
    """One webhook, and how its deliveries go."""
    return Webhook.model_validate(_shown(webhooks.find(webhook_id)))


@webhooks.add("DELETE", "/webhooks/{webhookId}", "deleted", status=204, errors={404: _UNKNOWN})
async def delete_webhook(
    server: CallServer, who: Requester, webhooks: Webhooks, webhook_id: str
) -> None:
    """Post no more there; its dead letters go with it."""
    before = _recorded(webhooks.find(webhook_id))
    webhooks.remove(webhook_id)
    trail = server.administration.trail
    await trail.record(who, "delete", "webhook", webhook_id, before)


@webhooks.add(
    "GET",
    "/webhooks/{webhookId}/dead-letters",
    "dead letters",
    errors={404: _UNKNOWN},
    role="admin",
)
async def list_dead_letters(server: CallServer, webhooks: Webhooks, webhook_id: str) -> DeadLetters:
    """The last 1000 events that a receiver did not take."""
    dead = webhooks.find(webhook_id).dead
    return DeadLetters(dead_letters=[DeadLetter.model_validate(letter) for letter in dead])


@webhooks.add(
    "POST",
    "/webhooks/{webhookId}/dead-letters/redeliver",
    "they are being posted",
    status=202,
    errors={404: _UNKNOWN},
    once=True,
)
async def redeliver_dead_letters(
    server: CallServer, who: Requester, webhooks: Webhooks, webhook_id: str
) -> Redelivery:
    """Post all dead letters again, before anything new."""
    redelivered = webhooks.resend(webhook_id)
    after = {"redelivered": redelivered}
    trail = server.administration.trail
    await trail.record(who, "redeliver", "webhook", webhook_id, None, after)
    return Redelivery(webhook_id=webhook_id, redelivered=redelivered)


def _shown(hook: Hook) -> dict[str, object]:
    return {
        "webhook_id": hook.webhook_id,
        "url": hook.url,
        "event_types": sorted(hook.types or ()),
        "created": hook.created,
        "delivered": hook.delivered,
        "lost": hook.lost,
        "dead_letters": len(hook.dead),
        "last_delivery": hook.last_delivery,
        "last_error": hook.last_error,
    }


def _recorded(hook: Hook) -> dict[str, object]:
    """What the audit trail shows: path and query of a URL may be secrets."""
    return {"url": origin(hook.url), "eventTypes": sorted(hook.types or ())}
