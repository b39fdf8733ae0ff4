"""The decode loop with one row, as a generator of token ids."""

from collections.abc import Generator, Iterable

import mlx.core as mx

from magistral_mlx.generation.cache.prompt_cache import PromptCache
from magistral_mlx.generation.decode.loop import DecodeLoop, Row
from magistral_mlx.generation.decode.next_token import NextToken, Sampled
from magistral_mlx.generation.decode.sampling import PositionSampler
from magistral_mlx.generation.options import Options
from magistral_mlx.model.magistral import MagistralModel


def greedy() -> Sampled:
    """The likeliest token each time."""
    return Sampled(PositionSampler(Options(temperature=0)))


def written_by(model: MagistralModel, row: Row) -> Generator[int, Iterable[int] | None, None]:
    """The tokens of a row, without end; `send` ids to force them."""
    loop = DecodeLoop(model)
    loop.join(row)
    try:
        while True:
            [(_, token_id)] = loop.step()
            row.force((yield token_id) or ())
    finally:
        loop.leave(row)


def decode(
    model: MagistralModel, cache: PromptCache, logits: mx.array, policy: NextToken
) -> Generator[int, Iterable[int] | None, None]:
    """The tokens after what `cache` holds; `logits` [1, vocab] come after it."""
    return written_by(model, Row(cache, policy, logits))
