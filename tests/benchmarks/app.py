"""What the app costs: per flush, per resize, at the start, in memory, and in speed of generation.

    python tests/benchmarks/app.py                 everything
    python tests/benchmarks/app.py flush           one part: flush, stall, start, memory, share
    python tests/benchmarks/app.py --quick         fewer repeats

CPU times are of this process and hold on a busy machine, wall times do not. The screen is Textual's headless
one of 160 by 50: what a real terminal adds is its own drawing, in another process.
"""

import argparse
import asyncio
import gc
import itertools
import os
import pty
import random
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from decode import generated

from magistral_mlx.engine.child import ChildEngine
from magistral_mlx.engine.protocol import (
    Answer,
    AskRequest,
    Done,
    EngineEvent,
    Failed,
    Loading,
    Ready,
    Reasoning,
)
from magistral_mlx.events import Ending, Reply, Stats
from magistral_mlx.storage.messages import Options
from magistral_mlx_tui.app import MagistralApp
from magistral_mlx_tui.conversation.branching import new_conversation
from magistral_mlx_tui.panes.stream_pane import StreamPane
from magistral_mlx_tui.settings import Settings
from magistral_mlx_tui.text.markdown.document import MarkdownDocument
from support.fake_engine import ScriptedEngine
from support.terminal_app import Driven, driven_app

SIZES = (500, 2_000, 20_000, 50_000)
PER_FLUSH = 8
"""Tokens: 200 a second at 25 frames."""
SCREEN = (160, 50)
_SHARE_TOKENS = 120
_QUIET = 0.06
"""Of a core: rounds in which other programs took more do not count."""
_WORDS = ("the", "sum", "of", "these", "parts", "is", "larger", "than", "any", "we", "check", "it", "again")


def _prose(random_: random.Random) -> str:
    end = random_.choice(["", "", "", "", "", ",", ".", ".\n\n" if random_.random() < 0.15 else "."])
    return " " + random_.choice(_WORDS) + end


def _list(random_: random.Random) -> str:
    start = f"\n{'  ' * random_.randrange(3)}- **{random_.randrange(99)}**" if random_.random() < 0.1 else ""
    return start + " " + random_.choice(_WORDS)


def _fence(random_: random.Random) -> str:
    return random_.choice(["    x", " = ", "f(y, ", "12)", "\n", '"text"', " # why", "if ", " return "])


def _table(random_: random.Random) -> str:
    return random_.choice([f" {random_.randrange(999)} |", " some words |", " **bold** |", " a | b |\n|"])


def _paragraph(random_: random.Random) -> str:
    return " " + random_.choice(_WORDS)


def _formulas(random_: random.Random) -> str:
    number = random_.randrange(1, 99)
    return random_.choice(
        [
            " so",
            f" \\(\\frac{{{number}}}{{x+1}}\\)",
            ".\n\n",
            " then",
            f"\n\\[ x_{{{number}}} = \\sqrt{{2}} \\]\n",
        ]
    )


KINDS: dict[str, tuple[str, Callable[[random.Random], str]]] = {
    "prose": ("", _prose),
    "list": ("", _list),
    "fence": ("```python\n", _fence),
    "table": ("| a | b | c |\n|---|--:|---|\n|", _table),
    "paragraph": ("", _paragraph),
    "formulas": ("", _formulas),
}


def tokens_of(kind: str) -> Iterator[str]:
    """Endless pieces of about the size of a token; always the same ones."""
    head, make = KINDS[kind]
    random_ = random.Random(7)
    return itertools.chain([head], iter(lambda: make(random_), None))


async def _shown(driven: Driven) -> None:
    """Wait until everything that is due has been drawn."""
    drawn = asyncio.Event()
    driven.app.call_after_refresh(drawn.set)
    await drawn.wait()


async def _fill(pane: StreamPane, tokens: Iterator[str], count: int) -> None:
    for start in range(0, count, 500):
        pane.append("".join(itertools.islice(tokens, min(500, count - start))))
        await asyncio.sleep(0)


async def _open_pane(driven: Driven) -> StreamPane:
    driven.screen.add_class("-talking")
    await driven.pilot.pause()
    pane = driven.answer
    pane.add(MarkdownDocument())
    return pane


async def flush_costs(kind: str, repeats: int) -> dict[int, float]:
    """Milliseconds of CPU per flush at each size, everything that is drawn included: the median."""
    costs: dict[int, float] = {}
    async with driven_app(size=SCREEN) as driven:
        pane, tokens, length = await _open_pane(driven), tokens_of(kind), 0
        for size in SIZES:
            await _fill(pane, tokens, size - length)
            length = size
            gc.collect()
            samples: list[float] = []
            for _ in range(repeats):
                text = "".join(itertools.islice(tokens, PER_FLUSH))
                await _shown(driven)
                started = time.process_time()
                pane.append(text)
                await _shown(driven)
                samples.append(1000 * (time.process_time() - started))
                length += PER_FLUSH
            costs[size] = statistics.median(samples)
    return costs


def flush(*, quick: bool) -> None:
    """Bars: under 10 ms per flush, and from 2,000 to 50,000 tokens at most 1.5 times as much."""
    print(
        f"CPU ms per flush of {PER_FLUSH} tokens   {'':4}"
        + "".join(f"{size:>9,}" for size in SIZES)
        + "   growth"
    )
    for kind in KINDS:
        costs = asyncio.run(flush_costs(kind, 30 if quick else 100))
        growth = costs[SIZES[-1]] / costs[2_000]
        print(
            f"  {kind:30}" + "".join(f"{costs[size]:9.2f}" for size in SIZES) + f"   {growth:6.2f}",
            flush=True,
        )


class _Steady(ScriptedEngine):
    """Speaks a kind of text at a steady rate for some seconds."""

    def __init__(self, kind: str, rate: int, seconds: float) -> None:
        super().__init__()
        self._tokens, self._rate, self._seconds = tokens_of(kind), rate, seconds

    async def ask(self, request: AskRequest) -> AsyncGenerator[EngineEvent, None]:
        """Half of it is thought, half is answer."""
        del request
        started, sent = time.perf_counter(), 0
        while (passed := time.perf_counter() - started) < self._seconds:
            due = int(passed * self._rate) - sent
            if due > 0:
                text, sent = "".join(itertools.islice(self._tokens, due)), sent + due
                yield Reasoning(text, due) if passed < self._seconds / 2 else Answer(text, due)
            await asyncio.sleep(1 / self._rate)
        yield Done(Reply(reasoning="", answer="", ending=Ending.COMPLETE, stats=Stats()))


@dataclass
class _Stalls:
    """How late the event loop came back from a short sleep, and the CPU that each callback took, in ms."""

    late: list[float] = field(default_factory=list[float])
    cpu: list[float] = field(default_factory=list[float])

    @property
    def words(self) -> str:
        return f"{max(self.late):7.1f} /{max(self.cpu):6.1f}"


async def _watch(stalls: _Stalls) -> None:
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.005)
        stalls.late.append(1000 * (time.perf_counter() - before - 0.005))


async def _watched(work: AsyncIterator[None] | None, seconds: float) -> _Stalls:
    stalls = _Stalls()
    original = asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        before = time.process_time()
        original(handle)
        stalls.cpu.append(1000 * (time.process_time() - before))

    asyncio.Handle._run = timed  # type: ignore[method-assign]
    watcher = asyncio.create_task(_watch(stalls))
    try:
        if work is None:
            await asyncio.sleep(seconds)
        else:
            async for _ in work:
                pass
    finally:
        watcher.cancel()
        asyncio.Handle._run = original  # type: ignore[method-assign]
    return stalls


async def _stall(kind: str, seconds: float) -> None:
    async with driven_app(engine=_Steady(kind, 200, seconds), size=SCREEN) as driven:
        pane = await _open_pane(driven)
        await _fill(pane, tokens_of(kind), SIZES[-1])
        await _shown(driven)
        gc.collect()
        idle = await _watched(None, 1)

        async def streaming() -> AsyncIterator[None]:
            await driven.type("go")
            await driven.until(lambda: driven.app.controller.turn is not None)
            while (turn := driven.app.controller.turn) is not None and turn.running:
                await asyncio.sleep(0.05)
                yield

        async def resizing() -> AsyncIterator[None]:
            for width in (159, 120, 90, 160):
                await driven.pilot.resize_terminal(width, 50)
                await asyncio.sleep(1)
                yield

        streamed = await _watched(streaming(), seconds)
        resized = await _watched(resizing(), 4)
    print(f"  {kind:12}{idle.words}  {streamed.words}  {resized.words}", flush=True)


def stall(*, quick: bool) -> None:
    """Bar: nothing over 100 ms. On a busy machine the wall times are the machine's; the CPU is the app's."""
    print(f"Longest stall of the event loop at {SIZES[-1]:,} tokens, wall / CPU ms")
    print(f"  {'':12}{'idle':>15} {'200 tokens/s':>16} {'resizing':>16}")
    for kind in KINDS:
        asyncio.run(_stall(kind, 3 if quick else 10))


_START = """
import sys, time
import magistral_mlx_tui.cli as command
prepared = command._engine
def prepare(arguments):
    from magistral_mlx_tui.app import MagistralApp
    def painted(app):
        cpu = time.process_time()
        wall = time.time() - BORN
        heavy = {"mlx", "numpy", "PIL", "pygments"} & {name.partition(".")[0] for name in sys.modules}
        app.exit(message=f"PAINTED {cpu:.3f} {wall:.3f} {len(heavy)}")
    MagistralApp.on_ready = painted
    return prepared(arguments)
command._engine = prepare
from magistral_mlx.commands.main import main
sys.exit(main([]))
"""


def _first_paint() -> tuple[float, float]:
    """Seconds of CPU and of wall time from the start of `magistral` until its first frame."""
    source = _START.replace("BORN", repr(time.time()))
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "160", "LINES": "50"}
    process = subprocess.Popen(
        [sys.executable, "-c", source], stdin=slave, stdout=slave, stderr=slave, env=environment
    )
    os.close(slave)
    output = b""
    while process.poll() is None or select.select([master], [], [], 0)[0]:
        if select.select([master], [], [], 0.1)[0]:
            try:
                output += os.read(master, 65536)
            except OSError:
                break
    process.wait()
    os.close(master)
    words = output.decode(errors="replace").partition("PAINTED ")[2].split()
    if words[2] != "0":
        raise SystemExit("something heavy was imported before the first paint")
    return float(words[0]), float(words[1])


def start(*, quick: bool) -> None:
    """Bar: 0.5 s, and nothing heavy imported."""
    paints = [_first_paint() for _ in range(3 if quick else 8)]
    cpu, wall = (min(column) for column in zip(*paints, strict=True))
    median = statistics.median(paint[1] for paint in paints)
    print(f"First paint: CPU {cpu:.2f} s, wall {wall:.2f} s (best), {median:.2f} s (median of {len(paints)})")


async def _memory(kind: str) -> None:
    process = psutil.Process()
    async with driven_app(size=SCREEN) as driven:
        pane = await _open_pane(driven)
        await _shown(driven)
        gc.collect()
        before, tokens, grown = process.memory_info().rss, tokens_of(kind), list[str]()
        done = 0
        for size in SIZES:
            await _fill(pane, tokens, size - done)
            await _shown(driven)
            done = size
            gc.collect()
            grown.append(f"{(process.memory_info().rss - before) / 2**20:8.1f}")
    print(f"  {kind:30}" + "".join(grown), flush=True)


def memory(*, quick: bool) -> None:
    """What a pane adds to the process."""
    del quick
    print(f"Memory growth in MB {'':12}" + "".join(f"{size:>8,}" for size in SIZES))
    for kind in KINDS:
        asyncio.run(_memory(kind))


async def _load(engine: ChildEngine, folder: Path) -> None:
    async for event in engine.start(str(folder)):
        match event:
            case Failed():
                raise SystemExit(event.problem)
            case Loading() | Ready():
                pass


async def _speed(engine: ChildEngine, request: AskRequest) -> float:
    """Tokens per second of one answer, as the engine measured it."""
    async for event in engine.ask(request):
        match event:
            case Done():
                return event.reply.stats.decode_tokens_per_second or 0.0
            case Failed():
                raise SystemExit(event.problem)
            case _:
                pass
    return 0.0


async def _behind(driven: Driven) -> float:
    """The same of an answer in a new conversation of the app.

    Textual's pilot asks every widget whether it is done whenever it pauses: what waits here only sleeps.
    """
    controller = driven.app.controller
    new_conversation(controller)
    await asyncio.sleep(0.5)
    await driven.type("Go on")
    while not controller.turns or controller.turns[-1].running:
        await asyncio.sleep(0.2)
    reply = controller.turns[-1].reply
    assert reply is not None
    return reply.stats.decode_tokens_per_second or 0.0


def _strangers() -> float:
    """Seconds of processor time that other programs than this one and its children have taken."""
    times, ours = psutil.cpu_times(), psutil.Process()
    own = [process.cpu_times() for process in (ours, *ours.children())]
    return sum(times) - times.idle - times.iowait - sum(each.user + each.system for each in own)


async def _share(folder: Path, repeats: int) -> None:
    """The same question in turns to an engine alone and to one behind the app, each in a new conversation."""
    alone, engine = ChildEngine(), ChildEngine()
    await _load(alone, folder)
    request = AskRequest("Go on", options=Options(thinking=False, max_tokens=_SHARE_TOKENS))
    app = MagistralApp(engine, settings=Settings(model=str(folder), max_tokens=_SHARE_TOKENS, thinking=False))
    ratios: list[float] = []
    async with app.run_test(size=SCREEN) as pilot:
        driven = Driven(app, ScriptedEngine(), pilot)
        await driven.until_phase("ready")
        for number in range(repeats + 1):  # the first one warms up
            started, strangers, app_cpu = time.perf_counter(), _strangers(), 0.0
            speeds: list[float] = []
            for behind in (False, True, True, False):
                cpu = time.process_time()
                await alone.new_conversation()
                speeds.append(await (_behind(driven) if behind else _speed(alone, request)))
                app_cpu += (time.process_time() - cpu) * behind
            passed = time.perf_counter() - started
            busy = (_strangers() - strangers) / passed
            ratio = (speeds[1] + speeds[2]) / (speeds[0] + speeds[3])
            words = " ".join(f"{speed:6.1f}" for speed in speeds)
            print(
                f"  {words}   {ratio:.3f}   app {2 * app_cpu / passed:.3f}, others {busy:.2f} of a core",
                flush=True,
            )
            if number and busy < _QUIET:
                ratios.append(ratio)
    await alone.close()
    if not ratios:
        raise SystemExit("The machine was never quiet.")
    lost, spread = 100 * (1 - statistics.median(ratios)), 100 * statistics.pstdev(ratios)
    print(
        f"Generation speed lost to the screen: {lost:.1f} % (median of {len(ratios)} rounds, ± {spread:.1f})"
    )


def share(*, quick: bool) -> None:
    """Bar: 2 %. On a machine of two busy cores both processes also compete for these."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = generated(Path(scratch), hidden=512, layers=6)
        asyncio.run(_share(folder, 4 if quick else 12))


PARTS = {"flush": flush, "stall": stall, "start": start, "memory": memory, "share": share}


def main() -> None:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS), metavar="PART")
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    arguments = parser.parse_args()
    for name in arguments.parts or PARTS:
        PARTS[name](quick=arguments.quick)


if __name__ == "__main__":
    main()
