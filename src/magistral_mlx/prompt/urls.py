"""Images behind URLs: http(s) fetched within limits, data: decoded, file: turned into a path.

Only this module and `prompt.connections` open the network, and only for an http(s) URL that a person named as
an image. Redirects stay within http and https. Whether the bytes are an image is for the reader to say.
"""

import base64
import binascii
import re
from http.client import HTTPException, HTTPResponse
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPRedirectHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from magistral_mlx.errors import ImageError, NetworkError
from magistral_mlx.prompt.connections import Trip, handlers
from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.storage.units import format_disk

ANSWER_SECONDS: Final = 20.0
"""Seconds for one connection attempt or one read."""

TOTAL_SECONDS: Final = 120.0
"""Seconds for a whole fetch: looking the name up, connecting, redirects, headers and the image."""

_CHUNK = 256 * 1024
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
# Characters that stand for themselves in a path or a query, "%" of what is already escaped among them.
_SAFE = "/%:@!$&'()*+,;=~-._?"
_REMEDY = "Check the address and the connection, or download the image and give its path."


def scheme_of(source: str) -> str | None:
    """Return the scheme of a URL in lower case; None when `source` is a path."""
    lowered = source[:5].lower()
    if lowered in ("data:", "file:"):
        return lowered[:4]
    found = _SCHEME.match(source)
    return found[1].lower() if found else None


def shown_url(url: str) -> str:
    """Return a URL for a message: sanitised, short, without password or signed query."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return f'"{_shortened(url.partition("?")[0])}"'
    place = f"{host}:{port}" if port else host
    return f'"{_shortened(f"{parts.scheme}://{place}{parts.path}")}"'


def _shortened(text: str, limit: int = 120) -> str:
    line = sanitize_line(text[: 4 * limit])
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def file_url_path(url: str) -> str:
    """Return the path of a file: URL on this machine."""
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise ImageError(f"{shown_url(url)} is on another machine", "Copy the image here and give its path.")
    return unquote(parts.path)


def decode_data_url(url: str, *, limit: int) -> bytes:
    """Return the content of a `data:...;base64,...` URL, at most `limit` bytes.

    Raises:
        ImageError: another form, damaged base64, or too much of it.
    """
    header, comma, payload = url.partition(",")
    if not comma or not header.lower().endswith(";base64"):
        raise ImageError(
            f'The data URL "{_shortened(header, 60)}" is not of the form data:image/...;base64,...',
            "Encode the image file as base64.",
        )
    if len(payload) > 2 * limit:
        raise _too_large("The data URL", limit)
    try:
        content = base64.b64decode("".join(unquote(payload).split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageError("The data URL is not valid base64", "Encode the image file again.") from error
    if len(content) > limit:
        raise _too_large("The data URL", limit)
    return content


def fetch_image(url: str, *, limit: int) -> bytes:
    """Downloads what `url` (http or https) holds, at most `limit` bytes.

    Raises:
        NetworkError: no answer, a refusal, a private address, an answer that broke off, or too slow.
        ImageError: the URL is malformed, or what it holds is too large or a web page.
    """
    plain_url = _ascii_url(url)
    trip = Trip(plain_url, seconds=TOTAL_SECONDS, patience=ANSWER_SECONDS)
    request = Request(plain_url, headers={"User-Agent": "magistral-mlx", "Accept": "image/*"})
    try:
        with _opener(trip).open(request, timeout=ANSWER_SECONDS) as response:
            trip.allow(2 * limit)  # the framing of chunks counts too
            return _read_answer(response, url, limit=limit)
    except HTTPError as error:
        with error:
            status = f"{error.code} {sanitize_line(error.reason)}".strip()
        raise NetworkError(f"{shown_url(url)} answered {status}", _REMEDY) from error
    except URLError as error:
        raise NetworkError(
            f"{shown_url(url)} did not answer ({sanitize_line(str(error.reason))})", _REMEDY
        ) from error
    except TimeoutError as error:
        raise NetworkError(f"{shown_url(url)} is too slow", _REMEDY) from error
    except (HTTPException, OSError) as error:
        detail = sanitize_line(str(error)) or type(error).__name__
        raise NetworkError(f"{shown_url(url)} broke off ({detail})", _REMEDY) from error
    finally:
        trip.close()


def _opener(trip: Trip) -> OpenerDirector:
    # Built by hand: urllib's default opener also follows redirects to ftp: and opens file: and data:.
    opener = OpenerDirector()
    for handler in (
        ProxyHandler(),
        *handlers(trip),
        HTTPRedirectHandler(),
        HTTPDefaultErrorHandler(),
        HTTPErrorProcessor(),
        UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _ascii_url(url: str) -> str:
    problem = f"{shown_url(url)} is not a usable address"
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
        name = host.encode("idna").decode("ascii") if host else ""
        path, query = quote(parts.path, safe=_SAFE), quote(parts.query, safe=_SAFE)
    except ValueError as error:
        raise ImageError(problem, "Write it as https://host/image.png.") from error
    if not name or any(character.isspace() for character in name):
        raise ImageError(problem, "Write it as https://host/image.png.")
    if parts.username is not None:
        raise ImageError(
            f"{shown_url(url)} is given with a user name, which is not sent",
            "Download the image and give its path.",
        )
    if ":" in name:
        name = f"[{name}]"
    place = f"{name}:{port}" if port else name
    return urlunsplit(SplitResult(parts.scheme.lower(), place, path, query, ""))


def _read_answer(response: HTTPResponse, url: str, *, limit: int) -> bytes:
    if response.headers.get_content_type() == "text/html":
        raise ImageError(
            f"{shown_url(url)} is a web page, not an image",
            "Open it, and copy the address of the image itself.",
        )
    expected = response.length
    if expected is not None and expected > limit:
        raise _too_large(shown_url(url), limit)
    content = bytearray()
    while piece := response.read1(_CHUNK):
        content += piece
        if len(content) > limit:
            raise _too_large(shown_url(url), limit)
    if expected is not None and len(content) < expected:
        raise NetworkError(f"{shown_url(url)} broke off after {len(content)} of {expected} bytes", _REMEDY)
    return bytes(content)


def _too_large(what: str, limit: int) -> ImageError:
    return ImageError(f"{what} is larger than {format_disk(limit)}", "Use a smaller image.")
