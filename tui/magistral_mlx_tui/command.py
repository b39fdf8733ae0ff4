"""`magistral app` (and `magistral` alone): opens the terminal app."""

import argparse
import sys

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
        default="auto",
        help="how previews of pictures are drawn (default: auto)",
    )
    parser.add_argument("--theme", choices=_THEMES, default="dark", help="colours (default: dark)")


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
    from magistral_mlx_tui.app import MagistralApp
    from magistral_mlx_tui.thumbnail import PictureMode, choose_mode, prepare_terminal

    mode = choose_mode(PictureMode(arguments.pictures))
    prepare_terminal(mode)
    app = MagistralApp(ChildEngine(), model=arguments.model, theme=arguments.theme, picture_mode=mode)
    app.run()
    return app.return_code or 0
