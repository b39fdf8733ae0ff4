"""One small tokenizer for everything that works on ids."""

import pytest

from magistral_mlx.prompt.tokenizer import Tokenizer
from support.tekken import write_tekken


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """1,124 ids with the real control tokens."""
    return Tokenizer.from_file(write_tekken(tmp_path_factory.mktemp("tokenizer")), None)


@pytest.fixture(autouse=True)
def whole_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No layer of a prefill counts as slow, however busy the machine is."""
    monkeypatch.setattr("magistral_mlx.generation.decode.prefill.TELL_SECONDS", float("inf"))
