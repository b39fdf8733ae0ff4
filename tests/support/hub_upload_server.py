"""A stand-in for the hub that takes uploads on loopback: make a repository, ask, send large files, commit.

It speaks what huggingface_hub says without Xet (https://huggingface.co/docs/hub/api and the batch API of Git
LFS), and keeps what it was given: nothing is visible in `files` before a commit.
"""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from support.loopback import Answering, listening

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
    requests: int = 0
    at_request: Callable[[int], None] | None = None
    """Called with the number of each request, from 1, when half of it is here."""

    def arrived(self) -> None:
        """Half of a request is here."""
        self.requests += 1
        if self.at_request is not None:
            self.at_request(self.requests)


@contextmanager
def taking_uploads() -> Iterator[UploadHub]:
    """A hub that knows no repository yet."""
    hub = UploadHub()

    class Handler(_Handler):
        state = hub

    with listening(Handler) as hub.endpoint:
        yield hub


class _Handler(Answering, BaseHTTPRequestHandler):  # named again for the linter, which knows its do_GET
    state: UploadHub

    def do_GET(self) -> None:
        self.state.arrived()
        siblings = [{"rfilename": name} for name in self.state.files]
        tree = [{"type": "file", "path": name, "size": 1, "oid": "0"} for name in self.state.files]
        self.send_json(
            tree if "/tree/" in self.path else {"id": "me/model", "sha": COMMIT, "siblings": siblings}
        )

    def do_POST(self) -> None:
        body = self._body()
        path = urlsplit(self.path).path
        if self.state.forbidden:
            self.send_json({"error": "no"}, status=403)
        elif path == "/api/repos/create":
            self.state.private = json.loads(body).get("private", json.loads(body).get("visibility"))
            self.send_json({"url": f"{self.state.endpoint}/me/model", "id": "me/model", "name": "me/model"})
        elif path == "/api/validate-yaml":
            self.send_json({"errors": [], "warnings": []})
        elif "/preupload/" in path:
            asked = json.loads(body)["files"]
            self.send_json({"files": [_answer(each["path"]) for each in asked]})
        elif path.endswith("/info/lfs/objects/batch"):
            self.send_json(
                {"transfer": "basic", "objects": [self._action(o) for o in json.loads(body)["objects"]]}
            )
        elif "/commit/" in path:
            self._commit([json.loads(line) for line in body.splitlines()])
        else:
            self.send_json({"error": f"unexpected {path}"}, status=404)

    def do_PUT(self) -> None:
        body = self._body()
        digest = sha256(body).hexdigest()
        if self.state.at_request is not None and not self.path.endswith(digest):
            self.close_connection = True  # whoever sent it is dead
            return
        if self.state.refuse_after is not None and len(self.state.sent) >= self.state.refuse_after:
            self.send_json({"error": "enough"}, status=403)
            return
        assert self.path.endswith(digest)
        self.state.objects[digest] = body
        self.state.sent.append(digest)
        self.send_json({})

    def _body(self) -> bytes:
        """The request's content; less, where the sender died."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            length = int(self.headers.get("Content-Length", 0))
            begun = self.rfile.read(length // 2)
            self.state.arrived()
            return begun + self.rfile.read(length - length // 2)
        self.state.arrived()
        parts: list[bytes] = []
        while size := int(self.rfile.readline() or b"0", 16):
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
        self.send_json({"success": True, "commitOid": COMMIT, "commitUrl": url})


def _answer(path: str) -> dict[str, object]:
    mode = "lfs" if path.endswith(".safetensors") else "regular"
    return {"path": path, "uploadMode": mode, "shouldIgnore": False}
