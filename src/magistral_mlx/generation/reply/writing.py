"""Token ids of one reply -> its events, text and ending."""

from collections.abc import Sequence
from dataclasses import dataclass

from magistral_mlx.errors import ContextOverflow
from magistral_mlx.events import AnswerText, Ending, ReasoningText, Reply, Stats, TokenLogprob, ToolCall
from magistral_mlx.generation.options import Options
from magistral_mlx.generation.reply.limits import Control, Limits, answer_reserve, soft_landing
from magistral_mlx.generation.reply.splitter import EventSplitter, Piece
from magistral_mlx.generation.reply.steering import Steering
from magistral_mlx.generation.reply.text_marks import TextSectionTracker, TextThoughtSplitter
from magistral_mlx.generation.structured.guard import AnswerGuard
from magistral_mlx.prompt.splicing import thought_is_open
from magistral_mlx.prompt.system_prompt import ThoughtMarks
from magistral_mlx.prompt.tokenizer import Tokenizer


@dataclass(frozen=True)
class Taken:
    """The result of one token."""

    pieces: list[Piece]
    forced: tuple[int, ...] | None
    """Tokens that come next; None: the reply is over."""


class Writing:
    """A reply that grows token by token.

    Args:
        tokenizer: the checkpoint's.
        options: limits, stop strings, schema.
        prompt_ids: token ids of the prompt.
        written: ids of a reply being continued; they count as its own, but not as new.
        context_length: most tokens of prompt and reply together.

    Raises:
        ContextOverflow: the prompt leaves no room for a reply.
        UsageError: no answer of the schema fits.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        options: Options,
        *,
        prompt_ids: Sequence[int],
        written: Sequence[int] = (),
        context_length: int,
    ) -> None:
        self._tokenizer = tokenizer
        self._schema = options.schema
        thinking_open = thought_is_open(prompt_ids, tokenizer.special)
        self.guard = _guard(tokenizer, options, thinking_open=thinking_open)
        held = len(prompt_ids) + len(written)
        limits = _limits(options, held=held, written=written, context_length=context_length, guard=self.guard)
        self._control, self._splitter = _readers(tokenizer, limits, options, thinking_open=thinking_open)
        self._pieces: list[Piece] = []
        self.ending = Ending.STOPPED
        self.token_ids: list[int] = []
        """Everything of the reply so far, id by id."""
        for token_id in written:
            self.token_ids.append(token_id)
            self._control.resume_after(token_id)
            self._collect(self._splitter.push(token_id))

    @property
    def reasoning_tokens(self) -> int:
        """Tokens of the thought."""
        return self._splitter.reasoning_tokens

    @property
    def answer_tokens(self) -> int:
        """Tokens of the answer and of tool calls."""
        return self._splitter.answer_tokens

    @property
    def generated(self) -> int:
        """New tokens, control tokens included."""
        return self._control.generated

    @property
    def closing_tokens(self) -> int:
        """Tokens at the end of the reply that were inserted to close the JSON of a schema."""
        cut_at = None if self.guard is None else self.guard.cut_at
        return 0 if cut_at is None else len(self.token_ids) - cut_at

    def push(self, token_id: int) -> Taken:
        """Take the next token."""
        self.token_ids.append(token_id)
        verdict = self._control.push(token_id)
        pieces = self._collect(self._splitter.push(token_id))
        if self._splitter.stopped:
            self.ending = Ending.COMPLETE
            return Taken(pieces, None)
        ending = self.guard.ending(verdict.ending) if self.guard else verdict.ending
        if ending is None:
            return Taken(pieces, verdict.forced)
        self.ending = ending
        return Taken(pieces, None)

    def steer(self, steering: Steering) -> None:
        """Pass on what was asked for since the last token: to answer now, hints."""
        if steering.take_answer_now():
            self._control.answer_now()
        for hint in steering.take_hints():
            self._control.hint(self._tokenizer.encode_text(f"\n\n{hint}\n\n"))

    def finish(self) -> list[Piece]:
        """The text held back, now that the reply is over."""
        return self._collect(self._splitter.finish())

    def reply(self, stats: Stats, logprobs: Sequence[TokenLogprob] | None) -> Reply:
        """The reply so far."""
        answer = "".join(piece.text for piece in self._pieces if isinstance(piece, AnswerText))
        whole = self.guard is not None and self.guard.is_whole
        return Reply(
            reasoning="".join(piece.text for piece in self._pieces if isinstance(piece, ReasoningText)),
            answer=answer,
            ending=self.ending,
            stats=stats,
            tool_calls=tuple(piece for piece in self._pieces if isinstance(piece, ToolCall)),
            logprobs=None if logprobs is None else tuple(logprobs),
            parsed=self._schema.parse(answer) if self._schema and whole else None,
        )

    def _collect(self, pieces: list[Piece]) -> list[Piece]:
        self._pieces += pieces
        return pieces


def _guard(tokenizer: Tokenizer, options: Options, *, thinking_open: bool) -> AnswerGuard | None:
    if options.schema is None:
        return None
    return AnswerGuard(
        tokenizer,
        options.schema,
        thinking=options.thought_limit != 0,
        thinking_open=thinking_open,
        tools=bool(options.tools),
    )


def _limits(
    options: Options, *, held: int, written: Sequence[int], context_length: int, guard: AnswerGuard | None
) -> Limits:
    """Limits of the tokens to come after `held` ones; `guard` takes note of those already written."""
    room = context_length - held
    if room < 1:
        raise ContextOverflow(
            f"The prompt has {held} tokens, the model takes {context_length} with its answer",
            "Shorten it, use smaller images, or start a new conversation.",
        )
    max_tokens = room if options.max_tokens is None else min(options.max_tokens, room)
    reserve = answer_reserve(max_tokens)
    if guard is not None:
        guard.limit(max_tokens + len(written))
        for token_id in written:
            guard.push(token_id)
        reserve = max(reserve, guard.reserve(max_tokens))
    return Limits(max_tokens=max_tokens, thinking_budget=options.thought_limit, answer_reserve=reserve)


def _readers(
    tokenizer: Tokenizer, limits: Limits, options: Options, *, thinking_open: bool
) -> tuple[Control, EventSplitter | TextThoughtSplitter]:
    """Control and splitter for thoughts marked by control tokens, or in the text."""
    special, landing = tokenizer.special, soft_landing(tokenizer)
    if tokenizer.thought_marks is ThoughtMarks.TEXT:
        control = Control(limits, special, landing=landing, tracker=TextSectionTracker(tokenizer))
        return control, TextThoughtSplitter(tokenizer, stop=options.stop)
    control = Control(limits, special, landing=landing, thinking_open=thinking_open)
    return control, EventSplitter(tokenizer, stop=options.stop, thinking_open=thinking_open)
