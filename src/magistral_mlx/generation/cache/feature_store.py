"""Features of images, cached: no image is encoded twice."""

from collections import OrderedDict
from collections.abc import Generator

import mlx.core as mx

from magistral_mlx.errors import CheckpointError
from magistral_mlx.generation.evaluation import evaluate
from magistral_mlx.model.magistral import MagistralModel
from magistral_mlx.prompt.images import PreparedImage

DEFAULT_BYTES = 256 * 2**20
"""Eight images of the largest size (3,025 positions) on Magistral Small in bf16."""


class FeatureStore:
    """Features per image digest, least recently used first out when they take more than `limit_bytes`."""

    def __init__(self, model: MagistralModel, *, limit_bytes: int = DEFAULT_BYTES) -> None:
        self._model = model
        self._limit_bytes = limit_bytes
        self._features: OrderedDict[str, mx.array] = OrderedDict()
        self.encoded = 0
        """Images that went through the vision tower."""

    def knows(self, image: PreparedImage) -> bool:
        """Whether the features of the image are cached."""
        return image.digest in self._features

    def features(self, image: PreparedImage) -> mx.array:
        """Return the features [token_count, hidden], evaluated.

        Raises:
            CheckpointError: the vision tower gives another number of features than the prompt has positions.
        """
        for _ in self.encoding(image):
            pass
        return self._features[image.digest]

    def encoding(self, image: PreparedImage) -> Generator[None]:
        """Encode the image unless it is known. It yields after each layer; whoever runs it may leave there.

        Raises:
            CheckpointError: as `features`.
        """
        features = self._features.get(image.digest)
        if features is None:
            features = yield from self._encode(image)
            self._features[image.digest] = features
        self._features.move_to_end(image.digest)
        self._forget_oldest()

    def _encode(self, image: PreparedImage) -> Generator[None, None, mx.array]:
        features = yield from self._model.image_by_layer(mx.array(image.pixels))
        evaluate(features)
        self.encoded += 1
        given, needed = features.shape[0], image.token_count
        if given != needed:
            raise CheckpointError(
                f"The vision tower gives {given} features for {needed} image positions",
                "The image geometry in config.json does not fit the weights; convert the model again.",
            )
        return features

    def _forget_oldest(self) -> None:
        # The newest stays even when it alone is over the limit: its prompt is being read.
        while len(self._features) > 1 and sum(f.nbytes for f in self._features.values()) > self._limit_bytes:
            self._features.popitem(last=False)
