"""The plan that the flows share, and who has which number in it.

Where the router chooses among agents a flow has a group of its own: who was idle longest
must not depend on the flows before.
"""

from typing import Any, Final

SHORT: Final = 0.3
"""Seconds that anything scripted takes: far longer than a round trip, short to wait for."""

PLAN: Final[dict[str, Any]] = {
    "sip": {"error_refer": False},
    "dialed_numbers": [
        {"pattern": "5>", "script": "standalone", "call_type": "post_route"},
        {"pattern": "6>", "label": "1001", "ring_no_answer": 5},
        {"pattern": "6002", "label": "1002", "ring_no_answer": 5},
        {"pattern": "4>", "label": "1003", "ring_no_answer": 1},
        {"pattern": "7>", "script": "support", "ring_no_answer": 1},
        {"pattern": "796X", "script": "menu"},
        {"pattern": "797X", "script": "whispered"},
        {"pattern": "798X", "script": "greeted"},
        {"pattern": "71XX", "script": "patient"},
        {"pattern": "72XX", "script": "second_line"},
        {"pattern": "73XX", "script": "third_line", "ring_no_answer": 1},
        {"pattern": "74XX", "script": "broken"},
        {"pattern": "75XX", "script": "callback"},
        {"pattern": "9XXX", "label": "{dnis}"},
        {"pattern": ">", "script": "self_service"},
    ],
    "icm": {
        "wait": 0,
        "scripts": {
            "standalone": [{"answer": {}}],
            "support": [
                {"self_service": {"application": "support", "seconds": SHORT}},
                {"queue": {"skill_group": "support"}},
            ],
            "menu": [
                {"run_application": {"application": "menu", "branches": {"2": "agent"}}},
                {"release": {}},
                {"label": "1002", "name": "agent"},
            ],
            "whispered": [{"queue": {"skill_group": "whispered"}}],
            "greeted": [{"queue": {"skill_group": "greeted"}}],
            "second_line": [{"queue": {"skill_group": "second_line"}}],
            "third_line": [{"queue": {"skill_group": "third_line"}}],
            "broken": [
                {"self_service": {"application": "support", "seconds": SHORT}},
                {"connect": {"label": "9486"}},
            ],
            "callback": [
                {"self_service": {"application": "offer", "seconds": SHORT}},
                {"callback": {"skill_group": "callback"}},
                {"self_service": {"application": "confirm", "seconds": SHORT}},
                {"queue": {"skill_group": "callback"}},
            ],
            "patient": [{"queue": {"skill_group": "night"}}],
            "self_service": [{"self_service": {"application": "welcome"}}],
        },
        "skill_groups": {
            "support": {"wait": SHORT, "agents": ["1001"]},
            "whispered": {"wait": SHORT, "agents": ["1001"], "whisper": "sales.wav"},
            "greeted": {"wait": SHORT, "agents": ["1001"], "greeting": "hello.wav"},
            "second_line": {"agents": ["1011", "1012"]},
            "third_line": {"agents": ["1021", "1022"]},
            "callback": {"wait": SHORT, "agents": ["1031"]},
            "night": {"wait": 20, "agents": ["1001"]},
        },
        "agents": {
            number: {"max_calls": 1} for number in "1001 1002 1011 1012 1021 1022 1031".split()
        },
        "callback": {"lead": 0},
    },
    "transfer": {"ring_no_answer": 2},
}

APPLICATIONS: Final[dict[str, Any]] = {
    "menu": [
        {
            "collect": {
                "into": "choice",
                "prompt": "For sales press 1, for support press 2",
                "accept": ["1", "2"],
                "first_digit_timeout": 60,
            }
        },
        {"prompt": {"text": "One moment please", "seconds": SHORT}},
        {"exit": {"result": "{choice}"}},
    ]
}
"""What the VXML gateway runs, where a flow has it take RUN_SCRIPT_REQ."""

OTHERWISE: Final[dict[str, Any]] = {
    "sip": {"error_refer": True},
    "server": {"max_calls": 1},
    "transfer": {"consultation": "manual", "replaces": False},
}
"""What some flows need otherwise than in the plan: all in one, since each takes a server."""
