"""Time and peak memory of encoding one image, ours against mlx-vlm's own Mistral3 path.

    python tests/benchmarks/vision.py                    # 1540 x 1540 pixels, the largest image
    python tests/benchmarks/vision.py --side 616         # where a CPU is too slow for that

The tower is random, of Magistral's width (1024 / 4096 / 16 heads) and of two layers; the projector is whole.
Both paths get the same weights and the same image in one run, in turns, each in a process of its own: on
the CPU mlx-vlm dies of an image above 1512 x 1512 pixels, whose 2.3 billion attention scores it holds at
once. On a busy machine trust the CPU seconds; on a GPU the wall clock.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import mlx.core as mx
from mlx_vlm.models import mistral3

from magistral_mlx.checkpoint.config import parse_config
from magistral_mlx.checkpoint.parameters import VISION_PREFIXES, parameter_shapes
from magistral_mlx.model.loading import default_dtype
from magistral_mlx.model.magistral import MagistralModel

CONFIG = {
    "model_type": "mistral3",
    "image_token_index": 10,
    "spatial_merge_size": 2,
    "text_config": {
        "model_type": "mistral",
        "hidden_size": 5120,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "head_dim": 64,
        "vocab_size": 64,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1e9,
        "max_position_embeddings": 4096,
    },
    "vision_config": {
        "model_type": "pixtral",
        "hidden_act": "silu",
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 2,
        "num_attention_heads": 16,
        "head_dim": 64,
        "image_size": 1540,
        "patch_size": 14,
        "rope_theta": 10000.0,
    },
}


@dataclass(frozen=True)
class Cost:
    """Seconds, and bytes beyond what was in use before."""

    wall: float
    cpu: float
    peak: int


def random_weights(dtype: mx.Dtype) -> list[tuple[str, mx.array]]:
    weights = [
        (name, (mx.random.normal(shape) * shape[-1] ** -0.5).astype(dtype))
        for name, shape in parameter_shapes(parse_config(CONFIG)).items()
        if name.startswith(VISION_PREFIXES)
    ]
    mx.eval([array for _, array in weights])
    return weights


def ours(weights: list[tuple[str, mx.array]]) -> Callable[[mx.array], mx.array]:
    model = MagistralModel(parse_config(CONFIG))
    model.load_weights(weights, strict=False)
    return model.encode_image


def mlx_vlm(weights: list[tuple[str, mx.array]]) -> Callable[[mx.array], mx.array]:
    config = mistral3.ModelConfig(
        text_config=mistral3.TextConfig.from_dict(CONFIG["text_config"]),
        vision_config=mistral3.VisionConfig.from_dict(CONFIG["vision_config"]),
        model_type="mistral3",
        image_token_index=10,
    )
    model = mistral3.Model(config)
    model.load_weights(weights, strict=False)

    def encode(pixels: mx.array) -> mx.array:
        size = [pixels.shape[1:]]
        # As Model.get_input_embeddings does it.
        *_, states = model.vision_tower(
            pixels[None].transpose(0, 2, 3, 1), output_hidden_states=True, image_sizes=size
        )
        return model.multi_modal_projector(states[-1].squeeze(0), size)

    return encode


def measure(encode: Callable[[mx.array], mx.array], pixels: mx.array) -> tuple[Cost, mx.array]:
    mx.clear_cache()
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    wall, cpu = time.perf_counter(), time.process_time()
    features = encode(pixels)
    mx.eval(features)
    cost = Cost(time.perf_counter() - wall, time.process_time() - cpu, mx.get_peak_memory() - before)
    return cost, features


PATHS = {"magistral-mlx": ours, "mlx-vlm": mlx_vlm}


def encode_once(path: str, side: int, features_file: Path) -> None:
    """Encodes the image by one path and prints the cost; the features go to a file."""
    mx.random.seed(0)
    weights = random_weights(default_dtype())
    pixels = mx.random.normal((3, side, side))
    mx.eval(pixels)
    cost, features = measure(PATHS[path](weights), pixels)
    mx.save(str(features_file), features.astype(mx.float32))
    print(json.dumps(asdict(cost)))


def run(path: str, side: int, features_file: Path) -> Cost | None:
    """One path in a process of its own; None if that died."""
    arguments = ["--side", str(side), "--path", path, "--features", str(features_file)]
    process = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, check=False)
    if process.returncode:
        print(f"{path:14} ended with {process.returncode} at {side} x {side} pixels", flush=True)
        return None
    return Cost(**json.loads(process.stdout))


def compare(side: int, repeats: int) -> None:
    """Prints the cost of both, the ratio, and how far the features are apart."""
    with tempfile.TemporaryDirectory() as place:
        files = {path: Path(place) / f"{path}.npy" for path in PATHS}
        best: dict[str, Cost] = {}
        for _ in range(repeats):
            for path, file in files.items():
                if (cost := run(path, side, file)) is not None:
                    best[path] = min(cost, best.get(path, cost), key=lambda one: one.cpu + one.wall)
        for path, cost in best.items():
            print(f"{path:14} {cost.wall:8.2f} s wall {cost.cpu:8.2f} s CPU {cost.peak / 1e6:8.0f} MB peak")
        if len(best) < len(PATHS):
            return
        results = {path: mx.load(str(file)) for path, file in files.items()}
    own, peer = best["magistral-mlx"], best["mlx-vlm"]
    print(
        f"mlx-vlm / ours: wall {peer.wall / own.wall:.2f}, CPU {peer.cpu / own.cpu:.2f}, "
        f"memory {peer.peak / own.peak:.2f}"
    )
    apart = mx.abs(results["mlx-vlm"] - results["magistral-mlx"]).max().item()
    print(f"largest difference of a feature: {apart:.2g} of {mx.abs(results['mlx-vlm']).max().item():.2g}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=1540, help="pixels, a multiple of 28")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each; the fastest counts")
    parser.add_argument("--path", choices=PATHS, help=argparse.SUPPRESS)
    parser.add_argument("--features", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.path:
        encode_once(arguments.path, arguments.side, arguments.features)
    else:
        compare(arguments.side, arguments.repeats)


if __name__ == "__main__":
    main()
