"""Peak memory and time of a report on a checkpoint of Magistral's widths.

    python tests/benchmarks/report.py [--layers 2] [--texts 24] [--source FOLDER --folder FOLDER]

The checkpoint is a generated one; `models report` runs in a process of its own. Its tokenizer knows single
bytes alone, so that every text has as many tokens as a sample may have: no real vocabulary makes it larger.
Asserts nothing.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from magistral_shaped import write_magistral_shaped

from magistral_mlx_convert import convert

PROGRAM = """
import sys
from pathlib import Path
from magistral_mlx_convert.report.calibration import calibration_texts
from magistral_mlx_convert.report.compare import compare
from magistral_mlx_convert.progress.pace import peak_memory_bytes
from magistral_mlx_convert.sources.opening import open_local
texts = dict(sorted(calibration_texts().items())[: int(sys.argv[3])])
source = open_local(Path(sys.argv[1]))
at_start = peak_memory_bytes()
def show(done, total):
    print(f"step {done} of {total}: peak {peak_memory_bytes() / 1e9:.2f} GB", flush=True)
print(f"{at_start / 1e9:.2f} GB before it begins", flush=True)
print(compare(source, Path(sys.argv[2]), texts=texts, progress=show).whole)
source.close()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="memory and time of a report at Magistral's widths")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--texts", type=int, default=24, help="of 24 languages, beside three pictures")
    parser.add_argument(
        "--work", type=Path, default=None, help="where to write; a temporary folder without it"
    )
    parser.add_argument("--source", type=Path, default=None, help="a checkpoint instead of a generated one")
    parser.add_argument("--folder", type=Path, default=None, help="what that was converted to")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.work) as work:
        source, folder = arguments.source, arguments.folder
        if source is None:
            source = Path(work) / "source"
            write_magistral_shaped(source, layers=arguments.layers)
        if folder is None:
            folder = convert(source, Path(work) / "converted")
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(source), str(folder), str(arguments.texts)]
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"the report failed with {process.returncode}")
        wall = time.perf_counter() - started
        print(
            f"wall {wall:.0f} s, CPU {usage.ru_utime + usage.ru_stime:.0f} s, load {os.getloadavg()[0]:.1f}"
        )


if __name__ == "__main__":
    main()
