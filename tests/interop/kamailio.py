"""Kamailio as a proxy that stays in the path: it record-routes and routes loosely."""

import shutil
import socket
import time
from pathlib import Path
from typing import Final

from scenarios.child import Child
from scenarios.runner import LOOPBACK, free_port

_START: Final = 20.0
_MODULES: Final = "tm sl rr pv maxfwd textops siputils usrloc registrar path auth".split()
REALM: Final = "carrier"
PASSWORD: Final = "gate"
TRUNK: Final = "4930123"
"""The number that registers here, with PASSWORD; all other numbers register at the server."""

# What comes from the call server carries Cisco-Guid and goes to whom it calls, the rest to
# the call server; what is in a dialog, or has a route already, goes where that says.
_CONFIG: Final = """#!KAMAILIO
debug=2
log_stderror=yes
fork=yes
children=1
tcp_children=1
disable_tcp=no
auto_aliases=no
dns=no
rev_dns=no
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
{load}
modparam("rr", "append_fromtag", 0)
modparam("auth", "algorithm", "{algorithm}")

request_route {{
    if (!mf_process_maxfwd_header("10")) {{
        sl_send_reply("483", "Too Many Hops");
        exit;
    }}
    if (is_method("CANCEL")) {{
        if (t_check_trans()) t_relay();
        exit;
    }}
    if (has_totag()) {{
        if (!loose_route()) {{
            if (is_method("ACK") && t_check_trans()) t_relay();
            else if (!is_method("ACK")) sl_send_reply("404", "Not Here");
            exit;
        }}
        if (!t_relay()) sl_reply_error();
        exit;
    }}
    t_check_trans();
    if (is_method("REGISTER")) {{
        if ($tU == "{trunk}") {{
            if (!pv_www_authenticate("{realm}", "{password}", "0")) {{
                www_challenge("{realm}", "1");
                exit;
            }}
            save("location");
            exit;
        }}
        add_path();
        $du = "{server}";
    }} else if (is_present_hf("Cisco-Guid")) {{
        {ask}
        record_route();
        loose_route();
        {places}
    }} else {{
        if (is_method("INVITE")) record_route();
        if (!lookup("location")) $du = "{server}";
    }}
    if (!t_relay()) sl_reply_error();
}}
"""

_ASK: Final = """\
if (!pv_proxy_authenticate("{realm}", "{password}", "0")) {{
            proxy_challenge("{realm}", "1");
            exit;
        }}
        consume_credentials();"""


class KamailioError(Exception):
    """Kamailio did not start."""


class Kamailio:
    """A proxy between everybody and the call server, on UDP and TCP.

    Its address is known at once; `start` begins when the call server is known. `places`
    lead the first digit of a number to a URI.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.address: tuple[str, int] = (LOOPBACK, free_port())
        self._child: Child | None = None

    def uri(self, transport: str) -> str:
        """Where it is reached over this transport."""
        return f"sip:{LOOPBACK}:{self.address[1]};transport={transport}"

    def start(
        self, server: str, places: dict[str, str], *, asks: bool = False, algorithm: str = "MD5"
    ) -> None:
        """Run, and return once it listens; `asks` the call server for PASSWORD."""
        config = self.directory / "kamailio.cfg"
        config.write_text(
            _CONFIG.format(
                port=self.address[1],
                load="\n".join(f'loadmodule "{name}.so"' for name in _MODULES),
                places="\n        ".join(
                    f'if ($rU =~ "^{digit}") $du = "{uri}";' for digit, uri in places.items()
                ),
                server=server,
                ask=_ASK.format(realm=REALM, password=PASSWORD) if asks else "",
                algorithm=algorithm,
                realm=REALM,
                password=PASSWORD,
                trunk=TRUNK,
            )
        )
        program = shutil.which("kamailio") or "/usr/sbin/kamailio"
        command = [program, "-DD", "-E", "-f", str(config), "-Y", str(self.directory)]
        self._child = Child([*command, "-m", "32", "-M", "8"], self.directory / "kamailio.log")
        deadline = time.monotonic() + _START
        while not self._listens():
            if self._child.wait(0.02) is not None or time.monotonic() > deadline:
                raise KamailioError(f"Kamailio did not start: {self._child.error_text()}")

    def _listens(self) -> bool:
        """Its TCP sockets come up last."""
        with socket.socket() as probe:
            return probe.connect_ex(self.address) == 0

    def close(self) -> None:
        """End it and its children."""
        if self._child is not None:
            self._child.end()
