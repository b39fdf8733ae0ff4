"""Where the process of the `magistral` command begins and ends: what surrounds `main` and no test calls.

Ctrl-C can come at any moment, so this module imports nothing that takes time, and the rest is imported where
an interruption is already caught.
"""

import os
import sys


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
    return code


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
