"""JSON schemas as masks over the tokenizer's ids; the only module that imports llguidance.

Answers are written with the separators of `json.dumps` (", " and ": ") and no other blanks outside of
strings: the form in which mistral-common writes JSON for the model, and one in which nothing can be padded
without end.
"""

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

if TYPE_CHECKING:
    from magistral_mlx.prompt.tokenizer import Tokenizer

_FORM: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}

_EXCLUSIVE = frozenset({"exclusiveMinimum", "exclusiveMaximum"})
_BOUNDS = frozenset({"minimum", "maximum"}) | _EXCLUSIVE

Mask = npt.NDArray[np.bool_]
"""[vocab]: which ids may come next."""


def grammar_problem(schema: str) -> str:
    """The reason why a JSON schema has no grammar, or ""."""
    try:
        grammar = LLMatcher.grammar_from_json_schema(schema, overrides=_FORM)
    except ValueError as error:
        return str(error)
    failed, messages = LLMatcher.validate_grammar_with_warnings(grammar)
    return (messages or ["it is not understood"])[0] if failed else ""


class _Vocabulary:
    """A tokenizer for llguidance; mistral-common's own adapter would import the hub client."""

    def __init__(self, tokenizer: "Tokenizer") -> None:
        self._tokenizer = tokenizer
        self.eos_token_id = tokenizer.special.eos
        self.bos_token_id = tokenizer.special.bos
        ids = range(tokenizer.vocab_size)
        self.special_token_ids = [token_id for token_id in ids if tokenizer.is_control(token_id)]
        special = set(self.special_token_ids)
        self.tokens = [
            f"<SPECIAL_{token_id}>".encode() if token_id in special else tokenizer.token_bytes(token_id)
            for token_id in ids
        ]

    def __call__(self, text: str) -> list[int]:
        return self._tokenizer.encode_text(text)


_tokenizers: "WeakKeyDictionary[Tokenizer, LLTokenizer]" = WeakKeyDictionary()


def _adapted(tokenizer: "Tokenizer") -> LLTokenizer:
    """Made once per tokenizer: two seconds for 131,072 ids."""
    if tokenizer not in _tokenizers:
        _tokenizers[tokenizer] = LLTokenizer(TokenizerWrapper(_Vocabulary(tokenizer)))
    return _tokenizers[tokenizer]


@lru_cache(maxsize=8)
def _compiled(schema: str) -> str:
    return LLMatcher.grammar_from_json_schema(schema, overrides=_FORM)


def unenforced_bound(tokenizer: "Tokenizer", schema: object) -> str:
    """Names an exclusive bound somewhere in a schema that llguidance lets through, or gives "".

    Seen in 1.9.1 for an exclusive bound of 0 beside another bound under 1.
    """
    if isinstance(schema, list):
        parts = cast("list[object]", schema)
    elif isinstance(schema, dict):
        own = cast("dict[str, object]", schema)
        bounds = {
            key: value for key, value in own.items() if key in _BOUNDS and isinstance(value, int | float)
        }
        text = json.dumps({"type": "number", **bounds})
        for key in sorted(_EXCLUSIVE & bounds.keys()):
            bound = tokenizer.encode_text(json.dumps(bounds[key]))
            if not grammar_problem(text) and AnswerGrammar(tokenizer, text).takes(bound):
                return f"{key} {bounds[key]}"
        parts = list(own.values())
    else:
        return ""
    return next((found for part in parts if (found := unenforced_bound(tokenizer, part))), "")


class AnswerGrammar:
    """Follows one answer token by token.

    Args:
        tokenizer: the checkpoint's.
        schema: JSON schema as text that `grammar_problem` finds nothing wrong with.

    Raises:
        ValueError: the schema is impossible after all, or too complex to follow.
    """

    def __init__(self, tokenizer: "Tokenizer", schema: str, *, matcher: LLMatcher | None = None) -> None:
        self._tokenizer = tokenizer
        self._schema = schema
        self._ll = _adapted(tokenizer)
        self._matcher = matcher or LLMatcher(self._ll, _compiled(schema), log_level=0)
        self._must_be_sound()

    def fork(self) -> "AnswerGrammar":
        """A copy to try tokens on; takes a microsecond."""
        return AnswerGrammar(self._tokenizer, self._schema, matcher=self._matcher.deep_copy())

    @property
    def accepts(self) -> bool:
        """Whether the answer so far is a complete value."""
        return self._matcher.is_accepting()

    def allowed(self) -> Mask:
        """[vocab] of the tokenizer: which ids may come next; never a control token."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        self._must_be_sound()
        mask = np.unpackbits(bits, bitorder="little")[: self._tokenizer.vocab_size].astype(np.bool_)
        mask[self._tokenizer.special.eos] = False
        return mask

    def push(self, token_id: int) -> None:
        """Take a token that `allowed` allows.

        Raises:
            ValueError: it is not allowed.
        """
        self._matcher.consume_token(token_id)
        self._must_be_sound()

    def advance(self, token_ids: list[int]) -> bool:
        """Take tokens, if all of them may come next in this order; else the state is of no more use."""
        return self._matcher.try_consume_tokens(token_ids) == len(token_ids)

    def takes(self, token_ids: list[int]) -> bool:
        """Whether these tokens may come next, in this order, and make the answer complete."""
        trial = self._matcher.deep_copy()
        return trial.try_consume_tokens(token_ids) == len(token_ids) and trial.is_accepting()

    def forced_bytes(self) -> bytes:
        """Bytes that must come next; often none."""
        return self._matcher.compute_ff_bytes()

    def tokens_of(self, text: bytes) -> list[int]:
        """Token ids of bytes, the longest first; need not be whole characters."""
        return list(self._ll.tokenize_bytes(text))

    def _must_be_sound(self) -> None:
        if self._matcher.is_error():
            raise ValueError(self._matcher.get_error())
