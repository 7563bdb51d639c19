"""The misconfigurations that real labs run into [TN178], as changes to a plan that works."""

from dataclasses import dataclass
from typing import Any, Final

from simulator.config import Config
from simulator.demo import Change
from simulator.lab.agents import Agents
from simulator.lab.lab import Lab


def unchanged(config: Config, _lab: Lab) -> Config:
    """The built-in plan, as it is."""
    return config


@dataclass(frozen=True)
class Scenario:
    """One misconfiguration.

    `fault` spoils the plan of `base`; the caller dials `number`, and `then`: once the history
    has an event, a text is shown and another number is dialled. `sign` is what one knows the
    fault by, in the call's history or the log; without the fault it is `good` that stands there.
    `status` is what the caller gets (200: it is answered first), `mended` without the fault.
    """

    title: str
    fault: Change
    number: str
    sign: str
    status: int
    seen: str
    mend: str
    good: str = "connected"
    mended: int = 200
    base: Change = unchanged
    then: tuple[str, str, str] | None = None


def with_sections(**sections: Any) -> Change:
    """These sections laid over the plan, one level deep; lists come before what is there."""

    def change(config: Config, _lab: Lab) -> Config:
        tree = config.model_dump(exclude_defaults=True, mode="json")
        for name, section in sections.items():
            old = tree.get(name)
            if isinstance(section, dict) and isinstance(old, dict):
                tree[name] = {**old, **section}
            elif isinstance(section, list) and isinstance(old, list):
                tree[name] = [*section, *old]
            else:
                tree[name] = section
        return Config.model_validate(tree)

    return change


def without_route(*starts: str) -> Change:
    """No static route for what begins so."""

    def change(config: Config, _lab: Lab) -> Config:
        kept = tuple(route for route in config.routes if not route.pattern.startswith(starts))
        return config.model_copy(update={"routes": kept})

    return change


def _unknown_number(config: Config, _lab: Lab) -> Config:
    kept = tuple(number for number in config.dialed_numbers if number.pattern not in (">", "7>"))
    return config.model_copy(update={"dialed_numbers": kept})


def _significant_digits(config: Config, lab: Lab) -> Config:
    lab.agents.prefix, lab.agents.strict = "606", True
    change = with_sections(
        dial_plan={"significant_digits": 3},
        routes=[{"pattern": "606>", "to": lab.agents.uri}],
    )
    return change(config, lab)


def _vru_by_a_switch(config: Config, lab: Lab) -> Config:
    change = with_sections(
        icm={"vru_label": "8880000000"}, routes=[{"pattern": "888>", "to": lab.vxml.uri}]
    )
    return change(config, lab)


def _digits_stay(config: Config, lab: Lab) -> Config:
    lab.agents.prefix = Agents.prefix
    return config


def _browsing(config: Config, lab: Lab) -> Config:
    lab.vxml.browses = True
    return config


def _wrong_media_url(config: Config, lab: Lab) -> Config:
    lab.vxml.media_server = "http://127.0.0.1:9/en-us/app"  # discard: nobody answers there
    return config


SCENARIOS: Final[dict[str, Scenario]] = {
    "no-customer": Scenario(
        title="A dialed number that the router knows no customer for",
        fault=_unknown_number,
        number="7001",
        sign="ended: SIP 404 no route to this number",
        status=404,
        seen="The router does not know the number: the caller gets 404 before anything else has "
        "been called. No VXML leg, no label; the log says which pattern is missing.",
        mend="dialed_numbers: add the number with its script (in ICM: a Dialed Number with a "
        "customer and a call type).",
        good="self_service",
    ),
    "no-vru-route": Scenario(
        title="No static route for the VRU label",
        fault=without_route("777"),
        number="7001",
        sign="no_route: label 777",
        status=404,
        seen="TEMPORARY_CONNECT comes, but label and correlation id lead nowhere: "
        "CONNECT_FAILURE, a wait for other instructions, then 404.",
        mend="routes: add the VRU label to the VXML gateway. The pattern must end with > for the "
        "correlation id behind the label.",
        good="self_service",
    ),
    "no-network-vru": Scenario(
        title="No label of the network VRU for this routing client",
        fault=with_sections(icm={"vru_label": "9990000000"}),
        number="7001",
        sign="no_route: label 9990000000",
        status=404,
        seen="ICM sends the call to its network VRU by the label of another routing client: the "
        "call server has no way to it. CONNECT_FAILURE, then 404, before any application.",
        mend="icm.vru_label: the label that routes to the VXML gateway (in ICM: a network VRU, and "
        "in it a label for each routing client, such as this call server).",
        good="self_service",
    ),
    "dnis-length": Scenario(
        title="A maximum DNIS length that is not that of the VRU label",
        base=_vru_by_a_switch,
        fault=with_sections(icm={"max_dnis_length": 20}),
        number="7001",
        then=(
            "self_service",
            "The switch between sends the call to the VRU back to the call server.",
            "888000000000001",
        ),
        sign="self_service: welcome",
        status=200,
        seen="The call to the VRU label and correlation id, 15 digits, is not longer than 20: it "
        "is taken for a new call, whose script begins, instead of split and given to the call "
        "that waits for it. REQUEST_INSTRUCTION is missing in the log.",
        mend="icm.max_dnis_length: the length of the VRU label, 10; what is longer is the "
        "correlation id. In ICM the label of the network VRU must have as many digits.",
        good="request_instruction: correlation id 00001: call",
    ),
    "no-ringtone-route": Scenario(
        title="No static route for the ringtone service, 9191",
        fault=without_route("9191"),
        number="7001",
        sign="no_route: ringtone 9191",
        status=200,
        seen="Queue, then silence until the agent answers: the VRU has been released, and nothing "
        "plays in its place. The log names the number without a route; the agent is called all "
        "the same.",
        mend="routes: 9191> to the VXML gateway, which needs the ringtone service on a dial peer "
        "of its own.",
        good="ringtone: 9191",
    ),
    "no-error-route": Scenario(
        title="No static route for the error number, 9292",
        base=with_sections(sip={"error_refer": True}),
        fault=without_route("9292"),
        number="9486",
        sign="no_route: error number 9292",
        status=404,
        seen="The agent is busy, and the caller gets 404 instead of the error message: Destination "
        "URL is null, cannot make the REFER. The code that came first stands in the history only.",
        mend="routes: 9292> to the VXML gateway, which plays the message. Or sip.error_refer: "
        "false, and the code of the failure goes through.",
        good="redirected: 302 to 9292",
        mended=302,
    ),
    "sigdigits": Scenario(
        title="SigDigits that the gateway does not strip",
        base=_significant_digits,
        fault=_digits_stay,
        number="6066000",
        sign="connect_failed: 1001: SIP 404",
        status=404,
        seen="The call server takes 606 off before ICM and puts it before the label again: the "
        "INVITE goes to 6061001. The gateway, which should strip 606, looks for that number and "
        "answers 404.",
        mend="the gateway: a translation rule on the dial peer that strips as many digits as "
        "dial_plan.significant_digits says. Or set that to 0.",
    ),
    "header-passing": Scenario(
        title="SIP headers that do not reach the VXML gateway",
        base=_browsing,
        fault=with_sections(headers={"app_info": ""}),
        number="7001",
        sign="no App-Info",
        status=200,
        seen="The VXML leg is answered, then the gateway hangs up: without App-Info its browser "
        "asks for VoiceXML at port 8000 of whoever sent the INVITE, which behind a proxy is the "
        "proxy.",
        mend="the proxy and the gateway's dial peer: pass headers on (voice service voip, sip: "
        "header-passing). Here: headers.app_info, and no rule under headers.rules that drops it.",
    ),
    "media-url": Scenario(
        title="A media URL where no prompts are",
        fault=_wrong_media_url,
        number="7001",
        sign="error.badfetch",
        status=200,
        seen="The VXML leg is answered, then the gateway hangs up at once: its log has "
        "error.badfetch and the URL. The application has not begun, and the next step of the "
        "script fails in the same way.",
        mend="user.microapp.media_server, app_media_lib and locale (ICM), or the host media-server "
        "of the gateway: fetch the URL of a prompt with a browser first.",
    ),
}
