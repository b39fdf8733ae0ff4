"""The owner thread, and processes that load a model and end: normally, half-way, or by Ctrl-C."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from magistral_mlx.api.owner_thread import OwnerThread
from support.models import scripted_folder
from support.scripted import END_THINK, EOS, THINK, counting


@pytest.fixture
def owner() -> Iterator[OwnerThread]:
    owner = OwnerThread()
    yield owner
    owner.close()


def test_all_work_runs_on_one_thread(owner: OwnerThread) -> None:
    names = {owner.call(lambda: threading.current_thread().name) for _ in range(3)}
    assert names == {"magistral-mlx"}
    assert owner.call(lambda: owner.call(lambda: 5)) == 5


def test_errors_come_back_to_whoever_asked(owner: OwnerThread) -> None:
    with pytest.raises(ZeroDivisionError):
        owner.call(lambda: 1 // 0)
    assert owner.call(lambda: 5) == 5


def test_posted_work_runs_later(owner: OwnerThread) -> None:
    done = threading.Event()
    owner.post(done.set)
    owner.call(lambda: None)
    assert done.is_set()


def test_an_interrupted_wait_ends_the_work_first(owner: OwnerThread, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, ended = threading.Event(), threading.Event()

    def work() -> None:
        stop.wait()
        ended.set()

    waits = threading.Event.wait

    def interrupted(event: threading.Event, timeout: float | None = None) -> bool:
        if threading.current_thread() is threading.main_thread() and not stop.is_set():
            raise KeyboardInterrupt
        return waits(event, timeout)

    monkeypatch.setattr(threading.Event, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        owner.call(work, on_interrupt=stop.set)
    assert ended.is_set()


@pytest.fixture(scope="module")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thinks for a long time."""
    directory = tmp_path_factory.mktemp("talker")
    return scripted_folder(directory, [THINK, counting(900)], chains={END_THINK: [b"Done", EOS]})


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200)


ASK = "import sys, magistral_mlx as mm; m = mm.load(sys.argv[1]); "
OTHER_THREAD = """
import threading
threading.Thread(target=m.ask, args=("?",), daemon=True).start()
print("left")
"""


@pytest.mark.parametrize(
    ("code", "output"),
    [
        ("print(m.ask('?', max_tokens=40).answer)", "Done\n"),
        ("s = m.stream('?'); next(s); next(s); print('half-way')", "half-way\n"),
        (OTHER_THREAD, "left\n"),
        ("m.close(); print('closed')", "closed\n"),
    ],
    ids=["asked", "stream left open", "asking in another thread", "closed"],
)  # fmt: skip
def test_a_process_ends_cleanly(talker: Path, code: str, output: str) -> None:
    done = run(ASK + code, talker)
    assert (done.returncode, done.stdout, done.stderr) == (0, output, "")


CTRL_C = """
import sys, magistral_mlx as mm
m = mm.load(sys.argv[1])
chat = m.conversation()
def shown(event, said=[]):
    if not said: print("thinking", flush=True)
    said.append(event)
try:
    if sys.argv[2] == "ask":
        print("thinking", flush=True)
        chat.ask("?")
    else:
        for event in chat.stream("?"):
            if isinstance(event, mm.ReasoningText): shown(event)
except KeyboardInterrupt:
    print("interrupted", flush=True)
print(len(chat.turns) in (0, 2), chat.ask("?", max_tokens=40).answer)
"""


@pytest.mark.parametrize("how", ["ask", "stream"])
def test_ctrl_c_ends_the_answer_and_the_model_goes_on(talker: Path, how: str) -> None:
    command = [sys.executable, "-c", CTRL_C, str(talker), how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "thinking\n"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=200)
    assert (process.returncode, output, errors) == (0, "interrupted\nTrue Done\n", "")
