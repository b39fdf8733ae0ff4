"""Text to ids and ids to text, by mistral-common from the checkpoint's own tekken.json.

mistral-common's parts are put together by hand instead of by `MistralTokenizer.from_file`, so that
config.json decides the image geometry, images are read by our loader only, and nothing of the Hugging
Face hub is imported. Importing this module takes about a second; loading the full tekken.json (131,072 ids)
another one, so load it once.
"""

import codecs
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mistral_common.tokens.tokenizers.base import SpecialTokenPolicy, TokenizerVersion
from mistral_common.tokens.tokenizers.image import ImageConfig
from mistral_common.tokens.tokenizers.tekken import Tekkenizer

from magistral_mlx.errors import CheckpointError, PromptError
from magistral_mlx.machine.defects import is_panic
from magistral_mlx.prompt.image_files import shown_path
from magistral_mlx.prompt.images import ImageGeometry
from magistral_mlx.prompt.system_prompt import ThoughtMarks
from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.storage.units import format_disk

if TYPE_CHECKING:
    from magistral_mlx.prompt.turns import Message, PreparedPrompt

MAX_BYTES = 64_000_000
"""Bytes of the largest tokenizer file; Magistral's has 19 MB. Reading one takes 25 times as much memory."""

_REMEDY = "Copy tekken.json from the original model into the folder, or convert the model again."


@dataclass(frozen=True)
class SpecialIds:
    """Ids of control tokens, looked up by name; None where the checkpoint has none of that name."""

    bos: int
    eos: int
    pad: int | None
    inst: int | None
    end_inst: int | None
    system_prompt: int | None
    end_system_prompt: int | None
    image: int | None
    image_break: int | None
    image_end: int | None
    think: int | None
    end_think: int | None
    tool_calls: int | None
    args: int | None
    call_id: int | None
    available_tools: int | None
    end_available_tools: int | None
    tool_results: int | None
    end_tool_results: int | None


_SPELLINGS = {
    "pad": "<pad>",
    "inst": "[INST]",
    "end_inst": "[/INST]",
    "system_prompt": "[SYSTEM_PROMPT]",
    "end_system_prompt": "[/SYSTEM_PROMPT]",
    "image": "[IMG]",
    "image_break": "[IMG_BREAK]",
    "image_end": "[IMG_END]",
    "think": "[THINK]",
    "end_think": "[/THINK]",
    "tool_calls": "[TOOL_CALLS]",
    "args": "[ARGS]",
    "call_id": "[CALL_ID]",
    "available_tools": "[AVAILABLE_TOOLS]",
    "end_available_tools": "[/AVAILABLE_TOOLS]",
    "tool_results": "[TOOL_RESULTS]",
    "end_tool_results": "[/TOOL_RESULTS]",
}


class Tokenizer:
    """The tokenizer of one checkpoint; safe to use from several threads, as it never changes."""

    def __init__(self, tekken: Tekkenizer, geometry: ImageGeometry | None) -> None:
        from magistral_mlx.prompt.encoding import MessageEncoder

        self._tekken = tekken
        self._encoder = MessageEncoder(tekken, geometry)
        self.geometry = geometry
        self.vocab_size: int = tekken.n_words
        ids = {
            field: tekken.get_special_token(spelling) if tekken.is_special(spelling) else None
            for field, spelling in _SPELLINGS.items()
        }
        self.special = SpecialIds(bos=tekken.bos_id, eos=tekken.eos_id, **ids)
        has_tokens = self.special.think is not None and tekken.version is TokenizerVersion.v13
        self.thought_marks = ThoughtMarks.TOKENS if has_tokens else ThoughtMarks.TEXT
        """Marks of the model's reasoning."""

    @classmethod
    def from_file(cls, path: Path, geometry: ImageGeometry | None) -> "Tokenizer":
        """Load a tekken.json of a Magistral (version 13; 1.0 has an older one), without network.

        Args:
            path: the file.
            geometry: the image geometry of config.json; None for a checkpoint that cannot see, whose
                tokenizer then refuses images.

        Raises:
            CheckpointError: the file is missing, damaged, of another kind or version, or its image section
                contradicts `geometry`.
        """
        tekken = _load(path)
        if geometry is not None and tekken.image is not None:
            _check_geometry(tekken.image, geometry, path)
        try:
            return cls(tekken, geometry)
        # mistral-common looks the control tokens of the chat format up by name.
        except (AssertionError, ValueError) as error:
            raise CheckpointError(
                f"{shown_path(str(path))} lacks a control token of the chat format ({_detail(error)})",
                _REMEDY,
            ) from error

    def encode_text(self, text: str) -> list[int]:
        """Return the ids of `text` as ordinary tokens: text that spells a control token stays text.

        Raises:
            PromptError: a text that the tokenizer cannot split, such as a million blanks in a row.
        """
        try:
            with panics_as_value_errors():
                return self._tekken.encode(text, bos=False, eos=False)
        except ValueError as error:
            raise PromptError(
                f"The text cannot be split into tokens ({_detail(error)})",
                "Shorten very long runs of blanks or line breaks in it.",
            ) from error

    def encode_messages(
        self, messages: "Sequence[Message]", *, tools: "Sequence[Any | Mapping[str, Any]]" = ()
    ) -> "PreparedPrompt":
        """As `prompt.chat.encode`, which is the way to call it."""
        return self._encoder.encode(messages, tools)

    def token_bytes(self, token_id: int) -> bytes:
        """Return the bytes of a token, often not whole characters.

        b"" for control tokens, and for ids beyond the vocabulary: an output layer padded to a round size
        can produce such ids, and a stream must survive them.
        """
        if not 0 <= token_id < self.vocab_size:
            return b""
        return self._tekken.id_to_byte_piece(token_id, SpecialTokenPolicy.IGNORE)

    def is_control(self, token_id: int) -> bool:
        """Tell whether the id is a control token (or one of their unnamed fillers)."""
        return self._tekken.is_special(token_id)


class TextDecoder:
    """Ids to text, token by token: gives whole characters only and holds back the start of one.

    The pieces joined equal mistral-common's decoding of all ids at once. Bytes that are no UTF-8 become
    U+FFFD; a control token ends what was held back, and gives no text itself.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_id: int) -> str:
        """Return the text that this token completes; often "" and never half a character."""
        if self._tokenizer.is_control(token_id):
            return self.flush()
        return self._decoder.decode(self._tokenizer.token_bytes(token_id))

    def flush(self) -> str:
        """Return the held-back bytes as U+FFFD and reset the decoder."""
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return rest


@contextmanager
def panics_as_value_errors() -> Generator[None]:
    """Turn a panic of tiktoken, which is no `Exception`, into a ValueError."""
    try:
        yield
    except BaseException as error:
        if is_panic(error):
            raise ValueError(f"the tokenizer panicked: {error}") from error
        raise


def _load(path: Path) -> Tekkenizer:
    name = shown_path(str(path))
    if not path.is_file():
        raise CheckpointError(f"There is no tokenizer file {name}", _REMEDY)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CheckpointError(
                f"{name} is larger than {format_disk(MAX_BYTES)}, so it is no tokenizer of Magistral", _REMEDY
            )
        with panics_as_value_errors():
            tekken = Tekkenizer.from_file(path)
            tekken.encode("Two words, 3 kinds.", bos=False, eos=False)  # a bad pattern fails here only
    except OSError as error:
        raise CheckpointError(
            f"{name} cannot be read ({_detail(error)})", "Check the file's permissions."
        ) from error
    # What a file of another kind or a damaged one meets on its way through mistral-common: it checks by
    # assertions, looks keys up and calls base64, JSON and tiktoken.
    except (AssertionError, AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{name} is not a Tekken tokenizer, or is damaged ({_detail(error)})", _REMEDY
        ) from error
    from magistral_mlx.prompt.encoding import INSTRUCT

    if tekken.version not in INSTRUCT:
        raise CheckpointError(
            f"{name} has version {tekken.version.value}; Magistral Small has v13, or v7 or v11 in 1.0",
            "Use a model folder of Magistral Small, such as 1.2 (2509).",
        )
    return tekken


def _detail(error: Exception) -> str:
    text = sanitize_line(str(error))[:100].strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _check_geometry(section: ImageConfig, geometry: ImageGeometry, path: Path) -> None:
    for theirs, ours, key in (
        (section.image_patch_size, geometry.patch_size, "patch_size"),
        (section.max_image_size, geometry.longest_edge, "image_size"),
        (section.spatial_merge_size, geometry.spatial_merge_size, "spatial_merge_size"),
    ):
        if theirs != ours:
            raise CheckpointError(
                f"config.json says {key} {ours}, the image section of {shown_path(str(path))} says {theirs}",
                "Take both files from the same model.",
            )
