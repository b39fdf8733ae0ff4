"""Magistral Small's whole shape (48 GB) from a hub id, within little memory and disk.

    python tests/benchmarks/whole_model.py [--layers 40] [--work FOLDER] [--keep]

A hub on loopback makes the weight files of `magistral_shaped.py` as they are asked for, so that the 48 GB lie
nowhere; the converter in its own process fetches, checks, converts and deletes one after the other, as it
does with the real hub. Prints wall and CPU time, peak memory of the converter, and the most that its folder
took of the disk. Computing the checksums that the hub must name takes a minute before it.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread

from magistral_shaped import Tensors, content_of, size_of, write_small_files

from support.hub_server import REPOSITORY, Content, serving

CONVERT = """
import sys
from magistral_mlx.commands.main import main
from magistral_mlx_convert.progress.pace import peak_memory_bytes
code = main(["convert", sys.argv[1], "--to", sys.argv[2]])
open(sys.argv[3], "w").write(str(peak_memory_bytes()))
raise SystemExit(code)
"""


def virtual(tensors: Tensors) -> Content:
    """A file of the stand-in hub that is made as it is sent."""

    def pieces(first: int, end: int) -> Iterator[bytes | memoryview]:
        position = 0
        for piece in content_of(tensors):
            start, stop = max(first - position, 0), min(end - position, len(piece))
            if start < stop:
                yield piece[start:stop]
            position += len(piece)
            if position >= end:
                return

    digest = hashlib.sha256()
    for piece in content_of(tensors):
        digest.update(piece)
    return Content(size=size_of(tensors), sha256=digest.hexdigest(), pieces=pieces)


class DiskWatch(Thread):
    """The most bytes below a folder, looked at every second."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder, self.peak, self.stopped = folder, 0, Event()

    def run(self) -> None:
        while not self.stopped.wait(1.0):
            self.peak = max(self.peak, bytes_below(self.folder))


def bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def run(work: Path, *, layers: int, keep: bool) -> None:
    shards = write_small_files(work / "repository", layers=layers)
    with ThreadPoolExecutor() as pool:
        contents = dict(zip(shards, pool.map(virtual, shards.values()), strict=True))
    source = sum(content.size for content in contents.values())
    print(f"{source / 1e9:.2f} GB in {len(contents)} files", flush=True)
    target = work / "target" / "out"
    target.parent.mkdir()
    watch = DiskWatch(target.parent)
    with serving(work / "repository", contents=contents) as hub:
        environment = {
            **os.environ,
            "HF_ENDPOINT": hub.endpoint,
            "HF_HUB_OFFLINE": "0",
            "HF_HOME": str(work / "home"),
        }
        watch.start()
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", CONVERT, REPOSITORY, str(target), str(work / "peak")], env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        watch.stopped.set()
        watch.join()
    if process.returncode:
        raise SystemExit(f"the converter failed with {process.returncode}")
    peak = int((work / "peak").read_text())
    output = bytes_below(target)
    print(
        f"wall {wall:.0f} s, cpu {usage.ru_utime:.0f} + {usage.ru_stime:.0f} s, "
        f"{source / wall / 1e6:.0f} MB/s, peak memory {peak / 1e6:.0f} MB, output {output / 1e9:.2f} GB, "
        f"peak disk {watch.peak / 1e9:.2f} GB, load {os.getloadavg()[0]:.1f}"
    )
    if keep:
        shutil.move(target, work.parent / f"magistral-shaped-{layers}")


def main() -> None:
    parser = argparse.ArgumentParser(description="the whole shape from a hub id: memory, disk, time")
    parser.add_argument("--layers", type=int, default=40)
    parser.add_argument("--work", type=Path, default=None, help="where to write; temporary without it")
    parser.add_argument("--keep", action="store_true", help="keep the result in --work")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.work) as work:
        run(Path(work), layers=arguments.layers, keep=arguments.keep)


if __name__ == "__main__":
    main()
