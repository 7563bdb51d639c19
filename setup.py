"""The compiled form: with CALLSIM_COMPILED=1, mypyc makes C of the modules below.

They are the ones that every message passes; the same sources run as they are without it.
Not among them: what a native class cannot be (`sip/peer_address.py` is a tuple,
`sip/aio/connection.py` a protocol of asyncio), and pydantic's models.
"""

import os
import sys
from pathlib import Path

from setuptools import setup

PLAIN = {"__init__.py", "peer_address.py"}
SIP = [
    str(path)
    for folder in ("sip", "sip/transaction", "sip/usage")
    for path in sorted(Path(folder).glob("*.py"))
    if path.name not in PLAIN
]
SIP += [f"sip/aio/{name}.py" for name in "listener stack stream udp".split()]
SIMULATOR = [
    f"simulator/{name}.py"
    for name in """
        admission
        agents
        announcements
        audit
        backlog
        bridge
        call
        call_events
        call_index
        call_log
        callback
        commands
        connection
        consultation
        early
        ended
        error_number
        event_bus
        headers
        held_ringtone
        hep
        hold
        ivr
        joining
        journal
        leg
        legs
        licence
        news
        origination
        outpulse
        pickup
        queries
        records
        refer
        referred
        refresh
        ringtone
        router
        script_run
        script_values
        server
        states
        statistics
        takeover
        trace
        trace_log
        transfer_commands
        transfer_log
        treatment
        vru_return
    """.split()
]


def extensions() -> list[object]:
    """The C extensions, when they are asked for."""
    # The commands that only ask for the metadata are spared the compilation.
    if os.environ.get("CALLSIM_COMPILED") != "1" or "bdist_wheel" not in sys.argv:
        return []
    from mypyc.build import mypycify

    groups = [(SIP, "callsim_sip"), (SIMULATOR, "callsim_simulator")]
    found = mypycify([*SIP, *SIMULATOR], opt_level="3", debug_level="0", separate=groups)
    for extension in found:
        # In files as long as these gcc would take a minute each for that warning alone.
        extension.extra_compile_args.append("-Wno-misleading-indentation")
    return list(found)


setup(ext_modules=extensions(), options={"build_ext": {"parallel": 2}})
