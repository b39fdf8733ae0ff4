"""All benchmarks in one run, one after the other, each against the peers on the same weights.

    python tests/benchmarks       # app, decode, vision, conversion, speculation, batches; an hour on a CPU

Each of them can be run alone and takes options then; its first lines say which.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Runs every benchmark in a process of its own; gives the first exit code that is not 0."""
    codes: list[int] = []
    for name in ("app", "decode", "vision", "second_turn", "conversion", "speculation", "batches"):
        print(f"\n=== {name}", flush=True)
        codes.append(subprocess.run([sys.executable, HERE / f"{name}.py"], check=False).returncode)
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    sys.exit(main())
