"""Each parser of outside bytes on mutated files: a value or a known error, in bounded time and memory.

The seeds are fixed. The short form runs every time; `pytest -m thorough tests/fuzz` is the long form. What
once broke a parser is kept in `BROKE` and tried first.
"""

import io
import json
import random
import resource
import signal
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import pytest
from PIL import Image

from magistral_mlx.checkpoint.config import parse_config
from magistral_mlx.checkpoint.folder import MANIFEST_FILE, read_json
from magistral_mlx.checkpoint.manifest import sealed, verify_folder
from magistral_mlx.checkpoint.safetensors_header import read_header
from magistral_mlx.engine import wire
from magistral_mlx.engine.protocol import Ask, AskRequest
from magistral_mlx.errors import MagistralError
from magistral_mlx.miniature import checkpoint_directory
from magistral_mlx.prompt.image_files import load_image, load_preview
from magistral_mlx.prompt.tokenizer import Tokenizer
from magistral_mlx.prompt.urls import decode_data_url, scheme_of, shown_url
from magistral_mlx.sessions.session import Session, read_tree
from magistral_mlx_convert.sources.gguf.header import read_gguf_header
from magistral_mlx_tui.settings import load_settings
from support.tekken import tekken_document

Parse = Callable[[Path], object]

SHORT, LONG = 40, 2000
"""Mutated files per parser."""

MOST_SECONDS = 300
"""Of one parser and all its files: only a hang takes so long."""

MOST_MEMORY = 1 << 30


def image(kind: str) -> bytes:
    file = io.BytesIO()
    Image.radial_gradient("L").resize((48, 32)).convert("RGB").save(file, kind)
    return file.getvalue()


def sixteen_bits() -> bytes:
    file = io.BytesIO()
    Image.new("I;16", (48, 32), 999).save(file, "PNG")
    return file.getvalue()


def safetensors() -> bytes:
    entries = {
        name: {"dtype": "F32", "shape": [2, 2], "data_offsets": [16 * index, 16 * index + 16]}
        for index, name in enumerate("abc")
    }
    head = json.dumps({"__metadata__": {"format": "mlx"}, **entries}).encode()
    return struct.pack("<Q", len(head)) + head + bytes(48)


def gguf() -> bytes:
    def text(words: str) -> bytes:
        return struct.pack("<Q", len(words)) + words.encode()

    return b"".join(
        [
            b"GGUF" + struct.pack("<IQQ", 3, 1, 3),
            text("general.architecture") + struct.pack("<I", 8) + text("llama"),
            text("general.alignment") + struct.pack("<II", 4, 32),
            text("numbers") + struct.pack("<IIQ3I", 9, 4, 3, 1, 2, 3),
            text("token_embd.weight") + struct.pack("<IQQIQ", 2, 4, 4, 0, 0),
            bytes(256),
        ]
    )


def manifest() -> bytes:
    files = {"config.json": {"bytes": 2, "sha256": "0" * 64}, "tekken.json": {"bytes": 3, "sha256": "1" * 64}}
    return json.dumps(sealed({"version": 1, "files": files})).encode()


def session() -> bytes:
    lines = [
        {"type": "began", "id": "a", "at": 1.0},
        {"type": "asked", "turn": 1, "parent": 0, "question": "?", "at": 2.0},
    ]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def parse_session(path: Path) -> object:
    tree = read_tree(path)
    Session(path).close()
    return tree


def parse_manifest(path: Path) -> object:
    path.rename(path.with_name(MANIFEST_FILE))
    return verify_folder(path.parent)


def parse_url(path: Path) -> object:
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    shown_url(text)
    # Only what opens no connection.
    return decode_data_url(text, limit=1000) if scheme_of(text) == "data" else load_image("x" + text)


PARSERS: dict[str, tuple[bytes, Parse]] = {
    "safetensors": (safetensors(), read_header),
    "GGUF": (gguf(), read_gguf_header),
    "tekken.json": (json.dumps(tekken_document()).encode(), lambda path: Tokenizer.from_file(path, None)),
    "config.json": (
        (checkpoint_directory() / "config.json").read_bytes(),
        lambda path: parse_config(read_json(path)),
    ),
    "manifest": (manifest(), parse_manifest),
    "session": (session(), parse_session),
    "settings": (b'theme = "x"\nimages = "half"\n[keys]\nquit = "ctrl+q"\n', load_settings),
    "URL": (b"data:image/png;base64,aGVsbG8gd29ybGQ=", parse_url),
    "message": (wire.encode(1, Ask(AskRequest("?"))), lambda path: wire.decode(path.read_bytes())),
    "16 bits": (sixteen_bits(), lambda path: load_image(path)),
    **{kind: (image(kind), lambda path: load_image(path)) for kind in ("PNG", "JPEG", "TIFF", "GIF")},
    "preview": (image("AVIF"), lambda path: load_preview(path, edge=16)),
    "preview of a JPEG": (image("JPEG"), lambda path: load_preview(path, edge=16)),
}

BROKE: dict[str, list[bytes]] = {
    "tekken.json": [
        json.dumps({**tekken_document(), "config": {**tekken_document()["config"], "pattern": ""}}).encode()
    ],
    "manifest": [b'{"files": {"\\ud800": {"bytes": 1, "sha256": "0"}}}'],
    "settings": [b"a = " + b"[" * 100_000],
    "URL": [b"http://a..b/", b"http://\xed\xa0\x80/"],
}
"""Files that once ended in a traceback, a panic or a hang."""


def mutated(whole: bytes, draw: random.Random) -> bytes:
    content = bytearray(whole)
    for _ in range(draw.choice((1, 1, 3, 12))):
        place = draw.randrange(len(content)) if content else 0
        match draw.randrange(4):
            case 0:
                content[place : place + 1] = bytes([draw.choice((0, 255, draw.randrange(256)))])
            case 1:
                del content[place : place + draw.choice((1, 8, 100))]
            case 2:
                content[place:place] = content[place : place + draw.choice((1, 8, 100))]
            case _:
                content[place : place + 8] = draw.choice((b"\xff" * 8, b"9" * 8, bytes(8), b"[[[[{{{{"))
    return bytes(content)


@contextmanager
def watched() -> Iterator[None]:
    def hang(number: int, frame: FrameType | None) -> NoReturn:
        raise TimeoutError("a parser hangs")

    unit = 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    earlier = signal.signal(signal.SIGALRM, hang)
    signal.alarm(MOST_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, earlier)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before < MOST_MEMORY


@pytest.mark.parametrize(
    "count", [pytest.param(SHORT, id="short"), pytest.param(LONG, id="long", marks=pytest.mark.thorough)]
)
@pytest.mark.parametrize("name", PARSERS)
def test_mutated_files_end_in_a_value_or_a_known_error(tmp_path: Path, name: str, count: int) -> None:
    whole, parse = PARSERS[name]
    draw = random.Random(name)
    files = [*BROKE.get(name, []), *(mutated(whole, draw) for _ in range(count))]
    with watched():
        for number, content in enumerate(files):
            path = tmp_path / str(number) / "file.jsonl"
            path.parent.mkdir()
            path.write_bytes(content)
            try:
                parse(path)
            except MagistralError as error:
                assert "\n" not in str(error), content[:200]  # noqa: PT017


@pytest.mark.parametrize("name", sorted(PARSERS.keys() - {"URL"}))
def test_the_whole_file_is_accepted(tmp_path: Path, name: str) -> None:
    whole, parse = PARSERS[name]
    path = tmp_path / "file.jsonl"
    path.write_bytes(whole)
    assert parse(path) is not None
