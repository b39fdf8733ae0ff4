"""Text to the clipboard: pbcopy where there is one (Terminal.app ignores OSC 52 silently), else OSC 52."""

import shutil
import subprocess

from textual.app import App

_PATIENCE_SECONDS = 2


def copy_text(app: App[None], text: str) -> str:
    """Copy `text`; returns what to tell people."""
    if program := shutil.which("pbcopy"):
        try:
            subprocess.run([program], input=text.encode(), check=True, timeout=_PATIENCE_SECONDS)
        except (OSError, subprocess.SubprocessError):
            pass  # a session without a pasteboard, such as ssh: the terminal may still take it
        else:
            return "Copied."
    app.copy_to_clipboard(text)
    return "Sent to the terminal's clipboard; some terminals do not take it."
