"""Putting a call server together: sockets, CDR store, and the embedded neighbours."""

import asyncio
import logging
import resource
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from simulator.administration import Administration, merged
from simulator.audit_trail import FILE as AUDIT_FILE
from simulator.audit_trail import AuditTrail
from simulator.backlog import Done, Notify
from simulator.cdr import SqliteCdrStore
from simulator.cdr_store import CdrStore
from simulator.config import Config
from simulator.config_sections import Neighbour
from simulator.config_sip import TlsSection
from simulator.config_tls import faults
from simulator.config_values import split_address
from simulator.errors import ServiceError
from simulator.hep import HepExport, collector
from simulator.journal import FILE as JOURNAL
from simulator.journal import Journal
from simulator.lab.lab import Lab
from simulator.login_trail import FILE as LOGINS_FILE
from simulator.login_trail import LoginTrail
from simulator.plan_changes import FILE
from simulator.server import CallServer
from simulator.version import callsim_version
from simulator.webhook import HttpRouter
from sip.aio.resolver import Resolver
from sip.aio.stack import SipStack
from sip.aio.tls import client_context, server_context
from sip.timers import Timers

if TYPE_CHECKING:
    from simulator.telemetry import Telemetry

log = logging.getLogger(__name__)


@asynccontextmanager
async def call_server(config: Config) -> AsyncIterator[CallServer]:
    """A running call server; at the end calls are drained and CDRs are on disk.

    With ``lab.embedded`` the neighbours run beside it on loopback. Raises ServiceError.
    """
    loop = asyncio.get_running_loop()
    version_ = callsim_version()
    timers = Timers(config.sip.t1, config.sip.t2, config.sip.t4)
    stack = SipStack(timers, user_agent=f"Callsim/{version_}")

    def notify(done: list[Done]) -> None:
        loop.call_soon_threadsafe(tell, done, stack.pump)

    if config.sip.nameservers:
        known = [split_address(one, 53, any_port=False) for one in config.sip.nameservers]
        stack.resolver = Resolver([(host, port or 53) for host, port in known])
    raise_file_limit()
    store = open_store(config, notify)
    lab = None
    if config.lab.embedded:
        lab = Lab(applications=config.lab.applications, timers=timers)
    try:
        await _listen(stack, config)
        if lab is not None:
            await lab.start()

        def dress(config: Config) -> Config:
            return config if lab is None else with_neighbours(config, lab)

        changes, whole = merged(config, dress)
        server = CallServer(whole, stack, store, version_)
        server.desk.phones = None if lab is None else lab.agents
        folder = config.server.data_dir
        trail, logins = AuditTrail(folder / AUDIT_FILE), LoginTrail(folder / LOGINS_FILE)
        server.administration = Administration(
            server, config, changes, dress=dress, path=folder / FILE, trail=trail, logins=logins
        )
        server.webhook = webhook = HttpRouter(server)
        webhook.watch = server.news.icm
        telemetry = _telemetry(server)
        store.backlog.watch = server.news.records
        export = await hep_export(server)
        stack.handler = server.on_event
        server.access.start()
        open_heartbeat_port(server)
        server.server_groups.start(stack.now())
        server.prober.start()
        stack.pump()
        server.ready = True
        try:
            yield server
        finally:
            server.ready = False
            server.prober.stop()
            await server.drain(0.0 if server.draining else server.config.server.grace)
            await webhook.close()
            if telemetry is not None:
                await telemetry.close()
            await logins.close()
            if export is not None:
                export.close()
    finally:
        if lab is not None:
            await lab.close()
        await asyncio.to_thread(store.close)
        stack.close()


def _telemetry(server: CallServer) -> "Telemetry | None":
    """The traces, where a collector is configured. Raises ServiceError."""
    url = server.config.telemetry.otlp
    if url is None:
        return None
    try:
        from simulator.telemetry import open_telemetry
    except ImportError as error:
        raise ServiceError(
            f"telemetry.otlp: what OpenTelemetry takes is not installed ({error}); "
            "pip install 'callsim[otel]'"
        ) from error
    return open_telemetry(server, url)


def tell(done: list[Done], pump: Callable[[], None]) -> None:
    """Call those that wait for records, each whatever becomes of the others, then send."""
    try:
        for one in done:
            try:
                one()
            except Exception:
                log.exception("what was to come after a CDR has failed")
    finally:
        pump()


def open_store(config: Config, notify: Notify) -> CdrStore:
    """The store of CDRs, which gets those that a crash kept from it. Raises ServiceError."""
    journal = Journal(config.server.data_dir / JOURNAL, config.cdr.journal << 20)
    try:
        store = _store(config, notify, journal)
    except ServiceError:
        journal.close()
        raise
    cut_off = journal.calls
    for call in cut_off:  # one that has its record already keeps that
        store.submit(call.row(config.server.name))
    if cut_off or journal.rows:
        log.warning(
            "the server had ended without notice: %d calls were up (result error, unless they "
            "have a CDR), %d CDRs had waited in the journal",
            len(cut_off),
            len(journal.rows),
        )
    cut_off.clear()
    journal.rows.clear()
    return store


def _store(config: Config, notify: Notify, journal: Journal) -> CdrStore:
    url = config.cdr.url
    if url is None or url.startswith("sqlite:"):
        return SqliteCdrStore(config.cdr_path, notify, journal=journal)
    try:
        from simulator.cdr_postgres import PostgresCdrStore
    except ImportError as error:
        raise ServiceError(
            f"cdr.url: what PostgreSQL takes is not installed ({error}); "
            "pip install 'callsim[postgres]'"
        ) from error
    return PostgresCdrStore(url, notify, journal=journal)


def open_heartbeat_port(server: CallServer) -> None:
    """Where pings of server groups leave from, if any are wanted. Raises ServiceError."""
    config, stack = server.config, server.stack
    port = config.sip.heartbeat_port
    if not port or not any(group.heartbeat.enabled for group in config.server_groups):
        return
    udp = [one for one in config.sip.listen if one.transport == "udp"]
    if not udp or any(one.port == port for one in udp) or not isinstance(stack, SipStack):
        return
    try:
        server.server_groups.listener = stack.listen_udp(udp[0].host, port, udp[0].advertise)
        server.sources.configure(config)
    except OSError as error:
        raise ServiceError(
            f"sip.heartbeat_port: cannot open {port}: {error.strerror or error}; "
            "choose another, or 0 for the port of the calls"
        ) from error


async def hep_export(server: CallServer) -> HepExport | None:
    """What sends messages to the collector of ``trace.hep``, if there is one."""
    section = server.config.trace
    if section.hep is None:
        return None
    host, port = split_address(section.hep.partition(":")[2], 9060, any_port=False)
    try:
        out = await asyncio.to_thread(collector, host, port or 9060)
    except OSError as error:
        reason = error.strerror or error
        log.warning("trace.hep: no message is exported to %s: %s", section.hep, reason)
        return None
    return HepExport(server.stack, server.wall, out, section.hep_id)


def raise_file_limit() -> None:
    """Each connection takes a file: as many as may be had without asking."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):  # some systems call a limit infinite that is not
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _listen(stack: SipStack, config: Config) -> None:
    for listen in config.sip.addresses():
        host, port, advertise = listen.host, listen.port, listen.advertise
        try:
            if listen.transport == "udp":
                stack.listen_udp(host, port, advertise)
            elif listen.transport == "tcp":
                await stack.listen_stream("TCP", host, port, advertise)
            else:
                accepting, opening = tls_contexts(config.sip.tls)
                await stack.listen_stream("TLS", host, port, advertise, accepting, opening)
        except OSError as error:
            raise ServiceError(
                f"sip.listen: cannot open {listen}: {error.strerror or error}; "
                f"choose another by --sip {listen.transport}:HOST:PORT"
            ) from error


def tls_contexts(tls: TlsSection) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For connections accepted, and for those opened. Raises ServiceError."""
    for name, fault in faults(tls):
        raise ServiceError(f"sip.tls.{name}: {fault}")
    if tls.certificate is None:
        raise ServiceError("sip.tls.certificate: needed for tls: in sip.listen; name a PEM file")
    try:
        return (
            server_context(tls.certificate, tls.key, tls.ca, tls.clients),
            client_context(tls.certificate, tls.key, tls.ca, verify=tls.verify),
        )
    except OSError as error:  # what OpenSSL alone objects to, such as a key too short
        raise ServiceError(f"sip.tls.certificate: {error}; use another certificate") from error


def with_neighbours(config: Config, lab: Lab) -> Config:
    """`config` with routes to the embedded neighbours, which connectivity then probes."""
    addresses = lab.addresses
    config = config.with_lab(addresses["agents"], addresses["vxml"])
    named = {neighbour.component for neighbour in config.neighbours}
    if config.vxml.servers:
        named.add("VXMLServer")
    found = [("VXMLServer", addresses["vxml"]), ("CUCM", addresses["agents"])]
    added = [
        Neighbour.model_validate({"component": component, "url": url})
        for component, url in found
        if component not in named
    ]
    return config.model_copy(update={"neighbours": (*config.neighbours, *added)})
