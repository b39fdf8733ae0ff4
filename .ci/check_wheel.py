"""Opens a built wheel and compares it with what git tracks: a packaging slip drops files without an error.

Run in the root of a clone: `python3 .ci/check_wheel.py dist/magistral_mlx-*.whl`. Standard library only.
"""

import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import PurePosixPath

SOURCE_ROOTS = ("src", "convert", "tui")
COMMANDS = {"app", "ask", "convert", "demo", "models"}


def tracked_files() -> set[str]:
    """Every tracked file of the three packages, by its path inside a wheel."""
    listing = subprocess.run(["git", "ls-files", *SOURCE_ROOTS], check=True, capture_output=True, text=True)
    return {str(PurePosixPath(*PurePosixPath(line).parts[1:])) for line in listing.stdout.splitlines()}


def problems(wheel: zipfile.ZipFile) -> list[str]:
    """What is wrong with the wheel, in words; empty when nothing is."""
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    info = {PurePosixPath(name).name: name for name in wheel.namelist() if ".dist-info/" in name}
    found = [f"missing: {name}" for name in sorted(tracked_files() - packed)]
    found += [f"not tracked: {name}" for name in sorted(packed - tracked_files())]
    for package in ("magistral_mlx", "magistral_mlx_convert", "magistral_mlx_tui"):
        if f"{package}/py.typed" not in packed:
            found.append(f"missing: {package}/py.typed")
    if "magistral_mlx/miniature/model.safetensors" not in packed:
        found.append("missing: the miniature's weights")
    if "LICENSE" not in info:
        found.append("missing: LICENSE")
    entry_points = wheel.read(info["entry_points.txt"]).decode()
    found += [f"no command: {name}" for name in sorted(COMMANDS) if f"\n{name} = " not in entry_points]
    metadata = Parser().parsestr(wheel.read(info["METADATA"]).decode())
    if any(line.startswith("torch") for line in metadata.get_all("Requires-Dist") or []):
        found.append("torch is a dependency")
    return found


def main() -> int:
    """Print the verdict on the wheel named on the command line."""
    with zipfile.ZipFile(sys.argv[1]) as wheel:
        found = problems(wheel)
        size = sum(entry.compress_size for entry in wheel.infolist())
    for line in found:
        sys.stderr.write(f"{line}\n")
    sys.stdout.write(f"{sys.argv[1]}: {size / 1e6:.1f} MB, {len(found)} problems\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
