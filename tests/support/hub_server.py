"""A stand-in for the hub on loopback: revision info, file tree, and downloads with HEAD, ETag and ranges.

It speaks what huggingface_hub asks for when it downloads a snapshot (https://huggingface.co/docs/hub/api),
and writes down every request.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "someone/Tiny-Magistral"


@dataclass
class Hub:
    """What the server serves and what it was asked."""

    folder: Path
    endpoint: str = ""
    requests: list[str] = field(default_factory=list[str])
    """`METHOD path`, with the range behind it where there was one."""
    cut_after: int | None = None
    """The next download of a weight file breaks off after so many bytes."""
    status: int | None = None
    """Every request is answered with this status instead."""

    def downloaded(self) -> set[str]:
        """The names of the files whose content was sent."""
        return {line.partition("/resolve/")[2].partition("/")[2].split(" ")[0] for line in self.requests
                if line.startswith("GET") and "/resolve/" in line}  # fmt: skip


@contextmanager
def serving(folder: Path) -> Iterator[Hub]:
    """Serves `folder` as the repository `REPOSITORY` at the commit `COMMIT`, branch `main` and tag `v1`."""
    hub = Hub(folder)

    class Handler(_Handler):
        state = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Hub

    def log_message(self, *_: object) -> None:
        """Silent."""

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        byte_range = self.headers.get("Range")
        self.state.requests.append(f"{self.command} {path}" + (f" {byte_range}" if byte_range else ""))
        if self.state.status is not None:
            self._send(self.state.status, b"{}")
        elif path == f"/api/models/{REPOSITORY}" or re.fullmatch(
            f"/api/models/{REPOSITORY}/revision/(main|v1|{COMMIT})", path
        ):
            self._send(200, json.dumps({"id": REPOSITORY, "sha": COMMIT, "siblings": []}).encode())
        elif path.startswith(f"/api/models/{REPOSITORY}/revision/"):
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"})
        elif path.startswith(f"/api/models/{REPOSITORY}/tree/{COMMIT}"):
            self._send(200, json.dumps(self._tree()).encode())
        elif match := re.fullmatch(f"/{REPOSITORY}/resolve/{COMMIT}/([^/]+)", path):
            self._send_file(match.group(1), with_body=with_body, byte_range=byte_range)
        else:
            self._send(
                404, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
            )

    def _tree(self) -> list[dict[str, object]]:
        return [
            {"type": "file", "path": path.name, "size": path.stat().st_size, "oid": _etag(path)}
            for path in sorted(self.state.folder.iterdir())
        ]

    def _send_file(self, name: str, *, with_body: bool, byte_range: str | None) -> None:
        path = self.state.folder / name
        if not path.is_file():
            self._send(404, b"{}", {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"})
            return
        content = path.read_bytes()
        headers = {"ETag": f'"{_etag(path)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        status = 200
        if byte_range:
            first = int(byte_range.removeprefix("bytes=").partition("-")[0])
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            status, content = 206, content[first:]
        cut = self.state.cut_after
        if with_body and cut is not None and name.endswith(".safetensors"):
            self.state.cut_after = None
            self._send(status, content, headers, sent=cut)
            self.close_connection = True
        else:
            self._send(status, content, headers, sent=len(content) if with_body else 0)

    def _send(
        self, status: int, content: bytes, headers: dict[str, str] | None = None, *, sent: int | None = None
    ) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:sent])


def _etag(path: Path) -> str:
    return hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
