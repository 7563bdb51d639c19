"""What is dialled in the mix, and the plans that its call server has, one after the other."""

from random import Random
from typing import Any, Final

from scenarios.flows.plan import PLAN, SHORT
from tests.support.stage import lay

MENU: Final = "menu"
"""The application that takes a digit; the gateway has a result of no other."""

NUMBERS: Final = (
    "5000 6000 6001 6000 7000 7001 7100 7400 7500 7600 7600 7700 7800 3000 2000 4000 8000 "
    "9404 9486 9503 9999"
).split()
TARGETS: Final = "1001 1002 1003 7000 3000 4000 9486 9404".split()
LABELS: Final = (
    "1002;CLI=5550000 rf1002 rf1002 rf1003 DTMF*8,,,4441234 TBCT99#8005551212# HF,,,12".split()
)
SURVIVES: Final = 'Remote-Party-ID: "5551234--CVP" <sip:5551234@example.com>;party=calling\r\n'
PLAIN: Final = 'Remote-Party-ID: "Ada" <sip:5551234@example.com>;party=calling\r\n'

VRU: Final = "7770000000"
VRU_RETURN: Final = "7780000000"
VOICE: Final = ("777", "778", "9191")
"""How the numbers begin that lead to the VXML gateway, or there by way of the switch."""
ERROR_NUMBER: Final = "9292"
ANNOUNCEMENT: Final = "9191919"

ANSWERS: Final[tuple[dict[str, Any] | str, ...]] = (
    {"label": "1002"},
    {"label": "1003"},
    {"label": "9486"},
    {"queue": {"skill_group": "support", "seconds": 5}},
    {"run_application": {"application": MENU, "seconds": 3}},
    {"set": {"callVariable1": "{dnis}"}},
    {"release": {"status": 480}},
    "no answer within 2 s",
)
"""What the router of the user decides; text is a problem."""


def _agents(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last)]


SECTIONS: Final[dict[str, Any]] = {
    "services": {"longest": 3, "vru_return": VRU_RETURN},
    "icm": {
        "webhook": {"url": "http://127.0.0.1:9/"},
        "scripts": {
            "support": [
                {"self_service": {"application": "accounts", "seconds": SHORT}},
                {"queue": {"skill_group": "support"}},
            ],
            "broken": [
                {"self_service": {"application": "claims", "seconds": SHORT}},
                {"connect": {"label": "9486"}},
            ],
            "long": [
                {"self_service": {"application": "bank", "seconds": 3}},
                {"queue": {"skill_group": "support", "seconds": 20}},
                {"connect": {"label": "1003"}},
            ],
            "sales": [
                {"self_service": {"application": "offers", "seconds": SHORT}},
                {"queue": {"skill_group": "sales"}},
            ],
            "own_router": [
                {"name": "ask", "webhook": {}},
                {"connect": {"label": "1002"}},
            ],
            "menu": [
                {
                    "name": "menu",
                    "run_application": {
                        "application": MENU,
                        "seconds": 8,
                        "variable": "digits",
                        "branches": {"1": "agent", "5": "wait"},
                        "on_failure": "agent",
                    },
                },
                {"name": "wait", "queue": {"skill_group": "support"}},
                {"name": "agent", "connect": {"label": "1003"}},
            ],
        },
        "skill_groups": {
            "support": {"wait": 1, "agents": _agents(1001, 1101)},
            "callback": {"wait": SHORT, "agents": _agents(1101, 1151)},
            "sales": {
                "wait": SHORT,
                "whisper": "sales.wav",
                "greeting": "hello.wav",
                "agents": _agents(1151, 1251),
            },
        },
        "agents": {number: {"max_calls": 1} for number in _agents(1001, 1251)},
        "callback": {"attempts": 2, "interval": 3},
    },
}
QUEUES: Final = frozenset(name for part in (PLAN, SECTIONS) for name in part["icm"]["skill_groups"])
"""Skill groups; no application has such a name."""


def draw_plan(random: Random, calls: int, switch: str) -> dict[str, Any]:
    """A plan for the calls to come, while `calls` are up; `switch` is the CUCM's SIP URI."""
    plan = lay(PLAN, SECTIONS)
    pick = random.choice
    plan["sip"] = {"error_refer": pick([False, True])}
    most = calls + random.randrange(20) if calls else -1
    plan["server"] = {"max_calls": pick([-1, -1, -1, most])}
    plan["transfer"] = {
        **plan["transfer"],
        "consultation": pick(["automatic", "manual", "manual"]),
        "replaces": pick([False, True]),
        "consultation_caller": pick(["hold", "ringtone"]),
    }
    plan["sdp"] = {"mid_call": pick(["offer", "offer", "offerless"])}
    plan["routes"] = pick([[], [], [f"{VRU}>={switch}"]])
    plan["dialed_numbers"] = [
        {"pattern": "8>", "script": "long"},
        {"pattern": "76XX", "script": "sales", "ring_no_answer": 2},
        {"pattern": "77XX", "script": "own_router", "ring_no_answer": 2},
        {"pattern": "78XX", "script": "menu", "ring_no_answer": 2},
        *plan["dialed_numbers"],
    ]
    return plan
