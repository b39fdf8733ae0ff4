"""The tokenizer under test and mistral-common's own, both on the same small tekken.json."""

from pathlib import Path

import pytest
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

from magistral_mlx.prompt.images import ImageGeometry
from magistral_mlx.prompt.system_prompt import ReasoningPrompt
from magistral_mlx.prompt.tokenizer import Tokenizer
from support.tekken import SYSTEM_PROMPT, write_tekken


@pytest.fixture(scope="session")
def geometry() -> ImageGeometry:
    return ImageGeometry(patch_size=14, spatial_merge_size=2, longest_edge=1540)


@pytest.fixture(scope="session")
def tekken_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tekken(tmp_path_factory.mktemp("tekken"))


@pytest.fixture(scope="session")
def tokenizer(tekken_file: Path, geometry: ImageGeometry) -> Tokenizer:
    return Tokenizer.from_file(tekken_file, geometry)


@pytest.fixture(scope="session")
def reference(tekken_file: Path) -> MistralTokenizer:
    return MistralTokenizer.from_file(tekken_file)


@pytest.fixture(scope="session")
def reasoning_prompt() -> ReasoningPrompt:
    return ReasoningPrompt.parse(SYSTEM_PROMPT)
