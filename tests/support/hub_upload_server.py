"""A stand-in for the hub that takes uploads on loopback: make a repository, ask, send large files, commit.

It speaks what huggingface_hub says without Xet (https://huggingface.co/docs/hub/api and the batch API of Git
LFS), and keeps what it was given: nothing is visible in `files` before a commit.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

COMMIT = "fedcba9876543210fedcba9876543210fedcba98"


@dataclass
class UploadHub:
    """What the server holds and how it behaves."""

    endpoint: str = ""
    private: bool | None = None
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """Committed files by name."""
    objects: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """Large files by SHA-256; they outlive an upload that broke off."""
    sent: list[str] = field(default_factory=list[str])
    """The SHA-256 of every large file whose bytes arrived, in order."""
    commits: int = 0
    refuse_after: int | None = None
    """So many large files are taken; the next ones get a 403."""
    forbidden: bool = False


@contextmanager
def taking_uploads() -> Iterator[UploadHub]:
    """A hub that knows no repository yet."""
    hub = UploadHub()

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
    state: UploadHub

    def log_message(self, *_: object) -> None:
        """Silent."""

    def do_GET(self) -> None:
        siblings = [{"rfilename": name} for name in self.state.files]
        tree = [{"type": "file", "path": name, "size": 1, "oid": "0"} for name in self.state.files]
        self._json(tree if "/tree/" in self.path else {"id": "me/model", "sha": COMMIT, "siblings": siblings})

    def do_POST(self) -> None:
        body = self._body()
        path = urlsplit(self.path).path
        if self.state.forbidden:
            self._json({"error": "no"}, status=403)
        elif path == "/api/repos/create":
            self.state.private = json.loads(body).get("private", json.loads(body).get("visibility"))
            self._json({"url": f"{self.state.endpoint}/me/model", "id": "me/model", "name": "me/model"})
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            asked = json.loads(body)["files"]
            self._json({"files": [_answer(each["path"]) for each in asked]})
        elif path.endswith("/info/lfs/objects/batch"):
            self._json(
                {"transfer": "basic", "objects": [self._action(o) for o in json.loads(body)["objects"]]}
            )
        elif "/commit/" in path:
            self._commit([json.loads(line) for line in body.splitlines()])
        else:
            self._json({"error": f"unexpected {path}"}, status=404)

    def do_PUT(self) -> None:
        body = self._body()
        if self.state.refuse_after is not None and len(self.state.sent) >= self.state.refuse_after:
            self._json({"error": "enough"}, status=403)
            return
        digest = sha256(body).hexdigest()
        assert self.path.endswith(digest)
        self.state.objects[digest] = body
        self.state.sent.append(digest)
        self._json({})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts: list[bytes] = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _action(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["oid"] in self.state.objects:
            return asked
        return asked | {"actions": {"upload": {"href": f"{self.state.endpoint}/lfs/{asked['oid']}"}}}

    def _commit(self, lines: list[dict[str, Any]]) -> None:
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                self.state.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.state.files[value["path"]] = self.state.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del self.state.files[value["path"]]
        self.state.commits += 1
        url = f"{self.state.endpoint}/me/model/commit/{COMMIT}"
        self._json({"success": True, "commitOid": COMMIT, "commitUrl": url})

    def _json(self, value: object, *, status: int = 200) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _answer(path: str) -> dict[str, object]:
    mode = "lfs" if path.endswith(".safetensors") else "regular"
    return {"path": path, "uploadMode": mode, "shouldIgnore": False}
