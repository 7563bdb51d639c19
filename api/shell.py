"""The commands that steer a running server from a shell: calls, transfer, hangup and so on."""

import asyncio
import ssl
import sys
from argparse import Namespace
from pathlib import Path
from typing import Final

import aiohttp

from api.client import CallsimClient, CallsimError
from api.files import PASSWORD_FILE, read_private
from simulator.config_base import User
from simulator.views import TransferType

GOOD: Final = 0
FAILED: Final = 1
WRONG: Final = 2


def steer(options: Namespace) -> int:
    """Run one of the commands; 0 good, 1 it came to nothing, 2 it could not be asked."""
    try:
        user = _user(options)
        return asyncio.run(_steer(options, user))
    except CallsimError as error:
        what = error.details if error.code else f"--url: no Callsim answers there, but {error}"
        print(f"{options.command}: {what}", file=sys.stderr)
        return WRONG if error.status == 401 else FAILED
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
        print(f"--url: {options.url!r} is not such as http://127.0.0.1:8080", file=sys.stderr)
    except aiohttp.ClientSSLError as error:
        print(f"--url: {options.url}: {error}; --insecure trusts any certificate", file=sys.stderr)
    except aiohttp.ClientError as error:
        print(f"--url: {options.url} does not answer: {error}", file=sys.stderr)
    except ValueError as error:
        print(error, file=sys.stderr)
    return WRONG


def _user(options: Namespace) -> User:
    """Who asks: as the option says, or whom the server made on its first start."""
    if options.user is not None:
        return User.parse(options.user)
    path = Path(options.data_dir) / PASSWORD_FILE
    try:
        kept = read_private(path)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; give --user NAME:PASSWORD") from None
    if kept is None:
        raise ValueError(f"there is no {path}; give --user NAME:PASSWORD, or --data-dir")
    return User.parse(kept.decode().strip())


async def _steer(options: Namespace, user: User) -> int:
    tls: ssl.SSLContext | bool = not options.insecure
    url = options.url if "://" in options.url else f"http://{options.url}"
    url = url.rstrip("/").removesuffix("/cvp/rest")  # as `callsim serve` prints it
    async with CallsimClient(url, user.name, user.password, tls=tls) as client:
        if options.command == "calls":
            return await _calls(client, options)
        if options.command == "transfer":
            return await _transfer(client, options)
        if options.command == "hangup":
            answer = await client.terminate(options.guid, options.reason)
            print(answer.message)
            return GOOD
        if options.command == "trace":
            from api.shell_trace import show_trace

            await show_trace(client, options)
            return GOOD
        return await _wait(client, options)


async def _calls(client: CallsimClient, options: Namespace) -> int:
    found = client.calls(
        state=options.state,
        called_number=options.called,
        calling_number=options.calling,
        application_name=options.application,
        leg=options.leg,
    )
    none = True
    async for call in found:
        none = False
        if options.json:
            print(call.model_dump_json(by_alias=True))
        else:
            numbers = f"{call.calling_number} > {call.called_number}"
            text = f"{call.call_guid}  {call.state:12}  {call.duration:6} s  {numbers}"
            print(f"{text}  {call.application_name}".rstrip())
    if none:
        print("no such calls are up", file=sys.stderr)
    return GOOD


async def _transfer(client: CallsimClient, options: Namespace) -> int:
    kind: TransferType = "consultation" if options.consultation else "blind"
    if options.no_wait:
        answer = await client.transfer(
            options.guid, options.destination, transfer_type=kind, label=options.label
        )
        print(answer.message)
        return GOOD
    outcome = await client.transfer_and_wait(
        options.guid, options.destination, transfer_type=kind, label=options.label
    )
    code = f", SIP {outcome.sip_code} {outcome.reason or ''}".rstrip() if outcome.sip_code else ""
    print(f"{outcome.state}{code}")
    return GOOD if outcome.state == "completed" else FAILED


async def _wait(client: CallsimClient, options: Namespace) -> int:
    try:
        async with asyncio.timeout(options.timeout):
            state = await client.wait_for(options.guid, *options.state)
    except TimeoutError:
        print(f"wait: not within {options.timeout:g} seconds", file=sys.stderr)
        return FAILED
    print(state)
    return GOOD if state in options.state else FAILED
