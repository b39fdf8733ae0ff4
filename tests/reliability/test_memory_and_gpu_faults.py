"""R8: out of memory, image spikes, swap, watchdog, panics. Policy is asserted, faults are injected.

The engine's part (kill -9, a hang, a driver that refuses work, memory that runs out in the child) is in
tests/engine/test_lost_engines.py.
"""

import tomllib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import mlx.core as mx
import psutil
import pytest
from packaging.requirements import Requirement
from PIL import Image

import magistral_mlx as mm
from magistral_mlx.generation.cache.prompt_cache import PromptCache, position_keys
from magistral_mlx.generation.decode import prefill as reading
from magistral_mlx.generation.evaluation import evaluate_layers
from magistral_mlx.generation.loaded_model import LoadedModel, open_model
from magistral_mlx.prompt.chat import compose, encode
from magistral_mlx.prompt.turns import PreparedPrompt, UserTurn
from support.models import forget_caches, random_model, scripted
from support.random_checkpoint import tiny_config, write_converted
from support.scripted import END_THINK, EOS, THINK

ROOT = Path(__file__).parents[2]
METAL = "[METAL] Command buffer execution failed: "
WATCHDOG = METAL + "Impacting Interactivity (0000000e:kIOGPUCommandBufferCallbackErrorImpactingInteractivity)"
NO_MEMORY = METAL + "Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)"
REFUSED = METAL + "Ignored (00000004:kIOGPUCommandBufferCallbackErrorSubmissionsIgnored)"
LONG = "What is 4 + 3? " * 60
IMAGE = 10


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    script = [THINK, b"Four", b" plus", b" three", END_THINK, b"Seven", b" indeed", EOS]
    with scripted(tmp_path_factory.mktemp("words"), script) as model:
        yield model


@pytest.fixture(scope="module")
def chance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    with random_model(tmp_path_factory.mktemp("chance"), seed=4) as model:
        yield model


class Faulty:
    """Metal in place of the evaluation of a prefill chunk: fails at the chunks that are named."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, text: str, *, at: set[int]) -> None:
        self.chunks = 0
        self._text = text
        self._at = at
        monkeypatch.setattr(reading, "evaluate_layers", self._evaluate)

    def _evaluate(self, layers: Any) -> None:
        self.chunks += 1
        if self.chunks in self._at:
            raise RuntimeError(self._text)
        evaluate_layers(layers)


def chunks_of(stream: mm.AnswerStream) -> list[int]:
    """Where the chunks of a prefill ended."""
    return [event.done for event in stream if isinstance(event, mm.PrefillProgress)]


# Policy


def test_mlx_is_one_whose_gpu_errors_can_be_caught() -> None:
    """mlx 0.32.0 was the first that raises them where Python can catch them (ml-explore/mlx pull 3523)."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = [Requirement(line) for line in project["dependencies"]]
    mlx = [each for each in required if each.name == "mlx"]
    assert len(mlx) == 2
    assert all(not each.specifier.contains("0.31.9") for each in mlx)
    assert mx.__version__ >= "0.32"


@pytest.mark.parametrize("options", [{}, {"wire": False}])
def test_nothing_wires_memory_unless_asked(
    words: mm.Magistral, monkeypatch: pytest.MonkeyPatch, options: dict[str, bool]
) -> None:
    def refuse(_: int) -> int:
        raise AssertionError("mx.set_wired_limit was called")

    monkeypatch.setattr(mx, "set_wired_limit", refuse)
    with mm.load(words.path, **options) as model:
        image = Image.new("RGB", (84, 56), "red")
        chat = model.conversation(kv_bits=8)
        assert chat.ask("What is it?", images=[image]).answer == "Seven indeed"
        assert chat.ask("And now?").answer == "Seven indeed"


def test_wiring_on_request_is_computed_before_anything_is_loaded(
    words: mm.Magistral, monkeypatch: pytest.MonkeyPatch
) -> None:
    wired: list[int] = []
    monkeypatch.setattr(mx, "set_wired_limit", wired.append)
    monkeypatch.setattr(mx, "set_memory_limit", lambda limit: None)
    monkeypatch.setattr(mx, "set_cache_limit", lambda limit: None)
    info = {"max_recommended_working_set_size": 22 * 2**30}
    monkeypatch.setattr(mx, "device_info", lambda: info)
    total = 32 * 2**30
    memory = psutil.virtual_memory()._replace(total=total)
    monkeypatch.setattr("magistral_mlx.memory.allocator.psutil.virtual_memory", lambda: memory)
    with mm.load(words.path, wire=True):
        assert wired == [total - int(total * 0.35)]


# Faults


@pytest.mark.parametrize("text", [WATCHDOG, NO_MEMORY])
def test_one_fault_while_reading_is_tried_again_in_smaller_pieces(
    chance: mm.Magistral, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    expected = chance.ask(LONG, temperature=0, max_tokens=5)
    assert expected.stats.prompt_tokens > 512
    forget_caches(chance)
    faulty = Faulty(monkeypatch, text, at={2})
    chat = chance.conversation()
    stream = chat.stream(LONG, temperature=0, max_tokens=5)
    done = chunks_of(stream)
    assert done[:4] == [0, 512, 0, 128]  # from the beginning, in quarters
    assert stream.reply().answer == expected.answer
    assert stream.reply().ending is mm.Ending.CUT_IN_ANSWER
    assert faulty.chunks == len(done) - 1  # two progress before the first chunk of each try, one failed chunk
    assert "reading again in smaller pieces" in caplog.text
    assert chat.context_used == expected.stats.prompt_tokens + 5


def test_a_second_fault_is_explained_and_the_conversation_stays(
    words: mm.Magistral, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = words.conversation()
    chat.ask("What is 4 + 3?")
    turns = chat.turns
    with monkeypatch.context() as patch:
        Faulty(patch, WATCHDOG, at={1, 2})
        with pytest.raises(mm.DeviceError, match="held up the display") as told:
            chat.ask(LONG)
    assert "Ask again" in told.value.remedy
    assert chat.turns == turns
    assert chat.ask("Once more?").answer == "Seven indeed"


def test_memory_that_runs_out_twice_is_an_honest_ending(
    words: mm.Magistral, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        Faulty(patch, NO_MEMORY, at={1, 2})
        reply = words.ask(LONG)
    assert (reply.reasoning, reply.answer, reply.ending) == ("", "", mm.Ending.OUT_OF_MEMORY)
    assert words.ask(LONG).answer == "Seven indeed"


def test_a_driver_that_refuses_work_is_not_tried_again(
    words: mm.Magistral, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty = Faulty(monkeypatch, REFUSED, at={1, 2, 3})
    with pytest.raises(mm.DeviceLostError, match="SubmissionsIgnored"):
        words.ask(LONG)
    assert faulty.chunks == 1


def test_a_defect_is_no_fault(words: mm.Magistral, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty = Faulty(monkeypatch, "[matmul] Last dimension of first input", at={1, 2})
    with pytest.raises(RuntimeError, match="matmul"):
        words.ask(LONG)
    assert faulty.chunks == 1


# Peaks


def wide_and_long(folder: Path, *, vision: bool = False) -> LoadedModel:
    """Few heads, as the CPU's attention is slow, and Magistral's proportions of MLP and KV cache."""
    config = tiny_config(vision=vision)
    config["text_config"] |= {
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "intermediate_size": 2048,
        "max_position_embeddings": 20_000,
    }
    return open_model(write_converted(folder, config=config, seed=2))


def peak_of_reading(loaded: LoadedModel, prompt: PreparedPrompt, *, kv_bits: int = 16) -> int:
    """The highest memory beside what stays: weights, KV cache and features of images; in bytes."""
    keys = position_keys(prompt, image_id=IMAGE)
    cache = PromptCache(loaded.model, kv_bits=kv_bits)
    reader = reading.PromptReader(loaded.model, loaded.features, prompt, image_id=IMAGE)
    mx.clear_cache()
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    step_at = partial(loaded.prefill_step.at, kv_bits=kv_bits)
    for _ in reading.prefill(loaded.model, cache, reader, keys, step_at=step_at):
        pass
    features = mx.get_active_memory() - before - cache.nbytes
    assert features >= 0
    return mx.get_peak_memory() - before - cache.nbytes - features


@pytest.mark.parametrize(
    ("kv_bits", "lengths"),
    [
        (16, (2048, 3072)),
        pytest.param(16, (2048, 4096, 16_384), marks=pytest.mark.thorough),
        pytest.param(8, (2048, 8192), marks=pytest.mark.thorough),
    ],
)
def test_peak_memory_is_the_same_whatever_the_length_of_the_prompt(
    tmp_path: Path, kv_bits: int, lengths: tuple[int, ...]
) -> None:
    """Up to 16,000 tokens, beside the KV cache itself: within 10 % of each other, and as foreseen."""
    loaded = wide_and_long(tmp_path / "long")
    prompts = [PreparedPrompt(tuple(100 + place % 1000 for place in range(n))) for n in lengths]
    peaks = [peak_of_reading(loaded, prompt, kv_bits=kv_bits) for prompt in prompts]
    assert max(peaks) < min(peaks) * 1.1
    foreseen = loaded.size.prefill_bytes(lengths[-1], kv_bits)
    assert peaks == [pytest.approx(foreseen, rel=0.1) for _ in peaks]


@pytest.mark.parametrize("counts", [(20, 30), pytest.param((20, 60), marks=pytest.mark.thorough)])
def test_peak_memory_is_flat_in_the_number_of_images(tmp_path: Path, counts: tuple[int, int]) -> None:
    """Images of 100 features each, beside KV cache and features: within 10 % of each other, as one is
    encoded at a time."""
    loaded = wide_and_long(tmp_path / "seeing", vision=True)
    few, many = (peak_of_reading(loaded, images_prompt(loaded, count)) for count in counts)
    assert loaded.features.encoded == sum(counts)
    assert many == pytest.approx(few, rel=0.1)


def images_prompt(loaded: LoadedModel, count: int) -> PreparedPrompt:
    """A question about so many different images, which no other prompt has."""
    images = tuple(Image.new("RGB", (280, 280), (count, place, 0)) for place in range(count))
    return encode(
        loaded.tokenizer, compose([UserTurn("?", images)], system=None, system_prompt=None, thinking=False)
    )
