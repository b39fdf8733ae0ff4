"""Logits of a whole prompt, for comparisons with other implementations."""

from collections.abc import Sequence

import mlx.core as mx

from magistral_mlx.errors import PromptError
from magistral_mlx.generation.evaluation import evaluate
from magistral_mlx.generation.loaded_model import LoadedModel
from magistral_mlx.prompt.chat import compose, encode
from magistral_mlx.prompt.images import ImageSource, PreparedImage
from magistral_mlx.prompt.turns import UserTurn


def prompt_logits(loaded: LoadedModel, token_ids: Sequence[int], images: Sequence[ImageSource]) -> mx.array:
    """[tokens, vocab], evaluated, by one pass without cache; images fill the [IMG] positions in order.

    Raises:
        PromptError: no ids, an id outside the vocabulary, or positions and images that do not fit.
    """
    if not token_ids:
        raise PromptError("There are no token ids", "Give at least one.")
    prepared: tuple[PreparedImage, ...] = ()
    if images:
        # The prompt is not ours, but its images are prepared as in any prompt.
        messages = compose([UserTurn("", tuple(images))], system=None, system_prompt=None, thinking=False)
        prepared = encode(loaded.tokenizer, messages).images
    features = [loaded.features.features(image) for image in prepared]
    embeddings = loaded.model.embed_prompt(token_ids, features)
    logits = loaded.model(mx.array(list(token_ids))[None], embeddings=embeddings[None])[0]
    evaluate(logits)
    return logits
