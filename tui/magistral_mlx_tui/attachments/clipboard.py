"""The system's clipboard: pngpaste or AppleScript on macOS, wl-paste or xclip elsewhere."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from textual.app import App

from magistral_mlx.errors import ImageError

_PATIENCE_SECONDS = 5
_APPLE_SCRIPT = (
    'set target to POSIX file "{path}"\n'
    "set written to open for access target with write permission\n"
    "try\n"
    "  write (the clipboard as «class PNGf») to written\n"
    "end try\n"
    "close access written\n"
)


def clipboard_image(folder: Path) -> Path:
    """Save the clipboard's image as a file in `folder`; blocks for up to some seconds.

    Raises:
        ImageError: there is no image, or no program to read it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".png", delete=False) as file:
        target = Path(file.name)
    for command in _commands(target):
        data = _output(command)
        if data:
            target.write_bytes(data)
        if target.stat().st_size:
            return target
    target.unlink()
    raise ImageError(
        "There is no image on the clipboard",
        "Copy one, or attach it by its path."
        if _commands(target)
        else "Install wl-clipboard or xclip, or attach it by its path.",
    )


def _commands(target: Path) -> list[Sequence[str]]:
    """Commands to try, in order; each prints the image or writes it to `target`."""
    known: list[Sequence[str]] = []
    if sys.platform == "darwin":
        known += [("pngpaste", "-"), ("osascript", "-e", _APPLE_SCRIPT.format(path=target))]
    else:
        known += [
            ("wl-paste", "--no-newline", "--type", "image/png"),
            ("xclip", "-selection", "clipboard", "-target", "image/png", "-out"),
        ]
    return [command for command in known if shutil.which(command[0])]


def _output(command: Sequence[str]) -> bytes:
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=_PATIENCE_SECONDS)
    except (OSError, subprocess.SubprocessError):  # no display, no image: the next one may have it
        return b""
    return done.stdout


_COPY_SECONDS = 2


def copy_text(app: App[None], text: str) -> str:
    """Copy `text`; returns a line for people."""
    if program := shutil.which("pbcopy"):
        try:
            subprocess.run([program], input=text.encode(), check=True, timeout=_COPY_SECONDS)
        except (OSError, subprocess.SubprocessError):
            pass  # a session without a pasteboard, such as ssh: the terminal may still take it
        else:
            return "Copied."
    app.copy_to_clipboard(text)
    return "Sent to the terminal's clipboard; some terminals ignore it."
