"""Speculation: several tokens per pass of the model, and still exactly its own.

A draft of the next tokens (see `drafts`) goes through the model in one pass together with the token before
it. At each place the model's own token is drawn from its logits by the position's own random key (see
`sampling.Draws`); drafted tokens are accepted as long as they are the drawn ones, and the first drawn token
that differs comes instead. So nothing depends on the drafts but the number of passes: greedy replies are the
same token by token, and drawn ones too, from the same distribution. For drafts without chance of their own
this accepts as often as rejection sampling does (Leviathan et al. 2023, arXiv:2211.17192): a drafted token
of probability p with probability p.

A pass over several tokens takes longer than one over a single token, much longer on a CPU. So it is measured,
and speculation rests while it does not pay.
"""

import itertools
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import cast

import mlx.core as mx

from magistral_mlx.generation.cache.prompt_cache import PromptCache
from magistral_mlx.generation.decode.decoding import CLEAR_EVERY
from magistral_mlx.generation.decode.drafts import Drafter
from magistral_mlx.generation.decode.sampling import Draws
from magistral_mlx.generation.evaluation import start_evaluating, trim_layers
from magistral_mlx.model.magistral import MagistralModel

SHORTEST_DRAFT, LONGEST_DRAFT = 2, 12
_SHORTEST_REST, _LONGEST_REST = 64, 4096
"""In tokens: how long speculation rests after it did not pay; doubled each time in a row."""
_TRIALS = 3
"""So many drafts are tried before it is judged."""
_WEIGHT = 0.25
"""Of the newest measurement in a moving average."""


class Pace:
    """Decides from measurements whether to speculate and how far.

    Args:
        always: speculate whenever there is a draft; for tests and for who knows better.
        clock: seconds.
    """

    def __init__(self, *, always: bool = False, clock: Callable[[], float] = time.perf_counter) -> None:
        self._always = always
        self.clock = clock
        self._single: float | None = None
        self._gain = 1.0
        self._trials = 0
        self._rest = _SHORTEST_REST
        self._resting = 0
        self.length = 4
        """Tokens of the next draft."""
        self.passes = 0
        """Passes of the model over one token or more."""

    @property
    def speculates(self) -> bool:
        """Whether a draft is wanted now."""
        return self._always or self._resting == 0

    def single(self, seconds: float | None) -> None:
        """A pass over one token took so long; None if that was not measured."""
        self.passes += 1
        self._resting = max(self._resting - 1, 0)
        if seconds is None:
            return
        # The shortest of late, rising slowly: a busy moment says nothing about the machine.
        self._single = seconds if self._single is None else min(seconds, self._single * 1.01)

    def several(self, seconds: float, *, drafted: int, accepted: int) -> None:
        """A pass over a draft took so long; `accepted` of its tokens were right."""
        self.passes += 1
        if accepted == drafted:
            self.length = min(2 * self.length, LONGEST_DRAFT)
        elif 2 * accepted < drafted:
            self.length = max(self.length // 2, SHORTEST_DRAFT)
        if self._single is not None and seconds > 0:
            gain = (accepted + 1) * self._single / seconds
            self._gain += _WEIGHT * (gain - self._gain) if self._trials else gain - self._gain
            self._trials += 1
        if self._trials >= _TRIALS:
            self._judge()

    def _judge(self) -> None:
        if self._gain >= 1:
            self._rest = _SHORTEST_REST
            return
        self._resting, self._rest = self._rest, min(2 * self._rest, _LONGEST_REST)
        self._trials = 0


def decode_ahead(
    model: MagistralModel, cache: PromptCache, logits: mx.array, draws: Draws, drafter: Drafter, pace: Pace
) -> Generator[int, Sequence[int] | None, None]:
    """As `decoding.decode`, with drafts; a forced token drops what was drafted beyond it."""
    following = draws.at(logits, 0)
    forced: deque[int] = deque()
    position = 0
    steady = False  # the last step was of one token too, so that the time between both is that of a pass
    try:
        for count in itertools.count(1):
            began = pace.clock()
            steady = steady and not forced
            current = mx.array([forced.popleft()]) if forced else following
            logits = model(current[None], cache=cache.layers)[:, -1, :]
            following = draws.at(logits, position + 1)
            start_evaluating(following)
            token_id = cast("int", current.item())
            cache.extend([token_id], logits=logits)
            drafter.push(token_id)
            position += 1
            pace.single(pace.clock() - began if steady else None)
            steady = True
            if count % CLEAR_EVERY == 0:
                mx.clear_cache()
            forced.extend((yield token_id) or ())
            if forced or not pace.speculates or not (draft := drafter.draft(most=pace.length)):
                continue
            # The next token is already being computed; a draft that begins with it goes on after it.
            pending = cast("int", following.item())
            draft = draft[1:] if draft[0] == pending else []
            while draft := draft or (drafter.draft(pending, most=pace.length) if pace.speculates else []):
                began = pace.clock()
                drawn, seen = _verified(model, cache, draws, [pending, *draft], position + 1)
                accepted = _agreement(draft, drawn)
                trim_layers(cache.layers, len(cache) + 1 + accepted)
                pace.several(pace.clock() - began, drafted=len(draft), accepted=accepted)
                for place, token_id in enumerate((pending, *draft[:accepted])):
                    cache.extend([token_id], logits=seen[place : place + 1])
                    drafter.push(token_id)
                    position += 1
                    forced.extend((yield token_id) or ())
                    if forced:
                        break
                if forced:
                    trim_layers(cache.layers, len(cache))
                    break
                pending, draft = drawn[accepted], []
            following, steady = mx.array([pending]), False
    finally:
        trim_layers(cache.layers, len(cache))


def _verified(
    model: MagistralModel, cache: PromptCache, draws: Draws, token_ids: Sequence[int], position: int
) -> tuple[list[int], mx.array]:
    """The model's own tokens after each of `token_ids`, the first of which is for `position`.

    With them the logits [tokens, vocab] that they were drawn from.
    """
    logits = model(mx.array(list(token_ids))[None], cache=cache.layers)[0]
    return cast("list[int]", draws.at(logits, position).tolist()), logits


def _agreement(draft: Sequence[int], drawn: Sequence[int]) -> int:
    """How many tokens of the draft are the drawn ones, from its beginning on."""
    pairs = zip(draft, drawn, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
