"""DNS questions and answers as values: what `sip.locate` asks, and a resolver tells it."""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

Kind = Literal["NAPTR", "SRV", "A", "AAAA"]

FAILURE_TTL: Final = 5.0  # RFC 2308 section 7: at most 300


class Query(NamedTuple):
    """A DNS question: `name` in lower case without its last dot."""

    name: str
    kind: Kind


class Naptr(NamedTuple):
    """A NAPTR record, RFC 3403 section 4.1."""

    order: int
    preference: int
    flags: str
    service: str
    regexp: str
    replacement: str


class Srv(NamedTuple):
    """An SRV record, RFC 2782."""

    priority: int
    weight: int
    port: int
    target: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the DNS says to a query; A and AAAA records are addresses in text.

    No records means that there are none (for `ttl` seconds), `failed` that nobody
    could tell: a timeout, SERVFAIL, an answer that cannot be read.
    """

    records: tuple[Naptr | Srv | str, ...] = ()
    ttl: float = 0.0
    failed: bool = False


FAILED: Final = Answer((), FAILURE_TTL, failed=True)
