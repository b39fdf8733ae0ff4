"""Magistral: token ids and pixels -> logits.

Pure MLX: no paths, no text, no tokenizer. Parameter names are those of the converted folder, so loading needs
no mapping. Token positions of one conversation form a batch of one.
"""

from collections.abc import Generator, Sequence
from typing import cast

import mlx.core as mx
import mlx.nn as nn

from magistral_mlx.checkpoint.config import ModelConfig
from magistral_mlx.errors import CheckpointError, ImageError, PromptError
from magistral_mlx.model.decoder import (
    build_decoder,
    decode_by_layer,
    decode_hidden,
    embed_tokens,
    project_to_vocabulary,
)
from magistral_mlx.model.kv_cache import LayerCache, new_layers
from magistral_mlx.model.vision import Projector, build_tower, patches_by_layer


class MagistralModel(nn.Module):
    """Mistral3ForConditionalGeneration; without a vision config, the decoder alone."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # mlx leaves it unannotated
        self.config = config
        self.language_model = build_decoder(config.text)
        if config.vision is not None:
            self.vision_tower = build_tower(config.vision)
            self.multi_modal_projector = Projector(config, config.vision)

    def make_cache(self, *, bits: int = 16) -> list[LayerCache]:
        """An empty KV cache, one entry per layer; `bits`: 16 for the model's own dtype, 8 or 4 to pack it.

        `cache[0].offset` counts the positions held; `entry.trim(n)` on every entry forgets the last n (at
        most all) in no time: buffers stay and are written over.
        """
        text = self.config.text
        return new_layers(text.num_hidden_layers, head_dim=text.head_dim, bits=bits)

    def embed(self, token_ids: mx.array) -> mx.array:
        """[n] -> [n, hidden]. Ids must lie inside the vocabulary; MLX does not check."""
        return embed_tokens(self.language_model, token_ids)

    def encode_image(self, pixels: mx.array) -> mx.array:
        """As `image_by_layer`, at once.

        Raises:
            CheckpointError, ImageError: as there.
        """
        work = self.image_by_layer(pixels)
        while True:
            try:
                next(work)
            except StopIteration as end:
                return cast(mx.array, end.value)

    def image_by_layer(self, pixels: mx.array) -> Generator[None, None, mx.array]:
        """[3, height, width] as `prompt.images` prepares them -> [rows * columns, hidden] of merged places.

        Computed layer by layer: whoever runs it may leave after any layer.

        Raises:
            CheckpointError: the model has no vision tower.
            ImageError: the size is not a whole number of merged patches, or a side is over the model's limit.
        """
        vision = self.config.vision
        if vision is None:
            raise CheckpointError(
                "This model has no vision tower", "Ask without images, or convert it with vision."
            )
        channels, height, width = pixels.shape
        step = vision.patch_size * self.config.spatial_merge_size
        sides = (height, width)
        if channels != 3 or any(side % step or not 0 < side <= vision.image_size for side in sides):
            raise ImageError(
                f"An image of {channels} x {height} x {width} can't be encoded",
                f"Prepare it as 3 channels and sides that are multiples of {step} up to {vision.image_size}.",
            )
        patches = yield from patches_by_layer(self.vision_tower, pixels, vision)
        return self.multi_modal_projector(patches)

    def embed_prompt(self, token_ids: Sequence[int], features: Sequence[mx.array] = ()) -> mx.array:
        """Embeddings [n, hidden] of `token_ids`, with `features` (of `encode_image`) at the [IMG] positions.

        For parity checks and reports. Prefill embeds chunk by chunk (`generation.decode.prefill`).

        Raises:
            PromptError: an id lies outside the vocabulary, or positions and features differ in number.
        """
        vocabulary = self.config.text.vocab_size
        outside = next((token for token in token_ids if not 0 <= token < vocabulary), None)
        if outside is not None:
            raise PromptError(
                f"Token id {outside} is outside the vocabulary of {vocabulary}",
                "Use the tokenizer that belongs to this model.",
            )
        positions = [at for at, token in enumerate(token_ids) if token == self.config.image_token_id]
        given = sum(feature.shape[0] for feature in features)
        if given != len(positions):
            raise PromptError(
                f"The prompt has {len(positions)} [IMG] positions and its images give {given} features",
                "Give the images that the prompt was made with, in order.",
            )
        embeddings = self.embed(mx.array(list(token_ids), dtype=mx.int32))
        if positions:
            embeddings[mx.array(positions)] = mx.concatenate(list(features)).astype(embeddings.dtype)
        return embeddings

    def hidden(
        self, token_ids: mx.array, *, cache: list[LayerCache] | None, embeddings: mx.array | None = None
    ) -> mx.array:
        """[1, n] -> normed hidden states [1, n, hidden], without the head.

        With `embeddings` [1, n, hidden] the ids are not looked at. For a prefill chunk whose logits nobody
        needs, evaluate the cache's state alone.
        """
        return decode_hidden(self.language_model, token_ids, cache=cache, embeddings=embeddings)

    def hidden_by_layer(
        self, token_ids: mx.array, *, cache: list[LayerCache], embeddings: mx.array | None = None
    ) -> Generator[None, None, mx.array]:
        """As `hidden`, computed layer by layer: whoever runs it may leave after any layer."""
        return decode_by_layer(self.language_model, token_ids, cache=cache, embeddings=embeddings)

    def head(self, hidden: mx.array) -> mx.array:
        """[..., hidden] -> logits [..., vocab]; give it the last position only where only that is needed."""
        return project_to_vocabulary(self.language_model, hidden)

    def __call__(
        self,
        token_ids: mx.array,
        *,
        cache: list[LayerCache] | None = None,
        embeddings: mx.array | None = None,
    ) -> mx.array:
        """[1, n] (or `embeddings` [1, n, hidden]) -> logits [1, n, vocab] of every position."""
        return self.head(self.hidden(token_ids, cache=cache, embeddings=embeddings))
