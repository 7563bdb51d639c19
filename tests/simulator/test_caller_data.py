"""UUI and GTD of a caller, as ECC variables (CVP.md section 2)."""

from simulator.caller_data import UUI, _fitting, gtd_variables, uui_of
from tests.support.builders import request

GTD = b"IAM,\r\nPRN,isdn*,,ATT4*,\r\nUUS,3,31323334\r\nUUS,3,ff\r\nCGN,04,,1,y,4,5551234\r\n"


def test_what_a_gtd_tells() -> None:
    assert gtd_variables(GTD, frozenset(("UUS",))) == {UUI: "31323334"}
    assert gtd_variables(GTD, frozenset(("CGN", "PRN"))) == {
        "user.gtd.prn": "isdn*,,ATT4*,",
        "user.gtd.cgn": "04,,1,y,4,5551234",
    }
    assert gtd_variables(b"", frozenset(("UUS",))) == {}
    assert gtd_variables(b"UUS", frozenset(("UUS",))) == {}


def test_the_user_to_user_information_of_a_caller() -> None:
    gtd = {"Content-Type": "application/gtd"}
    assert uui_of(request(headers={"User-to-User": "00c1 ;encoding=hex"})) == "00c1"
    assert uui_of(request(headers=gtd, body=GTD.decode())) == "31323334"
    assert uui_of(request(headers={**gtd, "User-to-User": "ab"}, body=GTD.decode())) == "ab"
    assert uui_of(request(headers=gtd, body="IAM,\r\n")) == ""
    assert uui_of(request()) == ""


def test_a_value_is_cut_where_an_ecc_variable_ends() -> None:
    assert _fitting("x" * 300) == "x" * 210
    assert _fitting("ä" * 150) == "ä" * 105
    assert _fitting("a\tb\r\n") == "a b  "
    assert _fitting("a\udce9") == "a "
