"""Images behind URLs, from a server on this machine that behaves well and badly."""

import io
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from magistral_mlx.errors import ImageError, MagistralError, NetworkError
from magistral_mlx.prompt import image_files, urls
from magistral_mlx.prompt.image_files import load_image
from magistral_mlx.prompt.urls import decode_data_url, fetch_image, file_url_path, scheme_of, shown_url


def image_bytes() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (7, 5), (9, 8, 7)).save(file, "PNG")
    return file.getvalue()


DRIPS = {
    "/drip-status": (b"", b"H"),
    "/drip-header": (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
    "/drip-continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "/drip-chunk-size": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    "/drip-trailer": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n"),
}
"""What a server begins with, and what it then sends again and again."""


class Server(BaseHTTPRequestHandler):
    """Each path misbehaves in its own way."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/image.png" | "/%C3%BC%20b.png":
                self.answer(image_bytes())
            case "/chunked":
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for part in (image_bytes()[:20], image_bytes()[20:], b""):
                    self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            case "/moved":
                self.redirect("/image.png")
            case "/round":
                self.redirect("/round")
            case "/to-file":
                self.redirect("file:///etc/hostname")
            case "/to-ftp":
                self.redirect("ftp://127.0.0.1/x.png")
            case "/page":
                self.answer(b"<html>", kind="text/html; charset=utf-8")
            case "/text":
                self.answer(b"no image", kind="image/png")
            case "/empty":
                self.answer(b"")
            case "/large":
                self.answer(bytes(3000))
            case "/endless":
                self.send_response(200)
                self.end_headers()
                for _ in range(1000):
                    self.wfile.write(bytes(1000))
                self.close_connection = True
            case "/short":
                self.answer(image_bytes()[:30], length=len(image_bytes()))
                self.close_connection = True
            case "/silent":
                time.sleep(1)
                self.close_connection = True
            case "/drip":
                self.send_response(200)
                self.end_headers()
                for _ in range(20):
                    self.wfile.write(b"x")
                    time.sleep(0.05)
                self.close_connection = True
            case path if path in DRIPS:
                begin, again = DRIPS[path]
                self.wfile.write(begin)
                while True:
                    self.wfile.write(again)
                    time.sleep(0.02)
            case "/slow-round":
                time.sleep(0.1)
                self.redirect("/slow-round?" + "x" * len(self.path))
            case "/flood":
                while True:
                    self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
            case "/long-round":
                self.send_response(302)
                self.send_header("Location", "/image.png")
                self.end_headers()
                while True:
                    self.wfile.write(bytes(100_000))
            case "/to-private":
                self.redirect("http://192.168.7.7/image.png")
            case "/rude":
                self.wfile.write(b"\x00\x01 not http\r\n\r\n")
                self.close_connection = True
            case "/teapot":
                self.send_response(418, "I am a \x1b[31mteapot")
                self.send_header("Content-Length", "0")
                self.end_headers()
            case _:
                self.send_error(404)

    def answer(self, content: bytes, *, kind: str = "image/png", length: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)

    def redirect(self, target: str) -> None:
        self.send_response(302)
        self.send_header("Location", target)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        pass


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up on purpose are what these tests are about."""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "*")
    with QuietServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "path", ["/image.png", "/moved", "/chunked", "/image.png?a=b c&d=é#part", "/ü b.png"]
)
def test_an_image_is_fetched(site: str, path: str) -> None:
    image = load_image(site + path)
    assert image.size == (7, 5)
    assert image.getpixel((0, 0)) == (9, 8, 7)


def failure(url: str) -> MagistralError:
    with pytest.raises(MagistralError) as caught:
        load_image(url)
    text = str(caught.value)
    assert "\n" not in text
    assert "\x1b" not in text
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/none.png", "answered 404 Not Found"),
        ("/teapot", "answered 418 I am a"),
        ("/round", "answered 302"),
        ("/to-file", "answered 302"),
        ("/to-ftp", "did not answer (unknown url type: ftp)"),
        ("/short", "broke off after 30 of"),
        ("/rude", "broke off"),
    ],
)
def test_a_server_that_does_not_deliver_is_a_network_error(site: str, path: str, words: str) -> None:
    error = failure(site + path)
    assert isinstance(error, NetworkError)
    assert words in error.problem
    assert f"{site}{path}" in error.problem
    assert "give its path" in error.remedy


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/page", "is a web page, not an image"),
        ("/text", "is not an image"),
        ("/empty", "is empty (0 bytes)"),
    ],
)
def test_an_answer_that_is_no_image_is_an_image_error(site: str, path: str, words: str) -> None:
    error = failure(site + path)
    assert isinstance(error, ImageError)
    assert words in error.problem


def test_nobody_there_is_a_network_error(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    error = failure("http://127.0.0.1:1/a.png")
    assert isinstance(error, NetworkError)
    assert "did not answer" in error.problem


@pytest.mark.parametrize("path", ["/silent", "/drip", "/slow-round", *DRIPS])
def test_a_slow_server_is_left(site: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urls, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(urls, "TOTAL_SECONDS", 0.3)
    error = failure(site + path)
    assert isinstance(error, NetworkError)
    assert "too slow" in error.problem or "timed out" in error.problem


@pytest.mark.parametrize("path", ["/flood", "/long-round"])
def test_headers_and_redirects_have_a_limit_of_bytes(site: str, path: str) -> None:
    error = failure(site + path)
    assert isinstance(error, NetworkError)
    assert "it sends more than an image" in error.problem


@pytest.mark.parametrize("path", ["/large", "/endless"])
def test_a_large_answer_is_not_read_to_its_end(site: str, path: str) -> None:
    with pytest.raises(ImageError, match="is larger than"):
        fetch_image(site + path, limit=2000)


def test_the_limit_of_files_is_the_limit_of_downloads(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "MAX_FILE_BYTES", 50)
    assert "is larger than" in failure(f"{site}/image.png").problem


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///a.png",
        "https://[::1/a.png",
        "http://127.0.0.1:99999/a.png",
        "http://a b/c.png",
        "http://me:secret@127.0.0.1/a.png",
        "http://" + "ü" * 300 + "/a.png",
        "http://127.0.0.1:x/a.png",
        "http://a..b/a.png",
        "http://" + "a" * 64 + ".example/a.png",
        "http://127.0.0.1/\ud800.png",
    ],
)
def test_a_malformed_url_is_refused_without_asking_anyone(url: str) -> None:
    error = failure(url)
    assert isinstance(error, ImageError)
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    "url", ["ftp://host/a.png", "gopher://host/1", "smb://nas/x.png", "s3://bucket/key.png"]
)
def test_other_schemes_are_refused(url: str) -> None:
    error = failure(url)
    assert isinstance(error, ImageError)
    assert f"not fetched by {url.partition(':')[0]}:" in error.problem


def test_header_injection_is_impossible(site: str) -> None:
    failure(f"{site}/none\r\nX-Evil: 1\r\n\r\n.png")


def test_schemes() -> None:
    sources = {
        "HTTPS://x/y": "https",
        "http://x": "http",
        "data:image/png;base64,AA==": "data",
        "File:///a": "file",
        "/a/b.png": None,
        "a.png": None,
        "C:\\a.png": None,
        "~/http:/x": None,
    }
    assert {source: scheme_of(source) for source in sources} == sources


def test_urls_are_shown_without_secrets_and_short() -> None:
    assert shown_url("https://u:pw@host:8/a.png?token=1#x") == '"https://host:8/a.png"'
    assert len(shown_url("https://host/" + "a" * 5000)) < 140
    assert "\x1b" not in shown_url("https://host/\x1b[2J")
    assert shown_url("http://[::1/a?token=1") == '"http://[::1/a"'


def test_file_urls() -> None:
    assert file_url_path("file:///a%20b/c.png") == "/a b/c.png"
    assert file_url_path("file://localhost/c.png") == "/c.png"
    with pytest.raises(ImageError, match="on another machine"):
        file_url_path("file://nas/c.png")


def test_data_urls() -> None:
    assert decode_data_url("data:image/png;base64,aGVs\nbG8%3D", limit=10) == b"hello"
    for broken in ("data:image/png,hello", "data:image/png;base64", "data:;base64,a", "data:;base64,ä"):
        with pytest.raises(ImageError):
            decode_data_url(broken, limit=10)
    for large in ("data:;base64," + "A" * 16, "data:;base64," + "A" * 4000):
        with pytest.raises(ImageError, match="is larger than"):
            decode_data_url(large, limit=10)
