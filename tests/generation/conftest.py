"""One small tokenizer for everything that works on ids."""

import pytest

from magistral_mlx.prompt.tokenizer import Tokenizer
from support.tekken import write_tekken


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """1,124 ids with the real control tokens."""
    return Tokenizer.from_file(write_tekken(tmp_path_factory.mktemp("tokenizer")), None)
