"""Speculation: several tokens per pass of the model, and still exactly its own.

A draft of the next tokens (see `drafts`) goes through the model in one pass together with the token before
it. At each position the model's own token is drawn from its logits with the position's own random key (see
`sampling.PositionSampler`). Drafted tokens are accepted as long as they equal the drawn ones; the first drawn
token that differs takes the place of its draft. Drafts change only the number of passes: with the same seed,
the reply is the same token by token. For deterministic drafts this accepts as often as rejection sampling
does (Leviathan et al. 2023, arXiv:2211.17192): a drafted token of probability p with probability p.

A pass over several tokens takes longer than one over a single token, much longer on a CPU. So passes are
timed, and speculation rests while it does not pay.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from typing import cast

import mlx.core as mx

from magistral_mlx.generation.cache.prompt_cache import PromptCache
from magistral_mlx.generation.decode.drafts import Drafter
from magistral_mlx.generation.decode.next_token import Confirmed, Sampled
from magistral_mlx.generation.decode.sampling import PositionSampler
from magistral_mlx.generation.evaluation import trim_layers
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

    @property
    def speculates(self) -> bool:
        """Whether a draft is wanted now."""
        return self._always or self._resting == 0

    def single(self, seconds: float | None) -> None:
        """A pass over one token took so long; None if that was not measured."""
        self._resting = max(self._resting - 1, 0)
        if seconds is None:
            return
        # The shortest of late, rising slowly: a busy moment says nothing about the machine.
        self._single = seconds if self._single is None else min(seconds, self._single * 1.01)

    def several(self, seconds: float, *, drafted: int, accepted: int) -> None:
        """A pass over a draft took so long; `accepted` of its tokens were right."""
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


class Drafted(Sampled):
    """Draw as `Sampled`, and confirm drafts with one pass over several tokens.

    Args:
        sampler: draws the model's own tokens.
        drafter: guesses them.
        pace: decides when and how far to draft.
    """

    def __init__(self, sampler: PositionSampler, drafter: Drafter, pace: Pace) -> None:
        super().__init__(sampler)
        self._drafter = drafter
        self._pace = pace
        self._known: int | None = None  # the next token, if it was drawn with a draft
        self._fed = False  # one token was fed since the last `push`
        self._began: float | None = None
        self._steady = False  # the last pass was over one token too: the time between both is that of a pass

    def see(self, logits: mx.array, position: int) -> mx.array:
        """See NextToken.see."""
        self._fed, self._known = True, None
        return super().see(logits, position)

    def push(self, token_id: int) -> None:
        """See NextToken.push."""
        if self._fed:
            measured = self._steady and self._began is not None
            self._pace.single(self._pace.clock() - (self._began or 0) if measured else None)
            self._steady = True
        self._fed, self._began = False, None
        self._drafter.push(token_id)

    def choose(self) -> mx.array:
        """See NextToken.choose."""
        self._began = self._pace.clock()
        return super().choose()

    def ahead(self, model: MagistralModel, cache: PromptCache, position: int) -> list[Confirmed]:
        """See NextToken.ahead."""
        draft = self._draft()
        if not draft or self._known is None:
            return []
        began = self._pace.clock()
        run = [self._known, *draft]
        logits = model(mx.array(run)[None], cache=cache.layers)[0]
        drawn = cast("list[int]", self._sampler.at(logits, position + 1).tolist())
        accepted = _agreement(draft, drawn)
        trim_layers(cache.layers, len(cache) + 1 + accepted)
        self._pace.several(self._pace.clock() - began, drafted=len(draft), accepted=accepted)
        self._known, self._fed, self._steady = drawn[accepted], False, False
        self._token = mx.array([self._known])
        return [(run[place], logits[place : place + 1]) for place in range(1 + accepted)]

    def _draft(self) -> list[int]:
        """Guesses of what comes after the next token, which is then known; empty where there are none."""
        if not self._pace.speculates:
            return []
        if self._known is None:
            # The next token is already being computed; a draft that begins with it goes on after it.
            draft = self._drafter.draft(most=self._pace.length)
            if not draft:
                return []
            self._known, self._steady = cast("int", self._token.item()), False
            if draft[0] == self._known and len(draft) > 1:
                return draft[1:]
        return self._drafter.draft(self._known, most=self._pace.length)


def _agreement(draft: Sequence[int], drawn: Sequence[int]) -> int:
    """How many tokens of the draft are the drawn ones, from its beginning on."""
    pairs = zip(draft, drawn, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
