"""The page around the views: for everybody, on every screen, whatever peers and servers do."""

import re
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, Page, expect

from scenarios.server import ServerProcess
from tests.console.support import VIEWS, Console, no_complaints, open_console, opened


def test_nothing_is_cut_off_on_a_phone(browser: Browser, console: Console, busy: str) -> None:
    with open_console(browser, console.server, width=360, height=740) as phone:
        for view in [*VIEWS, "call"]:
            page = opened(phone, view, busy)
            for part in ("document.documentElement", "document.getElementById('main')"):
                excess = page.evaluate(f"{part}.scrollWidth - {part}.clientWidth")
                assert excess <= 0, (view, part)
        no_complaints(phone)


def test_the_keyboard_skips_to_the_content_and_goes_on_there(console: Console, page: Page) -> None:
    console.open("calls")
    expect(page.locator("h1")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Search")).to_be_focused()


def test_the_theme_is_kept(console: Console, page: Page) -> None:
    console.open("health")
    background = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(background)
    page.get_by_label("Theme").select_option("dark")
    assert page.evaluate(background) != light
    page.reload()
    expect(page.get_by_label("Theme")).to_have_value("dark")
    assert page.evaluate(background) != light


def test_a_dialog_goes_with_its_view(console: Console, page: Page) -> None:
    console.open("health")
    expect(page.get_by_role("heading", name="Health")).to_be_visible()
    console.open("calls")
    page.get_by_role("button", name="Place a test call").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Health")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_view_that_there_is_not(console: Console, page: Page) -> None:
    console.open("nothing")
    expect(page.get_by_role("alert")).to_contain_text("nothing")


MARKUP = "<img/src=x/onerror=document.title='hit'>"
TURNED = "\u202e0001"
INVITE = (
    "INVITE sip:5000@{host} SIP/2.0\r\n"
    "Via: SIP/2.0/UDP {own};branch=z9hG4bKevil;rport\r\nMax-Forwards: 70\r\n"
    'From: "{markup}" <sip:%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E@evil.invalid>;tag=evil\r\n'
    "To: <sip:5000@{host}>\r\nCall-ID: {markup}{turned}\r\nCSeq: 1 INVITE\r\n"
    "Contact: <sip:evil@{own}>\r\nX-Evil: {markup}\r\nUser-to-User: {markup}\r\n"
    'P-Asserted-Identity: "{markup}" <sip:evil@evil.invalid>\r\n'
    "Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{sdp}"
)
SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 9 RTP/AVP 0\r\n"
)


def converse(caller: socket.socket, host: str, own: str) -> None:
    """Acknowledge the 200, answer the BYE with one; until the caller is closed."""
    with suppress(OSError):
        while data := caller.recv(65_535):
            first, *lines = data.decode().split("\r\n")
            kept = "".join(
                f"{line}\r\n" for line in lines if re.match("(?i)(from|to|call-id):", line)
            )
            rest = "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
            if first.startswith("SIP/2.0 200"):
                via = f"Via: SIP/2.0/UDP {own};branch=z9hG4bKack;rport\r\n"
                ack = f"ACK sip:5000@{host} SIP/2.0\r\n{via}{kept}CSeq: 1 ACK\r\n{rest}"
                caller.send(ack.encode())
            elif first.startswith("BYE"):
                more = "".join(f"{one}\r\n" for one in lines if re.match("(?i)(via|cseq):", one))
                caller.send(f"SIP/2.0 200 OK\r\n{more}{kept}Content-Length: 0\r\n\r\n".encode())
                return


@pytest.fixture
def evil(server: ServerProcess) -> Iterator[str]:
    """A call whose caller says markup wherever it may say something; its GUID."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as caller:
        caller.connect(server.sip)
        own = "{}:{}".format(*caller.getsockname())
        host = "{}:{}".format(*server.sip)
        text = INVITE.format(
            host=host, own=own, markup=MARKUP, turned=TURNED, length=len(SDP), sdp=SDP
        )
        talking = Thread(target=converse, args=(caller, host, own))
        talking.start()
        caller.send(text.encode())
        yield server.wait_for_call()["callGuid"]
        server.extension("POST", "/sim/v1/reset")
        talking.join()


def test_what_a_caller_writes_is_text(console: Console, evil: str, page: Page) -> None:
    console.open("calls")
    expect(page.locator("tr.row td").first).to_contain_text("img")
    page.locator("tr.row a").click()
    shown = page.get_by_role("region", name="Details")
    expect(shown).to_contain_text(f"{MARKUP}\ufffd0001")  # what would turn the text is seen
    expect(page.get_by_role("region", name="Legs").first).to_contain_text(MARKUP)
    page.get_by_role("button", name="Terminate \u2026").click()
    page.get_by_role("button", name="Terminate", exact=True).click()
    expect(page.get_by_role("heading", name="Call detail record")).to_be_visible()
    expect(page.locator(".facts")).to_contain_text(MARKUP)
    assert page.locator("main img").count() == 0
    assert page.title() == "Call \u2013 Callsim"


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_server_that_is_started_anew(browser: Browser, tmp_path: Path) -> None:
    options = ["--api", f"http://127.0.0.1:{free_port()}"]
    first = ServerProcess(tmp_path, lab=True, options=options)
    try:
        with open_console(browser, first) as console:
            page = console.open("calls")
            console.call("1002", "5000")
            rows = page.locator("tr.row")
            expect(rows).to_have_count(1)
            first.kill()
            expect(page.locator("#link")).to_contain_text("connection lost")
            expect(rows).to_have_count(1)
            with ServerProcess(tmp_path, lab=True, options=options) as second:
                console.server = second
                expect(page.locator("#link")).to_have_text("live")
                expect(rows).to_have_count(0)
                console.call("1003", "5000")
                expect(rows).to_contain_text(["1003"])
                no_complaints(console)
    finally:
        first.kill()
