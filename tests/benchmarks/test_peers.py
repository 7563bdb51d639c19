"""Peers are found where they are installed, and told to be what their experts make of them."""

import json
import os
import shutil
import socket
import sys
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks import cores
from benchmarks.cores import Side, placed
from benchmarks.forms import ROOT, callsim_forms, changed, checked
from benchmarks.peers import (
    ASTERISK,
    ASTERISK_CALLEE,
    KAMAILIO,
    SIPPY,
    Kamailio,
    Peer,
    asterisk_files,
    descendants,
    installed_peers,
    kamailio_config,
    udp_port_is_open,
)
from benchmarks.rest_client import RestClient
from benchmarks.slices import run_slice
from benchmarks.subjects import (
    BACK_TO_BACK,
    CALLEE,
    BenchmarkError,
    Scraped,
    SippUas,
    start,
)


def program(directory: Path, name: str, text: str = "exit 0") -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_what_is_on_the_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "asterisk")
    python = program(tmp_path, "python-with-sippy")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = installed_peers(python)
    assert {ASTERISK, ASTERISK_CALLEE, SIPPY} <= set(found)


def test_a_python_without_sippy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"--sippy: .* can import sippy"):
        installed_peers(program(tmp_path, "python", "exit 1"))
    with pytest.raises(BenchmarkError, match="--sippy"):
        installed_peers(tmp_path / "missing")


def test_asterisk_answers_or_dials_and_keeps_out_of_the_media(tmp_path: Path) -> None:
    alone = asterisk_files(tmp_path, 5070, None)
    assert "exten = _X.,1,Answer()" in alone["extensions.conf"]
    assert "bind = 127.0.0.1:5070" in alone["pjsip.conf"]
    assert "[callee]" not in alone["pjsip.conf"]
    assert f"astrundir => {tmp_path}/run" in alone["asterisk.conf"]
    between = asterisk_files(tmp_path, 5070, "sip:127.0.0.1:5080")
    assert "exten = _X.,1,Dial(PJSIP/callee)" in between["extensions.conf"]
    assert "contact = sip:127.0.0.1:5080" in between["pjsip.conf"]
    assert between["pjsip.conf"].count("direct_media = no") == 2
    assert alone["cdr.conf"] == "[general]\nenable = no\n"


def test_kamailio_has_one_child_and_stays_in_the_path() -> None:
    config = kamailio_config(5070, "sip:127.0.0.1:5080")
    assert "children=1" in config
    assert "record_route();" in config
    assert '$du = "sip:127.0.0.1:5080";' in config
    assert "listen=udp:127.0.0.1:5070" in config


@pytest.mark.skipif(
    not shutil.which("kamailio", path=f"{os.environ['PATH']}:/usr/sbin"), reason="no kamailio"
)
def test_kamailio_is_measured_with_all_its_processes(tmp_path: Path) -> None:
    server = start(KAMAILIO, installed_peers()[KAMAILIO], tmp_path, 60)
    try:
        found = run_slice(server, tmp_path / "caller", 50, 1)
        assert isinstance(server, Kamailio)
        assert len(server.processes()) > 1
        assert server.joined(50) == []
    finally:
        server.stop()
    assert found.problems == ()
    assert found.answers["180"] == found.answers["200"] == 50
    assert found.cpu_us > 0


def test_a_peer_that_does_not_start_says_why(tmp_path: Path) -> None:
    peer = Peer(tmp_path / "peer", "1", None)
    with pytest.raises(BenchmarkError, match="did not start: no licence"):
        peer.run([str(program(tmp_path, "server", "echo no licence; exit 1"))])


def test_an_open_port_is_seen() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        assert udp_port_is_open(port)
    assert not udp_port_is_open(port)


def test_nobody_is_below_a_process_without_children() -> None:
    with socket.socket():
        assert os.getpid() not in descendants(os.getpid())


def test_the_plain_form_is_what_is_installed_here(tmp_path: Path) -> None:
    assert list(callsim_forms("present", tmp_path / "none")) == [CALLEE, BACK_TO_BACK]
    with pytest.raises(BenchmarkError, match="make compiled"):
        callsim_forms("compiled", tmp_path / "none")


def test_the_cost_of_the_lab_bench_is_measured_beside(tmp_path: Path) -> None:
    found = callsim_forms("plain", lab=True)
    assert list(found)[2:] == [
        "Callsim, callee, trace off",
        "Callsim, back-to-back, trace off",
        "Callsim, callee, trace off, metrics read",
        "Callsim, back-to-back, trace off, metrics read",
    ]
    server = found["Callsim, callee, trace off, metrics read"](tmp_path, 30)
    assert isinstance(server, Scraped)
    try:
        with closing(RestClient(server.api, prefix="")) as client:
            state = client.request("GET", "/sim/v1/trace")
        assert server.read.wait(10)
    finally:
        assert server.stop() == []
    assert json.loads(state)["enabled"] is False


def test_a_form_that_is_not_what_it_should_be_is_refused() -> None:
    assert checked(Path(sys.prefix), "plain") == [f"{sys.prefix}/bin/callsim"]
    with pytest.raises(BenchmarkError, match="has the plain form, not the compiled one"):
        checked(Path(sys.prefix), "compiled")


def test_a_compiled_form_of_other_sources_is_refused(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    for room in ("sip", "simulator"):
        shutil.copytree(ROOT / room, packages / room)
    program(tmp_path / "bin", "callsim")
    program(tmp_path / "bin", "python", f"echo {packages}/sip/message.so")
    assert list(callsim_forms("both", tmp_path)) == [
        CALLEE,
        BACK_TO_BACK,
        "Callsim compiled, callee",
        "Callsim compiled, back-to-back",
    ]
    with (packages / "sip" / "uri.py").open("a") as file:
        file.write("# newer\n")
    assert list(changed(packages)) == ["sip/uri.py"]
    with pytest.raises(BenchmarkError, match=r"other sources \(sip/uri.py"):
        callsim_forms("present", tmp_path)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core only")
def test_the_sides_have_cores_of_their_own(tmp_path: Path) -> None:
    every = os.sched_getaffinity(0)
    cores.pin()
    try:
        with placed(Side.SERVER):
            server = os.sched_getaffinity(0)
            with placed(Side.GENERATOR):
                uas = SippUas(tmp_path, 30)
        generator = os.sched_getaffinity(uas.pid)
        uas.stop()
    finally:
        cores.unpin()
    assert len(server) == 1
    assert server | generator == every
    assert not server & generator
    assert os.sched_getaffinity(0) == every
    with placed(Side.SERVER):
        assert os.sched_getaffinity(0) == every
