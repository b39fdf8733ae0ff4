"""Every test runs with its own home, no terminal colours and no network but loopback."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No test asserts a time, and a busy machine is no failure.
settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")


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
