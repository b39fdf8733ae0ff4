"""Structured answers: the thought stays free, the answer follows a JSON schema and always ends.

The rules, for a reply with a schema:

1. Inside a thought everything may come but the end of the turn.
2. Outside, only what the schema's grammar allows; before the first token of the answer also [THINK], if the
   model shall think and did not yet, and [TOOL_CALLS], if it has tools. A tool call is free.
3. A complete answer that nothing may follow ends the turn at once.
4. At every token of the answer a closing is known: tokens that complete the value. A token after which no
   closing would fit into `max_tokens` is replaced by the first one of the closing known before it. So the
   answer is valid at its last token, wherever that comes.
"""

import json
from collections.abc import Iterator
from typing import cast

import mlx.core as mx
import numpy as np

from magistral_mlx.errors import UsageError
from magistral_mlx.events import Ending
from magistral_mlx.generation.decode.sampling import Sampler
from magistral_mlx.generation.reply.sections import Section, SectionTracker
from magistral_mlx.generation.structured.closing import Closer
from magistral_mlx.generation.structured.grammar import AnswerGrammar, unenforced_bound
from magistral_mlx.generation.structured.position import JsonPosition
from magistral_mlx.generation.structured.schema import AnswerSchema
from magistral_mlx.generation.structured.strictness import has_open_objects
from magistral_mlx.prompt.tokenizer import Tokenizer
from magistral_mlx.sanitize import sanitize_line

_LONGEST_SMALLEST_ANSWER = 4096
"""A schema whose smallest answer is longer, in tokens, is refused."""
_SOME = 64
_MOST_DRAWS = 32
"""Draws for one token; each leaves out those before it, from which no ending was found."""
_AROUND_A_THOUGHT = 2
"""[THINK] and [/THINK]."""


class AnswerGuard:
    """Keeps one reply to a schema; see the module's rules.

    Args:
        tokenizer: the checkpoint's.
        schema: what the answer must fulfil.
        thinking: the model may think before it answers.
        thinking_open: the prompt ends inside a thought.
        tools: the model may call tools instead.

    Raises:
        UsageError: the schema's smallest answer is too long, or the grammar is too complex.
    """

    def __init__(
        self, tokenizer: Tokenizer, schema: AnswerSchema, *, thinking: bool, thinking_open: bool, tools: bool
    ) -> None:
        self._special = tokenizer.special
        self._tokenizer = tokenizer
        self._tracker = SectionTracker(tokenizer.special, thinking_open=thinking_open)
        self._may_think = thinking and not thinking_open
        self._may_call = tools
        self._position = JsonPosition()
        self._closer = Closer(tokenizer, schema.text)
        self._has_open_objects = has_open_objects(json.loads(schema.text))
        self._begun = False
        self._left = self._pushed = 0
        self._looped = False
        self.cut_at: int | None = None
        """Tokens of the reply before the first one inserted to close the JSON; None: the model wrote all of
        them."""
        self.is_whole = False
        """The model ended its turn after a complete answer."""
        try:
            self._grammar = AnswerGrammar(tokenizer, schema.text)
            ending = self._closer.closing(self._grammar, self._position, most_tokens=_LONGEST_SMALLEST_ANSWER)
        except ValueError as error:
            raise UsageError(
                f"The schema can't be followed ({sanitize_line(str(error).partition('<state>')[0])[:200]})",
                "Simplify it: fewer nested alternatives.",
            ) from error
        if loose := unenforced_bound(tokenizer, json.loads(schema.text)):
            raise UsageError(
                f"The schema's {loose} can't be enforced", "Use minimum and maximum, which include the bound."
            )
        if ending is None:
            raise UsageError(
                f"No answer of less than {_LONGEST_SMALLEST_ANSWER:,} tokens was found for the schema",
                "Lower its minimum lengths and numbers of items, let nested parts be left out, or simplify "
                "its patterns.",
            )
        self._ending = ending
        self._tried: tuple[int, list[int] | None] | None = None

    @property
    def thinking(self) -> bool:
        """Whether the next token belongs to a thought."""
        return self._tracker.section is Section.REASONING

    def reserve(self, max_tokens: int) -> int:
        """Tokens of `max_tokens` kept from the thought: twice the smallest answer and 64 more if possible;
        at least the smallest answer and the end of the turn."""
        smallest = len(self._ending) + 1
        return max(smallest, min(2 * smallest + _SOME, max_tokens // 2))

    def limit(self, max_tokens: int) -> None:
        """Set the most tokens of the reply; once, before its first token.

        Raises:
            UsageError: the smallest answer does not fit.
        """
        needed = len(self._ending) + 1 + (_AROUND_A_THOUGHT if self._may_think or self.thinking else 0)
        if max_tokens < needed:
            raise UsageError(
                f"The smallest answer of this schema needs {needed} tokens, there is room for {max_tokens}",
                "Raise max_tokens, or shorten the prompt.",
            )
        self._left = max_tokens

    def push(self, token_id: int) -> None:
        """Take the next token, chosen or forced."""
        if self._tracker.section is Section.ANSWER and not self._tokenizer.is_control(token_id):
            ending = self._ending_after(token_id)
            self._grammar.push(token_id)
            self._position.push(self._tokenizer.token_bytes(token_id))
            self._begun, self._ending, self._tried = True, ending or [], None
        self.is_whole = token_id == self._special.eos and self._begun and self._grammar.accepts
        self._left -= 1
        self._pushed += 1
        self._tracker.push(token_id)
        self._may_think = self._may_think and not self.thinking

    def choose(self, logits: mx.array, sampler: Sampler) -> int:
        """The next token outside of a thought, from logits [1, vocab]."""
        if self._tracker.section is not Section.ANSWER:
            return cast("int", sampler(logits).item())
        if self._tracker.tool_calls:
            return self._special.eos
        if self._looped:
            return self._closing_token()
        mask = np.zeros(logits.shape[-1], np.bool_)
        mask[: self._tokenizer.vocab_size] = self._grammar.allowed()
        if self._begun and not mask.any():
            return self._special.eos
        for token_id, may in self._controls():
            mask[token_id] = may
        for _ in range(_MOST_DRAWS):
            masked = mx.where(mx.array(cast("mx.array", mask)), logits, -mx.inf)
            token_id = cast("int", sampler(masked).item())
            if self._tokenizer.is_control(token_id):
                return token_id
            escapes = self._has_open_objects and self._escapes_in_a_name(token_id)
            if not escapes and self._ending_after(token_id) is not None:
                return token_id
            if not escapes and self._left <= 2 * len(self._ending) + _SOME:
                break  # no room for it
            mask[token_id] = False
            if not mask.any():
                break
        if self.cut_at is None:
            self.cut_at = self._pushed
        return self._closing_token()

    def within_thought(self, logits: mx.array) -> mx.array:
        """Logits [1, vocab] without the end of the turn."""
        return mx.where(mx.arange(logits.shape[-1]) == self._special.eos, -mx.inf, logits)

    def ending(self, ending: Ending | None) -> Ending | None:
        """The ending of the reply, given that of its limits.

        A loop inside the answer does not end it at once: the answer is closed first. An answer closed for
        lack of room is valid but counts as cut off.
        """
        if ending is Ending.LOOP and self._tracker.section is Section.ANSWER:
            self._looped = True
            return None
        if ending is Ending.COMPLETE and self._looped:
            return Ending.LOOP
        was_cut = ending is Ending.COMPLETE and self.cut_at is not None
        return Ending.CUT_IN_ANSWER if was_cut else ending

    def _controls(self) -> Iterator[tuple[int, bool]]:
        yield self._special.eos, self._begun and self._grammar.accepts
        if self._special.think is not None:
            yield self._special.think, self._may_think and not self._begun
        if self._special.tool_calls is not None:
            yield self._special.tool_calls, self._may_call and not self._begun

    def _closing_token(self) -> int:
        return self._ending[0] if self._ending else self._special.eos

    def _escapes_in_a_name(self, token_id: int) -> bool:
        """Tell whether the token spells part of a property's name as an escape: `"\\u0061"` is "a" too, and
        would get past the schema of "a"."""
        position = self._position.copy()
        for byte in self._tokenizer.token_bytes(token_id):
            position.push(bytes([byte]))
            if position.escaped and position.is_key:
                return True
        return False

    def _ending_after(self, token_id: int) -> list[int] | None:
        """Ids that end the answer in time after this token; None if none do."""
        most = self._left - 2  # this token, and the end of the turn
        if self._ending and self._ending[0] == token_id and len(self._ending) - 1 <= most:
            return self._ending[1:]
        if len(self._ending) <= most and self._grammar.takes([token_id, *self._ending]):
            return self._ending
        if self._tried is None or self._tried[0] != token_id:
            trial, position = self._grammar.fork(), self._position.copy()
            trial.push(token_id)
            position.push(self._tokenizer.token_bytes(token_id))
            self._tried = (token_id, self._closer.closing(trial, position, most_tokens=most))
        return self._tried[1]
