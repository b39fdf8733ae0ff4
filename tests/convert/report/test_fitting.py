"""`fit:<GB>`: the folder is as large as it may be and no larger, and the bits stand where they help most."""

from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm.utils
import mlx_vlm.utils
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.magistral_shaped import CONFIG
from magistral_mlx.checkpoint.config import ModelConfig, Quantization, parse_config
from magistral_mlx.checkpoint.parameters import parameter_shapes
from magistral_mlx.errors import ConversionError, UsageError
from magistral_mlx_convert import convert
from magistral_mlx_convert.planning import plan
from magistral_mlx_convert.planning.plan import Plan, make_plan
from magistral_mlx_convert.planning.recipe import Recipe, choose_recipe
from magistral_mlx_convert.report.fitting import fitted
from magistral_mlx_convert.sources.mapping import Parameter, WeightMap, map_tensors, source_names
from magistral_mlx_convert.sources.source import SourceTensor
from magistral_mlx_convert.writing import stream
from support.hf_checkpoint import digests
from support.hub_server import REPOSITORY, Hub
from support.random_checkpoint import tiny_config, write_source
from support.stopping import StopAt

SMALL = 5000


def weights_of(config: ModelConfig) -> WeightMap:
    tensors: dict[str, SourceTensor] = {}
    for target, shape in parameter_shapes(config).items():
        name = source_names(target)[0]
        stored = (shape[0], shape[3], *shape[1:3]) if len(shape) == 4 else shape
        tensors[name] = SourceTensor(name, "BF16", stored, "f")
    return map_tensors(config, tensors)


def by_theory(parameter: Parameter, packing: Quantization) -> float:
    """Every bit quarters the squared error; how large it is depends a little on the matrix."""
    return (1 + len(parameter.name) % 7 / 20) * 4.0**-packing.bits


def fit(config: ModelConfig, limit: int, recipe: Recipe | None = None) -> tuple[Plan, dict[str, int]]:
    weights = weights_of(config)
    chosen = fitted(
        recipe or choose_recipe(f"fit:{limit / 1e9}"),
        config,
        weights,
        limit=limit,
        measure=by_theory,
        small_files=lambda _: SMALL,
    )
    plan = make_plan(config, weights, chosen)
    return plan, {unit.parameter.path: unit.packing.bits for unit in plan.units if unit.packing}


@settings(max_examples=10)
@given(limit=st.integers(425_000, 900_000))
def test_the_size_is_filled_and_never_passed(limit: int) -> None:
    config = parse_config(tiny_config())
    plan, bits = fit(config, limit)
    assert plan.output_bytes + SMALL <= limit
    steps = [unit.output_bytes for unit in plan.units if unit.packing and unit.packing.bits < 8]
    assert not steps or limit - plan.output_bytes - SMALL < max(steps), "room for the largest upgrade is left"
    assert fit(config, limit)[1] == bits


def test_the_real_model_in_twelve_and_sixteen_gigabytes() -> None:
    config = parse_config(CONFIG)
    for gigabytes in (12, 16):
        plan, bits = fit(config, gigabytes * 10**9)
        assert 0.99 * gigabytes * 10**9 < plan.output_bytes <= gigabytes * 10**9
        ends = {bits[f"language_model.{path}"] for path in ("model.embed_tokens", "lm_head")}
        rest = [wide for path, wide in bits.items() if path.startswith("language_model.model.layers.")]
        ((usual, count), *_) = Counter(rest).most_common(1)
        assert count > len(rest) / 2
        assert min(ends) > usual, "what every layer reads, and what nothing after it evens out"


def test_what_can_not_be_reached_names_the_smallest_that_can() -> None:
    config = parse_config(CONFIG)
    with pytest.raises(ConversionError, match=r"9\.0 GB can't be reached: .* 11\.2 GB") as caught:
        fit(config, 9 * 10**9)
    assert "fit:11.2 or more" in caught.value.remedy
    assert min(fit(config, 11_200_000_000)[1].values()) == 3


def test_a_vision_tower_in_eight_bits_leaves_more_for_the_text() -> None:
    config = parse_config(CONFIG)
    recipe = choose_recipe("fit:12", vision_bits=8)
    plan, bits = fit(config, 12 * 10**9, recipe)
    assert plan.output_bytes <= 12 * 10**9
    assert {wide for path, wide in bits.items() if not path.startswith("language_model.")} == {8}


@pytest.mark.parametrize("name", ["fit:", "fit:x", "fit:-1", "fit:0", "fit:1e3", "fit:nan", "fit"])
def test_what_is_no_size(name: str) -> None:
    with pytest.raises(UsageError):
        choose_recipe(name)


@pytest.mark.parametrize("options", [{}, {"report": True}, {"vision_bits": 8}], ids=str)
def test_the_whole_folder_fits_and_both_peers_load_it(tmp_path: Path, options: dict[str, Any]) -> None:
    source = write_source(tmp_path / "hf")
    limit = 800_000
    folder = convert(source, tmp_path / "out", recipe="fit:0.0008", **options)
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert 0.6 * limit < size <= limit  # with a small tower, all in 8 bits is less
    ids = mx.array([[1, 3, 700, 801, 4]])
    text_model, _ = mlx_lm.utils.load_model(folder)
    vision_model: Any = mlx_vlm.utils.load_model(folder)
    assert mx.array_equal(text_model(ids), vision_model.language_model(ids).logits)


@pytest.mark.parametrize("from_hub", [False, True], ids=["folder", "hub"])
def test_stopped_always_at_the_same_point_it_ends_with_the_same_bytes(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, from_hub: bool
) -> None:
    """Every run measures anew: were other bits chosen, what an earlier one did would be of no use."""
    monkeypatch.setattr(plan, "SHARD_BYTES", 200_000)
    monkeypatch.setattr(stream, "CHUNK_BYTES", 16_000)
    source, target = REPOSITORY if from_hub else hub.folder, tmp_path / "out"
    expected = digests(convert(source, tmp_path / "undisturbed", recipe="fit:0.0007"))
    lives = 0
    while not target.exists():
        lives += 1
        assert lives < 60
        with suppress(KeyboardInterrupt):
            convert(source, target, recipe="fit:0.0007", progress=StopAt(40))
    assert lives > 3
    assert digests(target) == expected
