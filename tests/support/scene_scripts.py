"""What the scripted engine plays for the images of the app, and what lies on the disk before."""

from pathlib import Path

from PIL import Image

from magistral_mlx.engine.protocol import (
    Answer,
    Done,
    EngineModel,
    Failed,
    Loading,
    Prefill,
    Progress,
    Ready,
    Reasoning,
)
from magistral_mlx.events import ContextSegments, Ending, Reply, Stats
from magistral_mlx.machine.telemetry import MemoryPressure, Telemetry, ThermalState
from magistral_mlx.prompt.images import ImageGeometry
from magistral_mlx.sessions.library import Library
from magistral_mlx.sessions.session import Session
from magistral_mlx.sessions.tree import ROOT
from support.fake_engine import MODEL, Pause, ScriptedEngine, Stall, Step
from support.terminal_app import GatedEngine

GB = 2**30
_MAC = Telemetry(
    active_bytes=14 * GB,
    cache_bytes=GB,
    peak_bytes=16 * GB,
    recommended_bytes=24 * GB,
    total_bytes=32 * GB,
    footprint_bytes=15 * GB,
)
_HOT_MAC = Telemetry(
    active_bytes=22 * GB,
    cache_bytes=GB,
    peak_bytes=23 * GB,
    recommended_bytes=24 * GB,
    total_bytes=32 * GB,
    footprint_bytes=23 * GB,
    swap_bytes=2 * GB,
    swap_grown_bytes=GB,
    pressure=MemoryPressure.WARNING,
    gpu_busy=0.97,
    thermal=ThermalState.SERIOUS,
    system_watts=41.0,
)
_MODEL = EngineModel(
    "Magistral-Small-2509-4bit",
    "/m",
    False,
    40960,
    "4-bit affine",
    True,
    kv_bytes_per_token=163_840,
    geometry=ImageGeometry(14, 2, 1540),
)
_LOADED = (Loading("Loading the weights", 3, 4), Ready(_MODEL))
_SEGMENTS = ContextSegments(system=420, images=980, history=310, reasoning=1290, answer=214)
FINAL = Progress(_MAC, 31.2, 30.4, 0.84, 3214, 40960, 2 * GB, _SEGMENTS)
"""What the gauges show at the end of a turn."""
FULL = Progress(
    _HOT_MAC, 18.1, 21.7, 2.4, 39_700, 40960, 6 * GB, ContextSegments(420, 4900, 21_310, 12_856, 214)
)
"""The same where everything is scarce."""
_THOUGHT = r"""The integral of a Gaussian. I square it and go over to polar coordinates.

\[
I^2 = \int_{-\infty}^{\infty}\int_{-\infty}^{\infty} e^{-(x^2+y^2)}\,dx\,dy
= 2\pi \int_0^\infty r e^{-r^2}\,dr = \pi
\]

So \(I = \sqrt{\pi} \approx 1.772\). Let me check that against a sum:

- step \(h = \frac{1}{10}\), from \(-5\) to \(5\)
  - the ends add less than \(10^{-10}\)
- the sum must come near **1.7725**

1. With h = 0.5 the sum is 1.7724.
2. With h = 0.1 it is 1.7725. Good.
"""
_ANSWER = r"""## The Gaussian integral

\[ \int_{-\infty}^{\infty} e^{-x^2}\,dx = \sqrt{\pi} \]

| step | sum | error |
|---:|---:|---:|
| 0.5 | 1.7724 | 0.0001 |
| 0.1 | 1.7725 | < 0.0001 |

```python
from math import exp, pi, sqrt

def gauss(h: float) -> float:  # a plain sum will do
    return h * sum(exp(-(k * h) ** 2) for k in range(-50, 51))

print(gauss(0.1), sqrt(pi))
```

> [!] The sum converges this fast because the function is smooth.

- [x] by calculation
- [ ] by *contour integration*, see [the notes](https://example.org/gauss)

The result is \boxed{\sqrt{\pi}}."""
QUESTION = "What is the integral of exp(-x²) over the whole line?"


def _pieces(text: str, kind: type[Reasoning] | type[Answer]) -> list[Step]:
    return [kind(text[start : start + 40], 10) for start in range(0, len(text), 40)]


def _course(final: Progress) -> list[Step]:
    """Half a minute of speed for the sparkline."""
    return [Progress(final.telemetry, 27 + step % 7, 30.1, 0.84, 1000 + step) for step in range(40)]


def answering(*ending: Step) -> ScriptedEngine:
    """A long thought and a long answer with everything in it, then `ending`."""
    turn: list[Step] = [Prefill(512, 980), Prefill(980, 980), *_course(FINAL), *_pieces(_THOUGHT, Reasoning)]
    return ScriptedEngine(turns=[[*turn, *_pieces(_ANSWER, Answer), FINAL, *ending]], loading=_LOADED)


def thinking() -> ScriptedEngine:
    """A thought that waits, on a machine where everything is scarce."""
    turn: list[Step] = [Prefill(980, 980), *_course(FULL), *_pieces(_THOUGHT, Reasoning), FULL, Stall()]
    return ScriptedEngine(turns=[turn], loading=_LOADED)


def reading() -> ScriptedEngine:
    """It never gets beyond half of the question; the first answer is there."""
    stats = Stats(prompt_tokens=612, cached_tokens=420, reasoning_tokens=3, time_to_first_token=0.84)
    first: list[Step] = [
        FINAL,
        Reasoning("A sum.", 3),
        Answer("85", 1),
        Done(Reply("A sum.", "85", Ending.COMPLETE, stats)),
    ]
    return ScriptedEngine(turns=[first, [FINAL, Prefill(512, 1980), Stall()]], loading=_LOADED)


def refusing() -> ScriptedEngine:
    """Memory is short; the engine lives on."""
    refusal = Failed(
        "The question needs 26.1 GB, and 24.0 GB are recommended on this machine",
        "Attach fewer pictures, begin a new conversation (ctrl+n), or start with --kv-bits 8.",
    )
    return ScriptedEngine(turns=[[Prefill(0, 41_200), refusal]], loading=_LOADED)


def toy() -> ScriptedEngine:
    """The miniature."""
    return ScriptedEngine(loading=(Ready(MODEL),))


def resting() -> ScriptedEngine:
    """Ready, and never asked."""
    return ScriptedEngine(loading=_LOADED)


def loading() -> ScriptedEngine:
    """Three quarters of the weights are there."""
    return GatedEngine(loading=(Loading("Loading the weights", 3, 4), Pause(0)))


# -- what lies on the disk ---------------------------------------------------------------------------------


def keep_conversations() -> None:
    """Four conversations of days that are gone."""
    noon = 1_795_000_000.0
    told = (
        (
            "Why is the sky dark at night?",
            "If it were endless and old, every line of sight would end at a star.",
        ),
        ("How many primes are there below 1,000?", "There are 168 primes below 1,000."),
        ("What does this chart show?", "Sales by quarter; the third one is the best."),
        (QUESTION, "It is √π, about 1.7725."),
    )
    for number, (question, answer) in enumerate(told):
        moment = noon + number * 93_600
        path = Library().directory / f"20261118-12000{number}-00000{number}.jsonl"
        session = Session(path, clock=lambda moment=moment: moment)  # type: ignore[misc] - bound now
        turn = session.ask(question, parent=ROOT, model=_MODEL.name)
        thought = "Let me think about that."
        session.add(turn, reasoning=thought, answer=answer, reasoning_tokens=5, answer_tokens=12)
        session.end(turn, Reply(thought, answer, Ending.COMPLETE), thinking_seconds=12.0)
        session.close()


def keep_images(folder: Path) -> list[Path]:
    """A chart and a photograph, of a kind."""
    (folder / "Pictures").mkdir(parents=True, exist_ok=True)
    chart = Image.new("RGB", (1200, 900), "#FFFDF9")
    for bar, (height, colour) in enumerate(((400, "#FFAF00"), (560, "#FF8205"), (760, "#FA500F"))):
        chart.paste(colour, (150 + bar * 330, 850 - height, 390 + bar * 330, 850))
    slope = Image.linear_gradient("L").resize((2016, 1512))
    photo = Image.merge("RGB", (slope, slope.transpose(Image.Transpose.FLIP_TOP_BOTTOM), slope.rotate(90)))
    files = [folder / "Pictures" / name for name in ("sales by quarter.png", "evening.png")]
    for image, file in zip((chart, photo), files, strict=True):
        image.save(file)
    return files
