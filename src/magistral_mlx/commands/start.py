"""Where the process of the `magistral` command begins and ends: what surrounds `main` and no test calls.

Ctrl-C can come at any moment, so this module imports nothing that takes time, and the rest is imported where
an interruption is already caught.
"""

import os
import sys

_EXIT_SECONDS = 0.5
"""How long a command that was interrupted waits for the model's work to end."""


def start() -> int:
    """Run the command of this process and return its exit code."""
    try:
        from magistral_mlx.commands.main import EXIT_INTERRUPTED, main
    except KeyboardInterrupt:
        sys.stderr.write("magistral: Stopped.\n")
        return 130
    code = main()
    if code == EXIT_INTERRUPTED:
        _fall_silent()
        _end_soon()
    return code


def _end_soon() -> None:
    """End the process at once if the thread of the models is still at work: the interpreter would wait."""
    owner = sys.modules.get("magistral_mlx.api.owner_thread")
    if owner is not None and not owner.end_within(_EXIT_SECONDS):
        os._exit(130)


def _fall_silent() -> None:
    """Let the interpreter end without another word.

    The thread that loads models may still be importing; libraries print what they think of that, and a second
    Ctrl-C would interrupt the exit itself with a traceback. It ends the process at once instead.
    """
    import signal

    def leave(_number: int, _frame: object) -> None:
        os._exit(130)

    signal.signal(signal.SIGINT, leave)
    sys.stdout.flush()
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - pathlib is not imported; it stays open
