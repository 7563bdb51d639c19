"""Ports that strangers are told to take."""

import socket

from scenarios.runner import LOOPBACK, free_port


def free_port_of_both() -> int:
    """A port of 127.0.0.1 that was free a moment ago, on UDP and TCP."""
    while True:
        port = free_port()
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
