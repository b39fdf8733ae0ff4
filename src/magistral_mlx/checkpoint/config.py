"""`config.json` of a Mistral3 checkpoint as frozen, checked values.

Both spellings are read: Transformers 4 (`rope_theta`, `torch_dtype`) and 5 (`rope_parameters`, `dtype`).
Keys that would change the computation and that Magistral does not use (tied embeddings, biases, sliding
window, rope scaling, other activations) must be absent or off: such a model is refused, never half-run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from magistral_mlx.errors import CheckpointError

DTYPES = ("bfloat16", "float16", "float32")
"""Weight dtypes a checkpoint may name."""

QUANTIZATION_MODES: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "affine": ((2, 3, 4, 5, 6, 8), (32, 64, 128)),
    "mxfp4": ((4,), (32,)),
    "mxfp8": ((8,), (32,)),
    "nvfp4": ((4,), (16,)),
}
"""Modes of `mlx.core.quantize`, each with the bits and the group sizes it takes."""

PIXTRAL_NORM_EPS = 1e-5
"""Pixtral's norms have this epsilon fixed; its config has no key for it."""

_LARGEST = 2**31 - 1
_MOST_LAYERS = 1000
_LONGEST_PATH = 200
_REMEDY = "Use an unchanged Magistral Small checkpoint, or convert it again."


@dataclass(frozen=True)
class TextConfig:
    """The decoder's dimensions, named as in `text_config`."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    rms_norm_eps: float
    rope_theta: float
    max_position_embeddings: int


@dataclass(frozen=True)
class VisionConfig:
    """The Pixtral tower's dimensions, named as in `vision_config`; sizes of images in pixels."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    head_dim: int
    num_channels: int
    patch_size: int
    image_size: int
    rope_theta: float
    rms_norm_eps: float


@dataclass(frozen=True)
class Quantization:
    """How weights are packed, as `mlx.core.quantize` takes it.

    `overrides` maps a module path to its own packing, or to None where that module is not quantized. A path
    without override is quantized as the whole exactly when `<path>.scales` is stored, which is the rule of
    mlx-lm and mlx-vlm too.
    """

    bits: int
    group_size: int
    mode: str
    overrides: Mapping[str, "Quantization | None"] = field(default_factory=dict[str, "Quantization | None"])

    def of_module(self, path: str, *, has_scales: bool) -> "Quantization | None":
        """Return the packing of the module at `path`; None when it is not quantized."""
        if path in self.overrides:
            return self.overrides[path]
        return self if has_scales else None


@dataclass(frozen=True)
class ModelConfig:
    """All that the model's code needs to know; `dtype` is what the config says the weights were saved in."""

    text: TextConfig
    vision: VisionConfig | None
    image_token_id: int
    spatial_merge_size: int
    quantization: Quantization | None
    dtype: str | None


def parse_config(raw: Mapping[str, object], *, file: str = "config.json") -> ModelConfig:
    """Read a parsed `config.json`.

    Raises:
        CheckpointError: a key is missing, of the wrong type, absurd, contradictory, or asks for something
            that Magistral is not; the text names `file` and the key.
    """
    top = _Section(raw, file=file, prefix="")
    top.choice("model_type", "mistral3")
    top.choice("projector_hidden_act", "gelu", default="gelu")
    top.off("multimodal_projector_bias", "tie_word_embeddings")
    if top.get("vision_feature_layer", -1) not in (-1, [-1]):
        raise top.error("vision_feature_layer", "must be -1")
    _refuse_foreign_quantization(top)
    text = _text(top.section("text_config"))
    vision = _vision(top.section("vision_config")) if top.get("vision_config") is not None else None
    image_token_id = top.same_integer("image_token_index", "image_token_id", required=vision is not None)
    if image_token_id is not None and image_token_id >= text.vocab_size:
        raise top.error(
            "image_token_index", f"is {image_token_id}, outside the vocabulary of {text.vocab_size}"
        )
    merge = top.integer("spatial_merge_size", default=None if vision else 2)
    if vision and vision.image_size < vision.patch_size * merge:
        raise top.error("vision_config.image_size", f"is smaller than one merged patch of {merge} patches")
    return ModelConfig(
        text=text,
        vision=vision,
        image_token_id=10 if image_token_id is None else image_token_id,
        spatial_merge_size=merge,
        quantization=_quantization(top),
        dtype=_dtype(top),
    )


def _text(text: "_Section") -> TextConfig:
    text.choice("model_type", "mistral", default="mistral")
    text.choice("hidden_act", "silu", default="silu")
    text.off("tie_word_embeddings", "attention_bias", "mlp_bias", "sliding_window", "rope_scaling")
    layers = text.integer("num_hidden_layers", most=_MOST_LAYERS)
    kinds = text.get("layer_types")
    if kinds is not None and kinds != ["full_attention"] * layers:
        raise text.error("layer_types", f"must be {layers} times full_attention")
    hidden, heads = text.integer("hidden_size"), text.integer("num_attention_heads")
    key_value_heads = text.integer("num_key_value_heads")
    if heads % key_value_heads:
        raise text.error("num_key_value_heads", f"is {key_value_heads}, which does not divide {heads} heads")
    head_dim = text.integer("head_dim", default=max(hidden // heads, 1))
    if head_dim % 2:
        raise text.error("head_dim", f"is {head_dim}; rotary embeddings need an even number")
    return TextConfig(
        hidden_size=hidden,
        intermediate_size=text.integer("intermediate_size"),
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_value_heads,
        head_dim=head_dim,
        vocab_size=text.integer("vocab_size"),
        rms_norm_eps=text.number("rms_norm_eps", below=1.0),
        rope_theta=_rope_theta(text, kinds_of_rope=("default",)),
        max_position_embeddings=text.integer("max_position_embeddings"),
    )


def _vision(vision: "_Section") -> VisionConfig:
    vision.choice("model_type", "pixtral")
    vision.choice("hidden_act", "silu")
    vision.choice("rms_norm_eps", PIXTRAL_NORM_EPS, default=PIXTRAL_NORM_EPS)
    vision.choice("num_channels", 3, default=3)
    hidden, heads = vision.integer("hidden_size"), vision.integer("num_attention_heads")
    head_dim = vision.integer("head_dim", default=max(hidden // heads, 1))
    if head_dim * heads != hidden:
        raise vision.error("head_dim", f"is {head_dim}: {heads} heads of it are not hidden_size {hidden}")
    if head_dim % 4:
        raise vision.error("head_dim", f"is {head_dim}; rows and columns need a multiple of 4")
    return VisionConfig(
        hidden_size=hidden,
        intermediate_size=vision.integer("intermediate_size"),
        num_hidden_layers=vision.integer("num_hidden_layers", most=_MOST_LAYERS),
        num_attention_heads=heads,
        head_dim=head_dim,
        num_channels=3,
        patch_size=vision.integer("patch_size"),
        image_size=vision.integer("image_size"),
        rope_theta=_rope_theta(vision, kinds_of_rope=("default", "axial")),
        rms_norm_eps=PIXTRAL_NORM_EPS,
    )


def _rope_theta(section: "_Section", *, kinds_of_rope: tuple[str, ...]) -> float:
    """Return the rotary base from `rope_theta` (Transformers 4) or `rope_parameters` (5); both must agree."""
    if section.get("rope_parameters") is None:
        return section.number("rope_theta", above=1.0)
    rope = section.section("rope_parameters")
    rope.choice("rope_type", *kinds_of_rope, default="default")
    unknown = set(rope.values) - {"rope_theta", "rope_type", "type", "partial_rotary_factor"}
    if unknown or rope.get("partial_rotary_factor") not in (None, 1, 1.0):
        raise section.error("rope_parameters", "asks for scaled or partial rotary embeddings")
    theta = rope.number("rope_theta", above=1.0)
    if section.get("rope_theta") is not None and section.number("rope_theta", above=1.0) != theta:
        raise section.error("rope_theta", f"contradicts rope_parameters.rope_theta {theta:g}")
    return theta


def _dtype(top: "_Section") -> str | None:
    named = {
        str(value)
        for section in (top, top.section("text_config"))
        for key in ("dtype", "torch_dtype")
        if (value := section.get(key)) is not None
    }
    if not named:
        return None
    if len(named) > 1 or not named <= set(DTYPES):
        raise top.error("dtype", f"must be one of {', '.join(DTYPES)}, not {sorted(named)!r:.80}")
    return named.pop()


def _refuse_foreign_quantization(top: "_Section") -> None:
    # MLX converters write the same table under both keys; any other method is not MLX's packing.
    foreign = top.get("quantization_config")
    if isinstance(foreign, Mapping) and "quant_method" in foreign:
        method = cast(Mapping[str, object], foreign)["quant_method"]
        raise CheckpointError(
            f"{top.file}: quantization_config says the weights are packed with {str(method)!r}",
            "Take the unquantized bf16 checkpoint, or one converted for MLX.",
        )


def _quantization(top: "_Section") -> Quantization | None:
    if top.get("quantization") is None:
        return None
    table = top.section("quantization")
    whole = _packing(table)
    overrides: dict[str, Quantization | None] = {}
    for path, value in table.values.items():
        if path in ("bits", "group_size", "mode"):
            continue
        if not path.isprintable() or len(path) > _LONGEST_PATH:
            raise top.error("quantization", f"names the impossible module {path!r:.80}")
        if isinstance(value, bool):
            overrides[path] = whole if value else None
        else:
            overrides[path] = _packing(table.section(path))
    return Quantization(bits=whole.bits, group_size=whole.group_size, mode=whole.mode, overrides=overrides)


def _packing(table: "_Section") -> Quantization:
    table.choice("mode", *QUANTIZATION_MODES, default="affine")
    mode = str(table.get("mode") or "affine")
    bits, group_sizes = QUANTIZATION_MODES[mode]
    table.choice("bits", *bits)
    table.choice("group_size", *group_sizes)
    return Quantization(bits=table.integer("bits"), group_size=table.integer("group_size"), mode=mode)


@dataclass(frozen=True)
class _Section:
    """One object of the file; every reader raises with the file and the full key."""

    values: Mapping[str, object]
    file: str
    prefix: str

    def error(self, key: str, what: str) -> CheckpointError:
        return CheckpointError(f"{self.file}: {self.prefix}{key} {what}", _REMEDY)

    def get(self, key: str, default: object = None) -> object:
        return self.values.get(key, default)

    def section(self, key: str) -> "_Section":
        value = self._present(key)
        if not isinstance(value, Mapping):
            raise self.error(key, "must be an object")
        return _Section(cast(Mapping[str, object], value), file=self.file, prefix=f"{self.prefix}{key}.")

    def integer(self, key: str, *, default: int | None = None, most: int = _LARGEST) -> int:
        """Return a whole number from 1 to `most`; `default` when the key is absent."""
        if default is not None and self.get(key) is None:
            return default
        value = self._present(key)
        # type(), not isinstance(): JSON's true is an int to Python.
        if type(value) is not int or not 1 <= value <= most:
            raise self.error(key, f"must be a whole number from 1 to {most}, not {value!r:.40}")
        return value

    def same_integer(self, *keys: str, required: bool) -> int | None:
        """Return the token id under any of `keys`; several must agree."""
        values = [self._token_id(key) for key in keys if self.get(key) is not None]
        if len(set(values)) > 1:
            raise self.error(keys[0], f"contradicts {keys[1]}")
        if required and not values:
            raise self.error(keys[0], "is missing")
        return values[0] if values else None

    def _token_id(self, key: str) -> int:
        return 0 if self.get(key) == 0 and self.get(key) is not False else self.integer(key)

    def number(self, key: str, *, above: float = 0.0, below: float = 1e30) -> float:
        value = self._present(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not above < value < below:
            raise self.error(key, f"must be a number between {above:g} and {below:g}, not {value!r:.40}")
        return float(value)

    def choice(self, key: str, *allowed: object, default: object = None) -> None:
        value = default if self.get(key) is None else self.get(key)
        if value is None:
            raise self.error(key, "is missing")
        if isinstance(value, bool) or value not in allowed:
            raise self.error(key, f"must be {' or '.join(map(str, allowed))}, not {value!r:.40}")

    def off(self, *keys: str) -> None:
        for key in keys:
            if self.get(key) not in (None, False):
                raise self.error(key, f"is {self.get(key)!r:.40}, which Magistral does not use")

    def _present(self, key: str) -> object:
        value = self.get(key)
        if value is None:
            raise self.error(key, "is missing")
        return value
