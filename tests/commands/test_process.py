"""The `magistral` command as a process: what an in-process test cannot show."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

_MAIN = "import sys; from magistral_mlx.commands.start import start; sys.exit(start())"


def _start(*arguments: str, code: str = _MAIN, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=stdout, stderr=subprocess.PIPE, text=True
    )


def test_a_closed_pipe_ends_quietly() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = _start("--help", stdout=writing)
    os.close(writing)
    _, errors = process.communicate(timeout=60)
    assert errors == ""
    assert process.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_under_the_output_is_told() -> None:
    with Path("/dev/full").open("w") as full:
        process = _start("--help", stdout=full.fileno())
        _, errors = process.communicate(timeout=60)
    assert errors.startswith("magistral: The output cannot be written: No space left")
    assert errors.count("\n") == 1
    assert process.returncode == 1


def test_help_imports_nothing_heavy() -> None:
    heavy = {"mlx", "mlx_lm", "mlx_vlm", "numpy", "transformers", "PIL", "textual", "mistral_common", "rich"}
    code = (
        "import sys; from magistral_mlx.commands.main import main; main(['--help'])\n"
        f"print(sorted({heavy!r} & set(sys.modules)), file=sys.stderr)"
    )
    _, errors = _start(code=code).communicate(timeout=60)
    assert errors.strip() == "[]"


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = {"mlx", "numpy", "transformers", "PIL", "mistral_common", "argparse"}
    code = f"import sys, magistral_mlx; print(sorted({heavy!r} & set(sys.modules)), file=sys.stderr)"
    _, errors = _start(code=code).communicate(timeout=60)
    assert errors.strip() == "[]"


def test_after_ctrl_c_nothing_more_is_said() -> None:
    code = """
import atexit, sys
from magistral_mlx.commands import main
from magistral_mlx.commands.start import start

def interrupted(*arguments, **options):
    raise KeyboardInterrupt

main.dispatch = interrupted
atexit.register(lambda: print("a library that is unhappy about the end", file=sys.stdout))
sys.exit(start())
"""
    process = _start(code=code)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert output == ""
    assert errors == "magistral: Stopped.\n"


STUCK = """
import sys, threading, time
from magistral_mlx.api.owner_thread import owner_thread
from magistral_mlx.api.stream import AnswerStream
from magistral_mlx.commands import main
from magistral_mlx.commands.start import start
from magistral_mlx.commands.streaming import follow_with

class Slow:  # one piece of work that looks at no stop
    class history: pass
    def begin(self, **options):
        print("working", flush=True)
        while True:
            time.sleep(0.01)

def run(*arguments, **options):
    if sys.argv[1] == "loading":
        owner_thread().call(Slow().begin)
    return follow_with(AnswerStream(Slow()), print)

main.dispatch = run
sys.exit(start())
"""


def test_the_second_ctrl_c_ends_the_process_whatever_runs() -> None:
    process = _start("answering", code=STUCK)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "working\n"
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline() == "Stopping; press again to end at once\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "magistral: Stopped.\n")


def test_ctrl_c_while_a_model_loads_ends_the_process() -> None:
    process = _start("loading", code=STUCK)
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "magistral: Stopped.\n")
