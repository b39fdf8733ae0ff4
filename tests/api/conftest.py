"""Chunks of prefill are whole here, however busy the machine is."""

import pytest


@pytest.fixture(autouse=True)
def whole_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No layer of a prefill counts as slow, however busy the machine is."""
    monkeypatch.setattr("magistral_mlx.generation.decode.prefill.TELL_SECONDS", float("inf"))
