"""One question answered: prompt in, events out."""

import logging
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import mlx.core as mx

from magistral_mlx.errors import ContextOverflow
from magistral_mlx.events import (
    AnswerText,
    ContextSegments,
    Ending,
    Event,
    Finished,
    Paused,
    PrefillProgress,
    ReasoningText,
    Reply,
    Stats,
    ToolCall,
)
from magistral_mlx.generation.cache.prompt_cache import PromptCache, position_keys
from magistral_mlx.generation.decode.decoding import PromptReader, decode, prefill
from magistral_mlx.generation.decode.drafts import Drafter, ModelDrafter, NgramDrafter
from magistral_mlx.generation.decode.logprobs import LogprobRecorder
from magistral_mlx.generation.decode.prefill_step import PrefillStep
from magistral_mlx.generation.decode.sampling import Draws, Sampling
from magistral_mlx.generation.decode.speculation import Pace, decode_ahead
from magistral_mlx.generation.loaded_model import LoadedModel
from magistral_mlx.generation.memory_check import context_that_fits
from magistral_mlx.generation.reply.limits import Control, Limits, answer_reserve, soft_landing
from magistral_mlx.generation.reply.splitter import EventSplitter, Piece
from magistral_mlx.generation.reply.steering import Steering
from magistral_mlx.generation.reply.text_marks import TextSectionTracker, TextThoughtSplitter
from magistral_mlx.generation.structured.guard import AnswerGuard, decode_in_shape
from magistral_mlx.generation.structured.schema import AnswerSchema
from magistral_mlx.machine.faults import FaultKind, recognise
from magistral_mlx.prompt.splicing import prompt_segments, thought_is_open
from magistral_mlx.prompt.system_prompt import ThoughtMarks
from magistral_mlx.prompt.turns import PreparedPrompt

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How one prompt is to be answered."""

    sampling: Sampling = field(default_factory=Sampling)
    thinking_budget: int | None = None
    max_tokens: int | None = None
    """None: as many as the context leaves."""
    stop: tuple[str, ...] = ()
    schema: AnswerSchema | None = None
    """What the answer must fulfil; the thought stays free."""
    thinking: bool = True
    """Whether the model may open a thought; matters with a schema only."""
    tools: bool = False
    """Whether the model may call tools; likewise."""
    speculation: bool | None = None
    """Whether to write several tokens per pass: None while it pays, True whenever there is a draft."""
    logprobs: int | None = None
    """Tell each token's log-probability, and so many alternatives; None: neither."""


def limits_of(
    plan: Plan,
    *,
    prompt_tokens: int,
    written: Sequence[int] = (),
    context_length: int,
    guard: AnswerGuard | None = None,
) -> Limits:
    """The limits of the tokens to come; an answer in a shape has its own reserve.

    Args:
        plan: what is wanted.
        prompt_tokens: length of the prompt.
        written: what stands after it of the reply already; the guard takes note of it.
        context_length: most tokens in all.
        guard: keeps the answer in its shape.

    Raises:
        ContextOverflow: the prompt leaves no room for a reply.
        UsageError: no answer of the schema fits.
    """
    held = prompt_tokens + len(written)
    room = context_length - held
    if room < 1:
        raise ContextOverflow(
            f"The prompt has {held} tokens, the model takes {context_length} with its answer",
            "Shorten it, use smaller images, or start a new conversation.",
        )
    max_tokens = room if plan.max_tokens is None else min(plan.max_tokens, room)
    reserve = answer_reserve(max_tokens)
    if guard is not None:
        guard.limit(max_tokens + len(written))
        for token_id in written:
            guard.push(token_id)
        reserve = max(reserve, guard.reserve(max_tokens))
    return Limits(max_tokens=max_tokens, thinking_budget=plan.thinking_budget, answer_reserve=reserve)


def _guard(loaded: LoadedModel, plan: Plan, *, thinking_open: bool) -> AnswerGuard | None:
    if plan.schema is None:
        return None
    return AnswerGuard(
        loaded.tokenizer,
        plan.schema,
        thinking=plan.thinking and plan.thinking_budget != 0,
        thinking_open=thinking_open,
        tools=plan.tools,
    )


class Answering:
    """One reply in the making. `events` may be left at any point; `reply` is what there is so far.

    Args:
        loaded: the model.
        cache: of the conversation; it holds prompt and reply afterwards, as far as they came.
        prompt: what to answer.
        written: ids of a reply to go on with; they stand after the prompt and are not counted as new.
        stopping: asked at each token and each prefill chunk whether to stop.
        steering: what else is wished while it runs: to pause, to answer now, to take a hint.
        asked_at: `time.perf_counter()` when the question was put.

    Raises:
        ContextOverflow: the prompt leaves no room for a reply.
        UsageError: no answer of the schema fits into `max_tokens`.
        MemoryLimitError: prompt and reply do not fit into memory; says what would.
        PromptError: the prompt's image positions and its images do not fit.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        cache: PromptCache,
        prompt: PreparedPrompt,
        plan: Plan,
        *,
        written: Sequence[int] = (),
        stopping: Callable[[], bool],
        steering: Steering | None = None,
        asked_at: float,
    ) -> None:
        special = loaded.tokenizer.special
        thinking_open = thought_is_open(prompt.token_ids, special)
        self.guard = _guard(loaded, plan, thinking_open=thinking_open)
        self._whole = replace(prompt, token_ids=(*prompt.token_ids, *written))
        self._keys = position_keys(self._whole, image_id=special.image)
        limits = limits_of(
            plan,
            prompt_tokens=len(prompt.token_ids),
            written=written,
            context_length=context_that_fits(
                loaded, cache, self._whole, self._keys, max_tokens=plan.max_tokens
            ),
            guard=self.guard,
        )
        self._schema = plan.schema
        self._loaded = loaded
        self._cache = cache
        self.prompt = prompt
        self.special = special
        self.is_control = loaded.tokenizer.is_control
        self.plan = plan
        self._first_position = len(written)
        self._pace = Pace(always=plan.speculation is True)
        self._recorder = None if plan.logprobs is None else LogprobRecorder(loaded.tokenizer, plan.logprobs)
        landing = soft_landing(loaded.tokenizer)
        self._control: Control
        self._splitter: EventSplitter | TextThoughtSplitter
        if loaded.tokenizer.thought_marks is ThoughtMarks.TEXT:
            tracker = TextSectionTracker(loaded.tokenizer)
            self._control = Control(limits, special, landing=landing, tracker=tracker)
            self._splitter = TextThoughtSplitter(loaded.tokenizer, stop=plan.stop)
        else:
            self._control = Control(limits, special, landing=landing, thinking_open=thinking_open)
            self._splitter = EventSplitter(loaded.tokenizer, stop=plan.stop, thinking_open=thinking_open)
        self._stopping = stopping
        self._steering = steering or Steering()
        self._pieces: list[Piece] = []
        self.token_ids: list[int] = []
        """Everything of the reply so far, id by id."""
        for token_id in written:
            self.token_ids.append(token_id)
            self._control.resume_after(token_id)
            self._collect(self._splitter.push(token_id))
        self._ending = Ending.STOPPED
        self._cached = 0
        self._asked_at = asked_at
        self._prefill_began = self._first_token_at = self._last_token_at = 0.0

    @property
    def segments(self) -> ContextSegments:
        """What the prompt is made of, with what is there of the reply."""
        return replace(
            prompt_segments(self.prompt.token_ids, self._loaded.tokenizer.special),
            reasoning=self._splitter.reasoning_tokens,
            answer=self._splitter.answer_tokens,
        )

    @property
    def closing_tokens(self) -> int:
        """Tokens at the end of the reply that closed its answer for want of room, as its schema demands."""
        cut_at = None if self.guard is None else self.guard.cut_at
        return 0 if cut_at is None else len(self.token_ids) - cut_at

    def events(self) -> Generator[Event, None, None]:
        """Everything, from the first progress to Finished.

        Raises:
            DeviceError: the GPU gave the work up for another reason than memory, twice if trying again in
                smaller pieces could help.
        """
        try:
            logits = yield from self._read()
            if logits is not None:
                yield from self._decode(logits)
        except (RuntimeError, MemoryError) as error:
            self._forget()
            fault = recognise(error)
            if fault is None:
                raise
            if fault.kind is not FaultKind.OUT_OF_MEMORY:
                raise fault.error() from error
            self._ending = Ending.OUT_OF_MEMORY
        yield from self._collect(self._splitter.finish())
        yield Finished(self.reply())

    def read(self) -> mx.array | None:
        """Reads the prompt: logits [1, vocab] after it, or None if it was stopped. For batches."""
        reading = self._read()
        while True:
            try:
                next(reading)
            except StopIteration as end:
                self._first_token_at = self._last_token_at = time.perf_counter()
                return end.value  # type: ignore[no-any-return]  # typeshed has no type for a generator's return value

    def take(self, token_id: int) -> tuple[int, ...] | None:
        """Takes the next token of a batch; gives the ids forced after it, or None if the reply is over."""
        self._last_token_at = time.perf_counter()
        return self._taken(token_id)[1]

    def leave(self) -> Reply:
        """What there is, when `events` was left before its end."""
        self._collect(self._splitter.finish())
        return self.reply()

    def reply(self) -> Reply:
        """The reply so far."""
        reply = Reply(
            reasoning="".join(piece.text for piece in self._pieces if isinstance(piece, ReasoningText)),
            answer="".join(piece.text for piece in self._pieces if isinstance(piece, AnswerText)),
            ending=self._ending,
            stats=self._stats(),
            tool_calls=tuple(piece for piece in self._pieces if isinstance(piece, ToolCall)),
            logprobs=None if self._recorder is None else tuple(self._recorder.tokens),
        )
        whole = self.guard is not None and self.guard.is_whole
        return replace(reply, parsed=self._schema.parse(reply.answer)) if self._schema and whole else reply

    def _read(self) -> Generator[PrefillProgress | Paused, None, mx.array | None]:
        """The prefill; after a fault that smaller pieces may avoid, once more from the beginning."""
        mx.reset_peak_memory()
        self._prefill_began = time.perf_counter()
        step = self._loaded.prefill_step
        try:
            return (yield from self._prefill(step))
        except (RuntimeError, MemoryError) as error:
            fault, smaller = recognise(error), step.smaller()
            if fault is None or not fault.smaller_step_helps or smaller is None:
                raise
            _log.warning("%s (%s); reading again in smaller pieces", fault.problem, error)
        self._forget()
        return (yield from self._prefill(smaller))

    def _forget(self) -> None:
        """After a fault: what the interrupted step left in the cache is unknown."""
        self._cache.reset()
        mx.clear_cache()

    def _prefill(self, step: PrefillStep) -> Generator[PrefillProgress | Paused, None, mx.array | None]:
        self._cached = self._cache.match(self._keys)
        loaded = self._loaded
        reader = PromptReader(
            loaded.model, loaded.features, self._whole, image_id=loaded.tokenizer.special.image
        )
        step_at = partial(step.at, kv_bits=self._cache.kv_bits)
        reading = prefill(loaded.model, self._cache, reader, self._keys, step_at=step_at)
        while not self._stopping():
            if self._steering.paused:
                yield Paused()
                continue
            try:
                yield next(reading)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # typeshed has no type for a generator's return value
        return None

    def _decode(self, logits: mx.array) -> Generator[Piece | Paused, None, None]:
        writing = self._writing(logits)
        token_id = next(writing)
        self._first_token_at = self._last_token_at = time.perf_counter()
        while True:
            while self._steering.paused:
                yield Paused()
            self._steer()
            pieces, forced = self._taken(token_id)
            yield from pieces
            if forced is None:
                return
            token_id = writing.send(forced)
            self._last_token_at = time.perf_counter()

    def _taken(self, token_id: int) -> tuple[list[Piece], tuple[int, ...] | None]:
        """The events of the next token, and the ids forced after it; None for these: the reply is over."""
        self.token_ids.append(token_id)
        if self._recorder is not None:
            self._recorder.push(token_id)
        verdict = self._control.push(token_id)
        pieces = self._collect(self._splitter.push(token_id))
        if self._splitter.stopped:
            self._ending = Ending.COMPLETE
            return pieces, None
        ending = self.guard.ending(verdict.ending) if self.guard else verdict.ending
        if ending is not None:
            self._ending = ending
        over = ending is not None or self._stopping()
        return pieces, None if over else verdict.forced

    def _steer(self) -> None:
        if self._steering.take_answer_now():
            self._control.answer_now()
        for hint in self._steering.take_hints():
            self._control.hint(self._loaded.tokenizer.encode_text(f"\n\n{hint}\n\n"))

    def _writing(self, logits: mx.array) -> Generator[int, Sequence[int] | None, None]:
        model, cache, plan = self._loaded.model, self._cache, self.plan
        draws = Draws(plan.sampling, first=self._first_position)
        if self.guard is not None:
            return decode_in_shape(model, cache, logits, draws.sampler(), self.guard)
        if self._recorder is not None:
            return decode(model, cache, logits, self._recorder.recording(draws.sampler()))
        if plan.speculation is False:
            return decode(model, cache, logits, draws.sampler())
        return decode_ahead(model, cache, logits, draws, self._drafter(draws), self._pace)

    def _drafter(self, draws: Draws) -> Drafter:
        draft = self._loaded.draft
        if draft is not None:
            return ModelDrafter(draft.loaded, draft.cache, self._whole, draws)
        controls = frozenset(vars(self._loaded.tokenizer.special).values())
        return NgramDrafter(self._whole.token_ids, never=controls)

    def _collect(self, pieces: list[Piece]) -> list[Piece]:
        self._pieces += pieces
        return pieces

    def _stats(self) -> Stats:
        started = self._first_token_at > 0
        seconds = self._last_token_at - self._first_token_at
        return Stats(
            prompt_tokens=len(self.prompt.token_ids),
            cached_tokens=min(self._cached, len(self.prompt.token_ids)),
            image_tokens=self.prompt.image_tokens,
            reasoning_tokens=self._splitter.reasoning_tokens,
            answer_tokens=self._splitter.answer_tokens,
            prefill_seconds=self._first_token_at - self._prefill_began if started else 0.0,
            time_to_first_token=self._first_token_at - self._asked_at if started else 0.0,
            decode_tokens_per_second=(self._control.generated - 1) / seconds if seconds > 0 else 0.0,
            peak_memory_bytes=mx.get_peak_memory(),
            decode_passes=self._pace.passes or self._control.generated,
        )
