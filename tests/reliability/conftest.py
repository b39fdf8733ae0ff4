"""Chunks of prefill are whole here, however busy the machine is."""

import pytest

from magistral_mlx.generation.decode import prefill


@pytest.fixture(autouse=True)
def whole_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No layer counts as slow."""
    monkeypatch.setattr(prefill, "TELL_SECONDS", float("inf"))
