"""Connections of one fetch: one deadline for all of it, and no address that only this computer can reach.

`http.client` looks at no clock while it reads a status line, a header, a chunk size or a trailer. Here each
read of a socket looks at the deadline and counts its bytes. Names are looked up once, and the judged address
is the one that is connected to: a name cannot change its meaning in between.
"""

import io
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Final, Protocol, cast
from urllib.parse import urlsplit
from urllib.request import HTTPHandler, HTTPSHandler, Request

from magistral_mlx.errors import NetworkError
from magistral_mlx.sanitize import sanitize_line

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Closable(Protocol):
    """A socket or its file."""

    def close(self) -> None:
        """Close it."""


Address = ipaddress.IPv4Address | ipaddress.IPv6Address

HEADER_BYTES: Final = 256 * 1024
"""Bytes of all headers and redirects of one fetch."""

_OWN_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
_OWN_ADDRESSES = frozenset({ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")})
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Trip:
    """One fetch with its redirects.

    Args:
        url: the URL that a person named.
        seconds: for all of it.
        patience: seconds for one connection attempt or one read.
    """

    def __init__(self, url: str, *, seconds: float, patience: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._patience = patience
        self._own = urlsplit(url).hostname in _OWN_HOSTS
        self._bytes_left = HEADER_BYTES
        self._open: list[Closable] = []

    def keep(self, closable: "Closable") -> None:
        """Close this at the end, also where urllib forgets it."""
        self._open.append(closable)

    def close(self) -> None:
        """Close all connections."""
        for closable in reversed(self._open):
            closable.close()

    def allow(self, more: int) -> None:
        """Let the server send so many more bytes."""
        self._bytes_left += more

    def timeout(self) -> float:
        """Return the seconds that the next step may take.

        Raises:
            TimeoutError: the deadline has passed.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        return min(left, self._patience)

    def count(self, received: int) -> None:
        """Count bytes from the server.

        Raises:
            HTTPException: there are too many.
        """
        self._bytes_left -= received
        if self._bytes_left < 0:
            raise HTTPException("it sends more than an image")

    def check(self, host: str, address: Address) -> None:
        """Refuse an address that is not of the public internet.

        `localhost`, 127.0.0.1 and ::1 are allowed if the person's own URL names one of them.

        Raises:
            NetworkError: it is refused.
        """
        if self._own and host in _OWN_HOSTS and address in _OWN_ADDRESSES:
            return
        if not _is_public(address):
            raise NetworkError(
                f'"{sanitize_line(host)[:80]}" is at {address}, which is no address of the public internet',
                "Download the image and give its path.",
            )


def handlers(trip: Trip) -> tuple[HTTPHandler, HTTPSHandler]:
    """Return handlers for urllib whose connections keep to `trip`."""
    return _PlainHandler(trip), _TlsHandler(trip)


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return _is_public(inner)
    return address.is_global and not address.is_multicast


def _literal(host: str) -> Address | None:
    """Return the address that a host spells, in the old ways (decimal, hexadecimal, short) too."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.ip_address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _addresses(host: str, port: int, trip: Trip) -> list[Address]:
    """Look a host up; the system's own lookup knows no deadline."""
    answers: queue.SimpleQueue[list[Address] | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            names = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
            answers.put([ipaddress.ip_address(name) for name in names])
        except Exception as error:  # noqa: BLE001 - raised again below, in the thread that waits
            answers.put(error)

    threading.Thread(target=look_up, name="image-lookup", daemon=True).start()
    try:
        answer = answers.get(timeout=trip.timeout())
    except queue.Empty as error:
        raise TimeoutError("its name was not found in time") from error
    if isinstance(answer, Exception):
        raise answer
    return answer


def _connect(host: str, port: int, trip: Trip, *, judged: bool) -> socket.socket:
    """Connect to the first address of `host` that answers; `judged`: and that is allowed."""
    failure: Exception = OSError("its name has no address")
    for address in _addresses(host, port, trip):
        try:
            if judged:
                trip.check(host, address)
            return socket.create_connection((str(address), port), timeout=trip.timeout())
        except (NetworkError, OSError) as error:
            failure = error
    raise failure


class _Socket:
    """What `http.client` uses of a socket, with the deadline and the bytes of a trip."""

    def __init__(self, inner: socket.socket, trip: Trip) -> None:
        self._inner = inner
        self._trip = trip

    def sendall(self, data: bytes) -> None:
        self._inner.settimeout(self._trip.timeout())
        self._inner.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self._inner, self._trip))

    def close(self) -> None:
        self._inner.close()


class _Incoming(io.RawIOBase):
    def __init__(self, inner: socket.socket, trip: Trip) -> None:
        self._socket = inner
        self._file = inner.makefile("rb", buffering=0)
        trip.keep(self._file)
        self._trip = trip

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        self._socket.settimeout(self._trip.timeout())
        received = self._file.readinto(buffer) or 0
        self._trip.count(received)
        return received

    def close(self) -> None:
        self._file.close()
        super().close()


class _Connection(HTTPConnection):
    """A connection to a host, or to a proxy that leads to it."""

    def __init__(
        self,
        host: str,
        *,
        trip: Trip,
        proxied: bool,
        tls: ssl.SSLContext | None = None,
        port: int | None = None,
        timeout: float = 0.0,
        source_address: tuple[str, int] | None = None,
        blocksize: int = 8192,
    ) -> None:
        if tls is not None:
            self.default_port = 443
        super().__init__(host, port, timeout, source_address, blocksize)
        self._trip = trip
        self._proxied = proxied
        self._tls = tls
        self._target: tuple[str, int, Mapping[str, str]] | None = None

    def set_tunnel(
        self, host: str, port: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        place = urlsplit(f"//{host}")
        self._target = place.hostname or "", port or place.port or 443, headers or {}

    def connect(self) -> None:
        plain = _connect(self.host, self.port, self._trip, judged=not self._proxied)
        try:
            name = self.host
            if self._target is not None:
                name = self._target[0]
                self._open_tunnel(plain, *self._target)
            if self._tls is not None:
                plain.settimeout(self._trip.timeout())
                plain = self._tls.wrap_socket(plain, server_hostname=name)
        except BaseException:
            plain.close()
            raise
        self._trip.keep(plain)
        self.sock = _Socket(plain, self._trip)

    def _open_tunnel(self, plain: socket.socket, host: str, port: int, headers: Mapping[str, str]) -> None:
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}", *(f"{k}: {v}" for k, v in headers.items())]
        wire = _Socket(plain, self._trip)
        wire.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        # The proxy says no more than its header before the other side speaks, so no byte of TLS is buffered.
        answer = HTTPResponse(cast(socket.socket, wire), method="CONNECT")
        answer.begin()
        if answer.status != 200:
            raise OSError(f"the proxy answered {answer.status} {answer.reason}")
        answer.close()


class _PlainHandler(HTTPHandler):
    def __init__(self, trip: Trip) -> None:
        super().__init__()
        self._trip = trip

    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(partial(_Connection, trip=self._trip, proxied=_proxied(req, self._trip)), req)


class _TlsHandler(HTTPSHandler):
    def __init__(self, trip: Trip) -> None:
        super().__init__()
        self._trip = trip

    def https_open(self, req: Request) -> HTTPResponse:
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        proxied = _proxied(req, self._trip)
        return self.do_open(partial(_Connection, trip=self._trip, proxied=proxied, tls=context), req)


def _proxied(request: Request, trip: Trip) -> bool:
    """Tell whether a proxy fetches this; it looks names up itself, so only spelled addresses are judged."""
    target = urlsplit(request.full_url).hostname or ""
    proxied = urlsplit(f"//{request.host}").hostname != target
    if proxied:
        address = ipaddress.ip_address("127.0.0.1") if target == "localhost" else _literal(target)
        if address is not None:
            trip.check(target, address)
    return proxied
