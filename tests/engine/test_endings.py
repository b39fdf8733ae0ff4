"""Every ending has one sentence."""

from magistral_mlx.engine.endings import describe_ending
from magistral_mlx.events import Ending


def test_every_ending_has_its_own_sentence() -> None:
    sentences = [describe_ending(ending) for ending in (None, *Ending)]
    assert len(set(sentences)) == len(sentences)
    assert all(sentence[0].isupper() and sentence.endswith(".") for sentence in sentences)
