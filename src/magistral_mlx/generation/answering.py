"""Answer one question: prompt in, events out."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

import mlx.core as mx

from magistral_mlx.errors import DeviceError
from magistral_mlx.events import ContextSegments, Ending, Event, Finished, Paused, Reply
from magistral_mlx.generation.cache.prompt_cache import Key, PromptCache
from magistral_mlx.generation.decode.drafts import Drafter, ModelDrafter, NgramDrafter
from magistral_mlx.generation.decode.logprobs import LogprobRecorder
from magistral_mlx.generation.decode.loop import DecodeLoop, Row
from magistral_mlx.generation.decode.next_token import Guarded, NextToken, Recorded, Sampled
from magistral_mlx.generation.decode.sampling import PositionSampler
from magistral_mlx.generation.decode.speculation import Drafted, Pace
from magistral_mlx.generation.loaded_model import LoadedModel
from magistral_mlx.generation.memory_check import context_that_fits
from magistral_mlx.generation.options import Options
from magistral_mlx.generation.reading import Reading
from magistral_mlx.generation.reply.splitter import Piece
from magistral_mlx.generation.reply.steering import Steering
from magistral_mlx.generation.reply.writing import Writing
from magistral_mlx.generation.statistics import Stopwatch
from magistral_mlx.machine.faults import FaultKind, recognise
from magistral_mlx.prompt.splicing import prompt_segments
from magistral_mlx.prompt.tokenizer import Tokenizer
from magistral_mlx.prompt.turns import PreparedPrompt


class Answering:
    """One reply in the making. `events` may be left at any point; `reply` gives what there is so far.

    Args:
        loaded: the model.
        cache: of the conversation; it holds prompt and reply afterwards, as far as they came.
        prompt: what to answer.
        options: how to answer it.
        keys: one per position of prompt and `written` together.
        written: ids of a reply being continued; they stand after the prompt and do not count as new.
        stopping: asked at each token, each prefill chunk and between the layers of a slow one.
        steering: pauses, hints and the wish to answer now.
        asked_at: `time.perf_counter()` when the question was put.

    Raises:
        ContextOverflow: the prompt leaves no room for a reply.
        UsageError: no answer of the schema fits into `max_tokens`.
        MemoryLimitError: prompt and reply do not fit into memory; says what would.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        cache: PromptCache,
        prompt: PreparedPrompt,
        options: Options,
        *,
        keys: Sequence[Key],
        written: Sequence[int] = (),
        stopping: Callable[[], bool],
        steering: Steering,
        asked_at: float,
    ) -> None:
        self.prompt = prompt
        self._loaded = loaded
        self._cache = cache
        self._options = options
        self._whole = replace(prompt, token_ids=(*prompt.token_ids, *written))
        self._stopping = stopping
        self._steering = steering
        self._clock = Stopwatch(asked_at)
        self._reading = Reading(loaded, cache, self._whole, keys, stopping=stopping, steering=steering)
        self.writing = Writing(
            loaded.tokenizer,
            options,
            prompt_ids=prompt.token_ids,
            written=written,
            context_length=context_that_fits(loaded, cache, self._whole, keys, max_tokens=options.max_tokens),
        )
        self._recorder = (
            None if options.logprobs is None else LogprobRecorder(loaded.tokenizer, options.logprobs)
        )
        self._row: Row | None = None

    @property
    def tokenizer(self) -> Tokenizer:
        """The checkpoint's."""
        return self._loaded.tokenizer

    @property
    def segments(self) -> ContextSegments:
        """The parts of the context in tokens: the prompt and the reply so far."""
        return replace(
            prompt_segments(self.prompt.token_ids, self._loaded.tokenizer.special),
            reasoning=self.writing.reasoning_tokens,
            answer=self.writing.answer_tokens,
        )

    def events(self) -> Generator[Event, None, None]:
        """Everything, from the first progress to Finished.

        Raises:
            DeviceError: the GPU failed for a reason other than memory; if smaller chunks could help, they
                failed too; or the logits are no finite numbers.
        """
        try:
            row = yield from self.read()
            if row is not None:
                yield from self._decode(row)
        except (RuntimeError, MemoryError) as error:
            self._reading.forget()
            fault = recognise(error)
            if fault is None:
                raise
            if fault.kind is not FaultKind.OUT_OF_MEMORY:
                raise fault.error() from error
            self.writing.ending = Ending.OUT_OF_MEMORY
        yield from self.writing.finish()
        yield Finished(self.reply())

    def read(self) -> Generator[Event, None, Row | None]:
        """Read the prompt chunk by chunk; return the row that writes the reply, or None if it was stopped.

        Raises:
            DeviceError: the logits are no finite numbers.
        """
        self._clock.begin_prefill()
        logits = yield from self._reading.events()
        if logits is None:
            return None
        if not mx.isfinite(logits).all().item():
            self._reading.forget()
            raise DeviceError(
                "The model computes values that are no finite numbers",
                "Run `magistral models verify`; if the weights are whole, report it with the log.",
            )
        first = len(self.writing.token_ids)
        self._row = Row(self._cache, self._policy(first), logits, position=first)
        return self._row

    def take(self, row: Row, token_id: int) -> tuple[list[Piece], bool]:
        """Take the next token of the reply: the events it completes, and whether the reply goes on."""
        taken = self.writing.push(token_id)
        if taken.forced is None or self._stopping():
            return taken.pieces, False
        row.force(taken.forced)
        return taken.pieces, True

    def token_came(self) -> None:
        """Note the time of a token."""
        self._clock.token()

    def leave(self) -> Reply:
        """What there is, when `events` was left before its end."""
        self.writing.finish()
        return self.reply()

    def reply(self) -> Reply:
        """The reply so far."""
        stats = self._clock.stats(
            self.prompt,
            cached=self._reading.cached,
            reasoning_tokens=self.writing.reasoning_tokens,
            answer_tokens=self.writing.answer_tokens,
            generated=self.writing.generated,
            passes=0 if self._row is None else self._row.passes,
        )
        return self.writing.reply(stats, None if self._recorder is None else self._recorder.tokens)

    def _decode(self, row: Row) -> Generator[Piece | Paused, None, None]:
        """Write the reply alone."""
        loop = DecodeLoop(self._loaded.model)
        loop.join(row)
        goes_on = True
        try:
            while goes_on:
                [(_, token_id)] = loop.step()
                self.token_came()
                while self._steering.paused:
                    yield Paused()
                self.writing.steer(self._steering)
                pieces, goes_on = self.take(row, token_id)
                yield from pieces
        finally:
            loop.leave(row)

    def _policy(self, first: int) -> NextToken:
        sampler = PositionSampler(self._options)
        if self.writing.guard is not None:
            return Guarded(sampler, self.writing.guard)
        if self._recorder is not None:
            return Recorded(sampler, self._recorder)
        if self._options.speculation is False:
            return Sampled(sampler)
        pace = Pace(always=self._options.speculation is True)
        return Drafted(sampler, self._drafter(sampler, first), pace)

    def _drafter(self, sampler: PositionSampler, first: int) -> Drafter:
        draft = self._loaded.draft
        if draft is not None:
            return ModelDrafter(draft.loaded, draft.cache, self._whole, sampler, position=first)
        controls = frozenset(vars(self._loaded.tokenizer.special).values())
        return NgramDrafter(self._whole.token_ids, never=controls)
