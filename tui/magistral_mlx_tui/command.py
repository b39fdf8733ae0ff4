"""`magistral app` (and `magistral` alone): opens the terminal app."""

import argparse
import sys
from dataclasses import replace

from magistral_mlx.errors import UsageError

SUMMARY = "open the terminal app"
_THEMES = ("dark", "light", "ansi")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the app's options to `parser`."""
    parser.add_argument(
        "--model", metavar="M", help="name of an installed model, or a folder (default: the best)"
    )
    parser.add_argument(
        "--pictures",
        choices=("auto", "kitty", "sixel", "half", "off"),
        help="how previews of pictures are drawn (default: by the terminal)",
    )
    parser.add_argument("--theme", choices=_THEMES, help="colours (default: dark)")
    parser.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")


def run(arguments: argparse.Namespace) -> int:
    """Open the app; returns the exit status.

    Raises:
        UsageError: there is no terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "The app needs a terminal for input and output",
            "Use `magistral ask PROMPT` in scripts and pipes, or `magistral demo` to see everything work.",
        )
    from magistral_mlx.engine.child import ChildEngine
    from magistral_mlx.places import log_directory
    from magistral_mlx_tui.app import MagistralApp
    from magistral_mlx_tui.quiet_stderr import quiet_stderr
    from magistral_mlx_tui.settings import load_settings
    from magistral_mlx_tui.thumbnail import PictureMode, choose_mode, prepare_terminal

    settings, complaints = load_settings()
    settings = replace(
        settings, model=arguments.model or settings.model, theme=arguments.theme or settings.theme
    )
    mode = choose_mode(PictureMode(arguments.pictures or settings.pictures))
    prepare_terminal(mode)
    app = MagistralApp(ChildEngine(), settings=settings, picture_mode=mode, complaints=complaints)
    with quiet_stderr(log_directory() / "app.log"):
        app.run(mouse=settings.mouse and not arguments.no_mouse)
    return app.return_code or 0
