"""Every test runs with its own home, the usual signals, no terminal colours and no network but loopback.

The whole suite runs on all cores, a chosen part of it in one process.
"""

import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No test asserts a time, and a busy machine is no failure.
settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")

# Several processes compute at once: a pool of threads in each would wait for cores. Children inherit this.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Many child processes import the same libraries. Without bytecode each of them compiles these again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Launchers, `nohup` and background jobs of scripts start programs with these ignored or blocked, and children
# inherit it; the tests send them.
_SIGNALS = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}
for _number, _handler in _SIGNALS.items():
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)
signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

MOST_WORKERS = 8
"""More processes would wait for the longest test file, and each takes a gigabyte of memory."""


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One process per core that may be used. Only this one for a single core or for files that are named."""
    whole = config.args_source is config.ArgsSource.TESTPATHS
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(cores, MOST_WORKERS) if whole and cores > 1 else 0


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """HOME, caches and the program's own folders point into a temporary folder."""
    home = tmp_path_factory.mktemp("home")
    for name, value in {
        "HOME": home,
        "MAGISTRAL_MLX_HOME": home / "magistral-mlx",
        "XDG_CACHE_HOME": home / ".cache",
        "XDG_CONFIG_HOME": home / ".config",
        "XDG_DATA_HOME": home / ".local/share",
        "HF_HOME": home / ".cache/huggingface",
        "HF_HUB_OFFLINE": "1",
    }.items():
        monkeypatch.setenv(name, str(value))
    return home
