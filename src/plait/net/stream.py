"""Opening byte streams: unix sockets, TCP and TLS, by the names that Open vSwitch gives them."""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, assert_never

P = TypeVar("P", bound=asyncio.BaseProtocol)

DIAL_TIMEOUT_S = 5.0

_FORMS = "unix:/path/to/socket, tcp:host:port or ssl:host:port"


class Unreachable(Exception):
    """Nothing answers at `target`; `reason` says why and what to do."""

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(f"cannot connect to {target}: {reason}")
        self.target = target
        self.reason = reason


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths of PEM files: whom to trust, and who we are."""

    ca: str
    certificate: str
    private_key: str


@dataclass(frozen=True, slots=True)
class UnixTarget:
    """A socket in the file system."""

    path: str


@dataclass(frozen=True, slots=True)
class TcpTarget:
    """A host (name or address) and a port."""

    host: str
    port: int
    is_tls: bool


def parse_target(target: str) -> UnixTarget | TcpTarget:
    """What `target` names; IPv6 addresses stand in brackets. Raises Unreachable for other forms."""
    scheme, _, rest = target.partition(":")
    if scheme == "unix" and rest:
        return UnixTarget(rest)
    host, _, port = rest.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if scheme in ("tcp", "ssl") and host and port.isdecimal() and 0 < int(port) < 65536:
        return TcpTarget(host, int(port), scheme == "ssl")
    raise Unreachable(target, f"not a target: write {_FORMS}")


async def dial(
    target: str, tls: TlsFiles | None = None, *, timeout_s: float = DIAL_TIMEOUT_S
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connected stream to `target`. Raises Unreachable."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    transport, protocol = await attach(
        target, lambda: asyncio.StreamReaderProtocol(reader, loop=loop), tls, timeout_s=timeout_s
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def attach(
    target: str, protocol: Callable[[], P], tls: TlsFiles | None = None, *, timeout_s: float = DIAL_TIMEOUT_S
) -> tuple[asyncio.Transport, P]:
    """A protocol connected to `target`, for bytes without a task between. Raises Unreachable."""
    parsed = parse_target(target)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            match parsed:
                case UnixTarget(path):
                    return await loop.create_unix_connection(protocol, path)
                case TcpTarget(host, port, is_tls):
                    context = _tls_context(target, tls) if is_tls else None
                    return await loop.create_connection(protocol, host, port, ssl=context)
                case _:
                    assert_never(parsed)
    except TimeoutError:
        reason = f"no answer within {timeout_s:g} s: is the host up and the port open?"
        raise Unreachable(target, reason) from None
    except ssl.SSLError as error:
        raise Unreachable(target, f"TLS: {error.reason or error}: {_way_out_of_tls(error)}") from None
    except OSError as error:
        raise Unreachable(target, _explain(parsed, error)) from None


def _explain(parsed: UnixTarget | TcpTarget, error: OSError) -> str:
    text = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    match parsed, error:
        case UnixTarget(), FileNotFoundError():
            return f"{text}: is Open vSwitch running, and is this its run directory?"
        case UnixTarget(), PermissionError():
            return f"{text}: run as root or as a member of the socket's group"
        case UnixTarget(), ConnectionRefusedError():
            return f"{text}: the socket is left over from a process that ended; start it again"
        case TcpTarget(host=host), socket.gaierror():
            return f"the name {host!r} is not known: {error.strerror}"
        case _, ConnectionRefusedError():
            return f"{text}: nothing listens there; check address and port"
    return text


def _way_out_of_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "the peer's certificate is not signed by the given CA"
    return "does the peer speak TLS on this port, and does it trust our certificate?"


def _tls_context(target: str, tls: TlsFiles | None) -> ssl.SSLContext:
    """Both sides show certificates that the CA signed; names are not compared, as with every ssl: of OVS."""
    if tls is None:
        raise Unreachable(target, "ssl needs the files of a CA, a certificate and a private key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    try:
        context.load_verify_locations(tls.ca)
    except OSError as error:  # ssl.SSLError is one
        raise Unreachable(target, f"no CA certificate in {tls.ca}: {error}") from None
    try:
        context.load_cert_chain(tls.certificate, tls.private_key)
    except OSError as error:
        files = f"{tls.certificate} and {tls.private_key}"
        raise Unreachable(target, f"no certificate with its private key in {files}: {error}") from None
    return context
