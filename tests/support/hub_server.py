"""A stand-in for the hub on loopback: revision info, file tree, and downloads with HEAD, ETag and ranges.

It speaks what huggingface_hub asks for when it downloads a snapshot (https://huggingface.co/docs/hub/api),
and writes down every request.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit

from support.loopback import Answering, listening

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "someone/Tiny-Magistral"
SHARDS = [f"model-{number:05}-of-00003.safetensors" for number in (1, 2, 3)]
"""Of the repository of the tests' fixture `hub`."""

_XET_TOKEN = {"X-Xet-Access-Token": "of a test", "X-Xet-Token-Expiration": "4102444800"}


@dataclass(frozen=True)
class Content:
    """A weight file that lies nowhere: made piece by piece as it is sent."""

    size: int
    sha256: str
    pieces: Callable[[int, int], Iterable[bytes | memoryview]]
    """First byte, end -> those bytes in pieces."""

    @classmethod
    def of(cls, path: Path) -> "Content":
        """A file on the disk."""
        data = path.read_bytes()
        return cls(len(data), hashlib.sha256(data).hexdigest(), lambda first, end: [data[first:end]])


@dataclass
class Hub:
    """What the server serves and what it was asked."""

    folder: Path
    contents: Mapping[str, Content] = field(default_factory=dict[str, Content])
    """Weight files beside those in the folder."""
    endpoint: str = ""
    requests: list[str] = field(default_factory=list[str])
    """`METHOD path`, with the range behind it where there was one."""
    cut_after: int | None = None
    """The next download of a weight file breaks off after so many bytes."""
    spoil: int = 0
    """So many downloads of weight files arrive with their last byte changed."""
    lies: dict[str, object] = field(default_factory=dict[str, object])
    """A false `commit`, `etag`, `path`, `size` or `oid`; `more`: bytes that it sends too many."""
    page: bytes = b""
    """Sent in place of every JSON answer."""
    status: int | None = None
    """Every request is answered with this status instead."""
    xet: bool = False
    """Large files are said to lie in a Xet storage, which hands out tokens but answers nothing else."""

    def downloaded(self) -> set[str]:
        """The names of the files whose content was sent, not only their start."""
        return set(self.downloads())

    def downloads(self) -> list[str]:
        """The same in the order of the requests, and as often as there were any."""
        sent = [line.split(" ") for line in self.requests if line.startswith("GET") and "/resolve/" in line]
        return [
            path.rpartition("/")[2]
            for _, path, *byte_range in sent
            if not _is_probe(byte_range[0] if byte_range else None)
        ]


@contextmanager
def serving(folder: Path, *, contents: Mapping[str, Content] | None = None) -> Iterator[Hub]:
    """Serves `folder` as the repository `REPOSITORY` at the commit `COMMIT`, branch `main` and tag `v1`."""
    hub = Hub(folder, contents=contents or {})

    class Handler(_Handler):
        state = hub

    with listening(Handler) as hub.endpoint:
        yield hub


class _Handler(Answering, BaseHTTPRequestHandler):  # named again for the linter, which knows its do_GET
    state: Hub

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        byte_range = self.headers.get("Range")
        self.state.requests.append(f"{self.command} {path}" + (f" {byte_range}" if byte_range else ""))
        if self.state.page and path.startswith("/api/models/"):
            self.send_head(200, {"Content-Type": "text/html"}, length=len(self.state.page))
            self.wfile.write(self.state.page)
        elif self.state.status is not None:
            self.send_json({}, status=self.state.status)
        elif path == f"/api/models/{REPOSITORY}" or re.fullmatch(
            f"/api/models/{REPOSITORY}/revision/(main|v1|{COMMIT})", path
        ):
            commit = self.state.lies.get("commit", COMMIT)
            self.send_json({"id": REPOSITORY, "sha": commit, "siblings": []})
        elif path.startswith(f"/api/models/{REPOSITORY}/revision/"):
            self._refuse("RevisionNotFound", "Invalid rev id")
        elif path.startswith(f"/api/models/{REPOSITORY}/xet-read-token/"):
            self.send_json({}, headers=_XET_TOKEN | {"X-Xet-Cas-Url": "http://127.0.0.1:9"})
        elif path.startswith(f"/api/models/{REPOSITORY}/tree/{COMMIT}"):
            self.send_json(self._tree())
        elif match := re.fullmatch(f"/{REPOSITORY}/resolve/{COMMIT}/(.+)", path):
            self._send_file(match.group(1), with_body=with_body, byte_range=byte_range)
        else:
            self._refuse("RepoNotFound", "Repository not found")

    def _refuse(self, code: str, message: str) -> None:
        self.send_json({}, status=404, headers={"X-Error-Code": code, "X-Error-Message": message})

    def _tree(self) -> list[dict[str, object]]:
        folder = self.state.folder
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        files = [_entry(path, path.relative_to(folder).as_posix()) for path in paths]
        files += [_large(name, content) for name, content in self.state.contents.items()]
        large = next((file for file in files if "lfs" in file), {})
        for key in self.state.lies.keys() & {"path", "size"}:
            large[key] = self.state.lies[key]
        if "oid" in self.state.lies:
            large["lfs"] = {"oid": self.state.lies["oid"], "size": large["size"], "pointerSize": 135}
        return files

    def _send_file(self, name: str, *, with_body: bool, byte_range: str | None) -> None:
        path = self.state.folder / name
        if name not in self.state.contents and not path.is_file():
            self._refuse("EntryNotFound", "Entry not found")
            return
        content = self.state.contents.get(name) or Content.of(path)
        etag = content.sha256 if name.endswith(".safetensors") else _git_object(path)
        etag = self.state.lies.get("etag", etag)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if self.state.xet and name.endswith((".safetensors", "tekken.json")):
            token = f"{self.state.endpoint}/api/models/{REPOSITORY}/xet-read-token/{COMMIT}"
            headers |= {"X-Xet-Hash": "a" * 64, "X-Xet-Refresh-Route": token}
        status, start, end = 200, 0, content.size
        if byte_range:
            first, _, last = byte_range.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last) + 1, content.size) if last else content.size
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{content.size}"
            status = 206
        more = bytes(cast(int, self.state.lies.get("more", 0))) if name.endswith(".safetensors") else b""
        self.send_head(status, headers, length=end - start + len(more))
        if with_body:
            disturbed = name.endswith(".safetensors") and not _is_probe(byte_range)
            for piece in self._disturbed(content, start, end) if disturbed else content.pieces(start, end):
                self.wfile.write(piece)
            self.wfile.write(more)

    def _disturbed(self, content: Content, start: int, end: int) -> Iterable[bytes | memoryview]:
        """A download as the test wants it: whole, cut off, or with its last byte changed."""
        if self.state.cut_after is not None:
            cut, self.state.cut_after = self.state.cut_after, None
            self.close_connection = True
            yield from content.pieces(start, min(start + cut, end))
        elif self.state.spoil:
            self.state.spoil -= 1
            yield from content.pieces(start, end - 1)
            yield bytes([bytes(*content.pieces(end - 1, end))[0] ^ 1])
        else:
            yield from content.pieces(start, end)


def _is_probe(byte_range: str | None) -> bool:
    """Whether only a piece of a file is asked for, as for its header."""
    return byte_range is not None and not byte_range.endswith("-")


def _entry(path: Path, name: str) -> dict[str, object]:
    """As the hub lists a file: with its git object, large files with their SHA-256."""
    if path.suffix == ".safetensors":
        return _large(name, Content.of(path))
    return {"type": "file", "path": name, "size": path.stat().st_size, "oid": _git_object(path)}


def _large(name: str, content: Content) -> dict[str, object]:
    lfs = {"oid": content.sha256, "size": content.size, "pointerSize": 135}
    return {"type": "file", "path": name, "size": content.size, "oid": "0" * 40, "lfs": lfs}


def _git_object(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
