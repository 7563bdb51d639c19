"""Timers are put into scenarios that have none, and nothing else is changed."""

import re
import subprocess

import pytest

from scenarios.load.timers import with_byes, with_numbers, with_timers
from scenarios.runner import SCENARIOS, scenario_names, sipp_program

UAC = """<scenario>
<!-- <send>INVITE -->
<send retrans="500"><![CDATA[

INVITE sip:[service]@host SIP/2.0
<recv response="200"/>
]]></send>
<recv response="100" optional="true"/>
<recv response="180" optional="true"/>
<recv response="200" rtd="true"/>
<send><![CDATA[
ACK sip:x SIP/2.0
]]></send>
<recv response="200"/>
</scenario>"""


def test_an_invite_is_timed_to_its_ringing_and_its_answer() -> None:
    text = with_timers(UAC)
    assert '<nop start_rtd="ringing"/>\n<send start_rtd="answer" retrans="500">' in text
    assert '<recv rtd="ringing" response="180" optional="true"/>' in text
    assert '<recv rtd="answer" response="200"/>\n<send><![CDATA[\nACK' in text
    assert text.count("rtd=") == 4
    assert "<!-- <send>INVITE -->" in text


def test_the_200_to_prack_is_no_answer() -> None:
    prack = "<send><![CDATA[\nPRACK sip:x SIP/2.0\n]]></send>\n<recv response='200' a='1'/>\n"
    text = with_timers(UAC.replace('<recv response="200" rtd', prack + '<recv response="200" rtd'))
    assert '<recv rtd="answer" response="200"/>\n<send><![CDATA[\nACK' in text
    assert "<recv response='200' a='1'/>" in text


def test_timers_of_its_own_stay() -> None:
    own = UAC.replace('response="200" rtd="true"', 'response="200" rtd="mine"')
    own = own.replace('retrans="500"', 'start_rtd="mine"')
    text = with_timers(own)
    assert 'start_rtd="mine"' in text
    assert "answer" not in text


def test_a_refer_is_timed_to_the_last_notify() -> None:
    text = with_timers((SCENARIOS / "callee-refers.xml").read_text())
    assert re.search(r'<send start_rtd="refer"[^>]*><!\[CDATA\[\s*REFER', text)
    notifies = re.findall(r'<recv[^>]*request="NOTIFY"', text)
    assert ['rtd="refer"' in tag for tag in notifies] == [False] * (len(notifies) - 1) + [True]
    assert "answer" not in text, "it is called, and sends no INVITE"


@pytest.mark.parametrize("name", scenario_names())
def test_taking_the_timers_out_again_gives_the_scenario(name: str) -> None:
    before = (SCENARIOS / f"{name}.xml").read_text()
    after = re.sub(r'<nop start_rtd="ringing"/>\n', "", with_timers(before))
    assert re.sub(r' (start_)?rtd="(ringing|answer|refer)"', "", after) == before


def test_numbers_come_from_the_file() -> None:
    assert "INVITE sip:[field0]@host" in with_numbers(UAC)


def test_sipp_s_own_caller_is_timed() -> None:
    told = subprocess.run([sipp_program(), "-sd", "uac"], capture_output=True, text=True)
    assert with_timers(told.stdout).count('rtd="answer"') == 2


LOG = '<log message="BYE [call_id] [timestamp]"/>'


@pytest.mark.parametrize(
    ("tag", "logged"),
    [
        ('<recv request="BYE"/>', f'<recv request="BYE"><action>{LOG}</action></recv>'),
        (
            "<recv request='BYE' a='1' />",
            f"<recv request='BYE' a='1' ><action>{LOG}</action></recv>",
        ),
        ('<recv request="BYE"></recv>', f'<recv request="BYE"><action>{LOG}</action></recv>'),
        ('<recv request="BYE">\n <action><x/>', f'<recv request="BYE">\n <action>{LOG}<x/>'),
        ('<recv request="ACK"/>', '<recv request="ACK"/>'),
    ],
)
def test_a_bye_is_logged(tag: str, logged: str) -> None:
    assert with_byes(tag) == logged
