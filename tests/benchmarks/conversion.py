"""Time and peak memory of a 4-bit conversion against mlx_lm and mlx_vlm, in one run on one source.

    python tests/benchmarks/conversion.py --layers 2 [--rounds 3] [--work FOLDER] [--source FOLDER]

Each converter runs in its own process, in turns; the figures are medians. The peers are called as their
`convert` calls itself (load lazily, quantize, save), without the tokenizer and processor steps, which need
files that Magistral's repository lacks. They do less: no check of the weights, no digests, no fsync, no
journal; mlx_lm drops the vision weights, mlx_vlm leaves lm_head in 16 bit. Asserts nothing.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from magistral_shaped import write_magistral_shaped

OURS = "magistral-mlx"

PROGRAMS = {
    OURS: """
import sys
from pathlib import Path
from magistral_mlx_convert import convert
convert(sys.argv[1], sys.argv[2])
""",
    "mlx_vlm": """
import sys
from pathlib import Path
from mlx_vlm.quant_utils import quantize_model
from mlx_vlm.utils import load_model, save_weights, skip_multimodal_module
model = load_model(Path(sys.argv[1]), lazy=True)
own = model.language_model.quant_predicate
def wanted(path, module):
    return not skip_multimodal_module(path) and own(path, module)
model, _ = quantize_model(model, {}, 64, 4, quant_predicate=wanted)
save_weights(Path(sys.argv[2]), model, donate_weights=True)
""",
    "mlx_lm": """
import sys
from pathlib import Path
from mlx_lm.utils import load_model, quantize_model, save_model
model, config = load_model(Path(sys.argv[1]), lazy=True)
model, _ = quantize_model(model, config, 64, 4)
save_model(Path(sys.argv[2]), model, donate_model=True)
""",
}

# By the process itself: on Linux ru_maxrss begins with what its parent held.
_TELL_PEAK = """
from magistral_mlx_convert.progress.pace import peak_memory_bytes
Path(sys.argv[3]).write_text(str(peak_memory_bytes()))
"""


@dataclass(frozen=True)
class Run:
    """One process."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    output_bytes: int


def measure(program: str, source: Path, target: Path) -> Run:
    """Runs one converter and deletes what it made."""
    started = time.perf_counter()
    peak_file = target.with_name("peak")
    process = subprocess.Popen(
        [sys.executable, "-c", program + _TELL_PEAK, str(source), str(target), str(peak_file)],
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"a converter failed with {process.returncode}")
    written = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    shutil.rmtree(target)
    peak = int(peak_file.read_text())
    peak_file.unlink()
    return Run(wall, usage.ru_utime + usage.ru_stime, peak, written)


def compare(source: Path, work: Path, *, rounds: int, peers: Sequence[str]) -> None:
    """Prints a table of medians and the ratios to ours."""
    runs: dict[str, list[Run]] = {name: [] for name in (OURS, *peers)}
    for _ in range(rounds):
        for name in runs:
            runs[name].append(measure(PROGRAMS[name], source, work / "converted"))
    middle = {
        name: Run(
            statistics.median(run.wall_seconds for run in done),
            statistics.median(run.cpu_seconds for run in done),
            max(run.peak_bytes for run in done),
            done[0].output_bytes,
        )
        for name, done in runs.items()
    }
    size = sum(path.stat().st_size for path in source.glob("*.safetensors"))
    print(f"source {size / 1e9:.2f} GB, {rounds} rounds, load {os.getloadavg()[0]:.1f}")
    print(f"{'':15}{'wall s':>9}{'cpu s':>9}{'MB/s':>8}{'peak GB':>9}{'out GB':>8}")
    for name, run in middle.items():
        speed = size / run.wall_seconds / 1e6
        print(
            f"{name:15}{run.wall_seconds:9.1f}{run.cpu_seconds:9.1f}{speed:8.0f}"
            f"{run.peak_bytes / 1e9:9.2f}{run.output_bytes / 1e9:8.2f}"
        )
    for name in peers:
        ours, theirs = middle[OURS], middle[name]
        print(
            f"ours / {name}: wall {ours.wall_seconds / theirs.wall_seconds:.2f}, "
            f"cpu {ours.cpu_seconds / theirs.cpu_seconds:.2f}, "
            f"peak memory {ours.peak_bytes / theirs.peak_bytes:.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="conversion: ours against mlx_lm and mlx_vlm")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--work", type=Path, default=None, help="where to write; a temporary folder without it"
    )
    parser.add_argument(
        "--source", type=Path, default=None, help="an existing checkpoint instead of a generated one"
    )
    parser.add_argument(
        "--peers",
        nargs="*",
        choices=sorted(PROGRAMS.keys() - {OURS}),
        default=sorted(PROGRAMS.keys() - {OURS}),
        help="whom to compare with: both without it; mlx_vlm takes 6 GB at 8 layers",
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.work) as work:
        source = arguments.source
        if source is None:
            source = Path(work) / "source"
            write_magistral_shaped(source, layers=arguments.layers)
        compare(source, Path(work), rounds=arguments.rounds, peers=arguments.peers)


if __name__ == "__main__":
    main()
