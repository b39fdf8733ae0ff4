"""`magistral app` (and `magistral` alone): opens the terminal app, or with --plain talks line by line."""

import argparse
import gc
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from magistral_mlx.commands.arguments import natural_number, whole_number
from magistral_mlx.errors import UsageError

if TYPE_CHECKING:
    from magistral_mlx.engine.child import ChildEngine
    from magistral_mlx_tui.settings import Settings


SUMMARY = "open the terminal app"
_THEMES = ("dark", "light", "ansi")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the app's options to `parser`."""
    parser.add_argument(
        "--model", metavar="M", help="name of an installed model, or a folder (default: the best)"
    )
    parser.add_argument(
        "--images",
        "--pictures",
        choices=("auto", "kitty", "sixel", "half", "off"),
        help="how previews of images are drawn (default: by the terminal)",
    )
    parser.add_argument("--theme", choices=_THEMES, help="colours (default: dark)")
    parser.add_argument(
        "--kv-bits",
        type=int,
        choices=(16, 8, 4),
        default=16,
        metavar="B",
        help="width of the KV cache: 16, 8 (half the memory) or 4 bits (default: 16)",
    )
    parser.add_argument(
        "--wire", action="store_true", help="keep the model from being swapped (a risk; see the README)"
    )
    parser.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    add = parser.add_argument_group("the conversation").add_argument
    add("--plain", action="store_true", help="line by line, for screen readers and pipes")
    add(
        "--resume",
        nargs="?",
        const="last",
        metavar="NAME",
        help="open a conversation by its id or title (default: the last)",
    )
    add("--system", metavar="S", help="a system prompt; the model's reasoning prompt stays beside it")
    add("--no-thinking", action="store_true", help="answer without reasoning first")
    add("--thinking-budget", type=whole_number, metavar="N", help="close the reasoning after N tokens")
    add(
        "--max-tokens",
        type=natural_number,
        metavar="N",
        help="limit reasoning and answer to N tokens",
    )
    add("--hide-reasoning", action="store_true", help="do not show the reasoning; it is kept")


def run(arguments: argparse.Namespace) -> int:
    """Open the app or talk line by line; returns the exit status.

    Raises:
        UsageError: there is no terminal for the app, or options contradict each other.
    """
    if arguments.no_thinking and arguments.thinking_budget is not None:
        raise UsageError("--no-thinking contradicts --thinking-budget", "Leave one of them out.")
    if arguments.plain:
        return _talk(arguments)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "The app needs a terminal for input and output",
            "Use `magistral chat --plain` or `magistral ask PROMPT` in pipes, or `magistral demo`.",
        )
    return _open(arguments)


def _open(arguments: argparse.Namespace) -> int:
    # Nothing made before the first frame is garbage; the app switches its own way of collecting on then.
    gc.disable()
    from magistral_mlx.storage.paths import log_directory
    from magistral_mlx_tui.app import MagistralApp
    from magistral_mlx_tui.attachments.thumbnail import ImageMode, choose_mode, prepare_terminal
    from magistral_mlx_tui.terminal.quiet_stderr import quiet_stderr

    settings, complaints = _settings(arguments)
    mode = choose_mode(ImageMode(arguments.images or settings.images))
    prepare_terminal(mode)
    app = MagistralApp(
        _engine(arguments),
        settings=settings,
        image_mode=mode,
        complaints=complaints,
        resume=arguments.resume,
    )
    try:
        with quiet_stderr(log_directory() / "app.log"):
            app.run(mouse=settings.mouse and not arguments.no_mouse)
    finally:
        gc.enable()
    return app.return_code or 0


def _talk(arguments: argparse.Namespace) -> int:
    import asyncio

    from magistral_mlx.commands.console import Console
    from magistral_mlx_tui.conversation.controller import Controller
    from magistral_mlx_tui.plain.talk import Talk
    from magistral_mlx_tui.settings import question_options

    settings, complaints = _settings(arguments)
    console = Console(sys.stdout, sys.stderr, {"TERM": "dumb"})
    for complaint in complaints:
        console.note(complaint)

    engine = _engine(arguments)

    async def talk() -> int:
        controller = Controller(
            engine,
            model=settings.model,
            system=settings.system.strip() or None,
            keep_caches=settings.keep_caches,
        )
        return await Talk(
            controller,
            sys.stdin,
            console,
            interactive=sys.stdin.isatty(),
            reasoning=settings.show_reasoning,
            options=question_options(settings),
            resume=arguments.resume,
        ).run()

    return asyncio.run(talk())


def _engine(arguments: argparse.Namespace) -> "ChildEngine":
    from magistral_mlx.engine.child import ChildEngine, worker_command

    return ChildEngine(command=worker_command(kv_bits=arguments.kv_bits, wire=arguments.wire))


def _settings(arguments: argparse.Namespace) -> "tuple[Settings, list[str]]":
    """The settings, changed by the flags."""
    from magistral_mlx_tui.settings import load_settings

    settings, complaints = load_settings()
    return replace(
        settings,
        model=arguments.model or settings.model,
        theme=arguments.theme or settings.theme,
        system=settings.system if arguments.system is None else arguments.system,
        thinking=settings.thinking and not arguments.no_thinking,
        thinking_budget=settings.thinking_budget
        if arguments.thinking_budget is None
        else arguments.thinking_budget,
        max_tokens=arguments.max_tokens or settings.max_tokens,
        show_reasoning=settings.show_reasoning and not arguments.hide_reasoning,
    ), complaints
