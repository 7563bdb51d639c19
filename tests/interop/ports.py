"""Ports that strangers are told to take."""

import socket

from scenarios.runner import LOOPBACK, free_port


def free_port_of_both(count: int = 1) -> int:
    """The first of `count` ports of 127.0.0.1 in a row, free a moment ago on UDP and TCP."""
    while True:
        port = free_port()
        if all(map(_is_free, range(port, port + count))):
            return port


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((LOOPBACK, port))
            except (OSError, OverflowError):
                return False
    return True
