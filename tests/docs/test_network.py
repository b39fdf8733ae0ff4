"""docs/network.md is true: nothing else can reach the network, and what need not, does not."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.pseudo_terminal import run_on_a_terminal

_ROOT = Path(__file__).parents[2]
_REACHING = {
    "aiohttp",
    "ftplib",
    "http",
    "httpx",
    "httpx2",
    "huggingface_hub",
    "kagglehub",
    "requests",
    "smtplib",
    "socket",
    "ssl",
    "urllib.request",
    "urllib3",
    "websockets",
}

_RECORDER = """
import os, sys

def record(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        if not (event == "socket.connect" and isinstance(arguments[1], (str, bytes))):  # a Unix socket
            with open(os.environ["CONNECTIONS"], "a") as log:
                log.write(f"{event} {arguments[1:]!r}\\n")

sys.addaudithook(record)
"""


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def _reaches(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in _REACHING)


def _unable_to_reach(path: Path) -> bool:
    """Modules that import only names, constants and error classes of a library that could."""
    return path.name == "hub_errors.py" and {m for m in _imports(path) if _reaches(m)} == {
        "huggingface_hub",
        "huggingface_hub.constants",
        "huggingface_hub.errors",
    }


def test_only_the_listed_modules_can_open_a_connection() -> None:
    listed = set(
        re.findall(r"`((?:src|convert|tui)/[\w/]+\.py)`", (_ROOT / "docs/network.md").read_text("utf-8"))
    )
    able = {
        str(path.relative_to(_ROOT))
        for folder in ("src", "convert", "tui")
        for path in (_ROOT / folder).rglob("*.py")
        if any(map(_reaches, _imports(path))) and not _unable_to_reach(path)
    }
    assert able == listed


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that gets one line for every connection or lookup of any Python process started from here."""
    (tmp_path / "sitecustomize.py").write_text(_RECORDER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("CONNECTIONS", str(tmp_path / "connections"))
    monkeypatch.delenv("HF_HUB_OFFLINE")
    (tmp_path / "connections").touch()
    return tmp_path / "connections"


def _python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=200, check=False
    )


def test_the_recorder_sees_a_lookup_and_a_connection(recorded: Path, tmp_path: Path) -> None:
    code = "import socket; s = socket.socket(); s.settimeout(1); s.connect_ex(('127.0.0.1', 9))"
    assert _python(code, tmp_path).returncode == 0
    assert "socket.connect" in recorded.read_text()


def test_commands_and_api_open_no_connection(recorded: Path, tmp_path: Path) -> None:
    code = """
import random
import magistral_mlx as mm
from magistral_mlx.commands.main import main
from magistral_mlx.miniature import checkpoint_directory
from magistral_mlx.miniature.images import draw, random_chart

draw(random_chart(random.Random(1)), random.Random(1)).save("chart.png")
for line in (
    ["models"],
    ["ask", "Describe this image.", "--image", "chart.png", "--max-tokens", "20"],
    ["convert", str(checkpoint_directory()), "--to", "converted"],
    ["ask", "2 + 2", "--model", "converted"],
):
    assert main(line) == 0, line
with mm.load("miniature") as model:
    model.conversation().ask("What is 1 + 1?")
"""
    done = _python(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert recorded.read_text() == ""


def test_the_app_opens_no_connection(recorded: Path, tmp_path: Path) -> None:
    program = [str(Path(sys.executable).with_name("magistral"))]
    assert run_on_a_terminal(program, until="miniature", keys="\x11").exit_code == 0
    assert recorded.read_text() == ""


def test_a_hub_id_and_a_url_do_and_fail_in_one_line(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Port 9 of this machine (discard): nobody answers there.
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    main = "import sys; from magistral_mlx.commands.main import main; sys.exit(main(sys.argv[1:]))"
    for arguments in (
        ["convert", "some/model", "--to", "x"],
        ["ask", "hi", "--image", "http://127.0.0.1:9/a.png"],
    ):
        recorded.write_text("")
        done = subprocess.run(
            [sys.executable, "-c", main, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 1, done.stderr
        assert done.stdout == ""
        assert "magistral: " in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
        assert "127.0.0.1" in recorded.read_text()
    assert not (tmp_path / "x").exists()
