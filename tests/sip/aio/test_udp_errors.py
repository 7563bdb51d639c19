"""Errors of a UDP socket: what is over soon is a lost datagram, what is not is told at once."""

import asyncio
import errno
import logging
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sip.aio.udp import UdpListener
from sip.events import Answered
from tests.support.phone import Phone, phones


class Failing(socket.socket):
    """The next `failures` datagrams meet this error."""

    failures = 0
    error = 0

    def sendto(self, *arguments: Any) -> int:
        if self.failures:
            self.failures -= 1
            raise OSError(self.error, errno.errorcode[self.error])
        return super().sendto(*arguments)


def fail(phone: Phone, error: int, times: int) -> Failing:
    """Have the socket of a phone fail."""
    assert isinstance(phone.listener, UdpListener)
    failing = Failing(fileno=phone.listener.socket.detach())
    failing.setblocking(False)
    failing.error, failing.failures = error, times
    phone.listener.socket = failing
    return failing


@pytest.mark.parametrize("error", [errno.ENOBUFS, errno.ENOMEM])
def test_no_room_for_the_moment(error: int, caplog: pytest.LogCaptureFixture) -> None:
    """A call survives it, as it survives a lost packet (RFC 3261 17.1.1.2, timer A)."""

    async def play() -> None:
        async with phones(2) as (alice, bob):
            await alice.listen("UDP")
            await bob.listen("UDP")
            failing = fail(alice, error, 1)
            alice.call(bob.uri)
            await alice.sees(Answered)
            assert failing.failures == 0
            assert alice.stack.lost == 1
            assert alice.stack.endpoint.retransmitted == 1

    asyncio.run(play())
    told = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert told == [f"1 datagrams could not be sent: {errno.errorcode[error]}"]


@pytest.mark.parametrize("error", [errno.EPERM, errno.EHOSTUNREACH, errno.ENETUNREACH])
def test_no_way_to_the_peer(error: int) -> None:
    """503 at once (section 8.1.3.1), so that the next server is called without delay."""

    async def play() -> None:
        async with phones(2) as (alice, bob):
            await alice.listen("UDP")
            await bob.listen("UDP")
            fail(alice, error, 1)
            alice.call(bob.uri)
            assert await alice.refusal() == 503
            assert not alice.stack.endpoint.clients

    asyncio.run(play())


def test_a_datagram_that_has_to_wait_is_seen_once() -> None:
    """By a tap, when it leaves."""

    async def play() -> None:
        async with phones(2) as (alice, bob):
            await alice.listen("UDP")
            await bob.listen("UDP")
            failing = fail(alice, errno.EAGAIN, 1)
            seen: list[tuple[str, bytes]] = []
            alice.stack.add_tap(lambda direction, data, *_: seen.append((direction, data[:6])))
            alice.call(bob.uri)
            await alice.sees(Answered)
            assert failing.failures == 0
            assert seen.count(("out", b"INVITE")) == 1

    asyncio.run(play())


@contextmanager
def no_files() -> Iterator[None]:
    """None can be opened meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_our_address_is_not_forgotten_for_want_of_a_file() -> None:
    """What is said then is a guess, and is asked again."""
    listener = UdpListener("0.0.0.0", 0)
    try:
        with no_files():
            assert listener.local_host("127.0.0.3") == "127.0.0.1"
        here = listener.local_host("127.0.0.2")
        with no_files():
            assert listener.local_host("192.0.2.9") == here, "as to the last one"
        assert listener.local_host("127.0.0.2") == here
        assert "192.0.2.9" not in (listener._local_hosts or ())
    finally:
        listener.close()
