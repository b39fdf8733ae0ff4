"""The suite's own arrangements: signals, processes, and workflows that know the Pythons of the package."""

import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]
CONFTEST = ROOT / "tests/conftest.py"

IGNORED = """
import runpy, signal, sys
numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
for number in numbers:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
runpy.run_path(sys.argv[1])
print([signal.getsignal(number) is signal.SIG_IGN for number in numbers])
print(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""


def test_signals_that_a_launcher_ignores_or_blocks_reach_the_tests() -> None:
    command = [sys.executable, "-c", IGNORED, str(CONFTEST)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "[False, False, False]\nset()\n"


@pytest.mark.parametrize(
    ("cores", "chosen", "workers"), [(1, False, 0), (2, False, 2), (64, False, 8), (4, True, 0)]
)
def test_the_whole_suite_uses_all_cores_and_a_chosen_test_one_process(
    monkeypatch: pytest.MonkeyPatch, cores: int, chosen: bool, workers: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    sources = pytest.Config.ArgsSource
    config = SimpleNamespace(ArgsSource=sources, args_source=sources.ARGS if chosen else sources.TESTPATHS)
    assert runpy.run_path(str(CONFTEST))["pytest_xdist_auto_num_workers"](config) == workers


def test_the_workflow_tests_pythons_that_the_package_names() -> None:
    workflow = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    (listed,) = re.findall(r"python: \[(.*)\]", workflow)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert "run: .ci/run" in workflow
    for version in re.findall(r"[\d.]+", listed):
        assert f"Python :: {version}" in project


def test_reports_of_problems_ask_for_the_doctor() -> None:
    template = (ROOT / ".github/ISSUE_TEMPLATE/problem.yml").read_text(encoding="utf-8")
    assert "magistral doctor --json" in template
