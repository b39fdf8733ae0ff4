"""Thoughts marked in the text: the same pieces however the text falls into tokens, and limits on them."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.events import AnswerText, Ending, ReasoningText
from magistral_mlx.generation.reply.limits import Control, Limits, Verdict, soft_landing
from magistral_mlx.generation.reply.sections import Section
from magistral_mlx.generation.reply.text_marks import TextMarks, TextSectionTracker, TextThoughtSplitter
from magistral_mlx.prompt.system_prompt import ThoughtMarks
from magistral_mlx.prompt.tokenizer import Tokenizer
from support.predecessors import write_predecessor

EOS = 2


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """The tokenizer of a Magistral Small 1.0."""
    folder = write_predecessor(tmp_path_factory.mktemp("old"), release="1.0")
    return Tokenizer.from_file(folder / "tekken.json", None)


def split(pieces: Sequence[str]) -> tuple[str, str]:
    """Thought and answer of a reply that comes in these pieces."""
    marks = TextMarks()
    parts = [part for piece in pieces for part in marks.push(piece)] + marks.flush()
    assert all(text for _, text in parts)
    return tuple(  # type: ignore[return-value]  # two of them
        "".join(text for section, text in parts if section is wanted)
        for wanted in (Section.REASONING, Section.ANSWER)
    )


REPLIES = {
    "<think>\nFour and three.\n</think>\nIt is **7**.": ("Four and three.", "It is **7**."),
    "<think>a</think>b": ("a", "b"),
    "\n<think>\n\na\n\nb\n</think>\n\n  b\n": ("a\n\nb", "  b\n"),
    "<think>\n</think>\nb": ("", "b"),
    "No thought, but <think>a tag</think>.": ("", "No thought, but <think>a tag</think>."),
    "<thin air>": ("", "<thin air>"),
    "<think>a </thing> b</think>c</think>d": ("a </thing> b", "c</think>d"),
    "<think>never closed </thi": ("never closed </thi", ""),
    "<think>": ("", ""),
    "": ("", ""),
    "\n\nJust text": ("", "Just text"),
}


@pytest.mark.parametrize("reply", REPLIES)
def test_replies(reply: str) -> None:
    assert split([reply]) == REPLIES[reply]
    assert split(list(reply)) == REPLIES[reply]


@given(st.text(alphabet="<think/>ab \n", max_size=60), st.data())
def test_it_does_not_matter_how_the_text_is_cut(tail: str, data: st.DataObject) -> None:
    reply = data.draw(st.sampled_from(["", "<think>", "<think>x</think>"])) + tail
    cuts = sorted(data.draw(st.lists(st.integers(0, len(reply)), max_size=8)))
    pieces = [reply[a:b] for a, b in zip([0, *cuts], [*cuts, len(reply)], strict=True)]
    assert split(pieces) == split([reply])


def test_the_tokenizer_knows_how_thoughts_are_marked(old: Tokenizer, tokenizer: Tokenizer) -> None:
    assert old.thought_marks is ThoughtMarks.TEXT
    assert tokenizer.thought_marks is ThoughtMarks.TOKENS


@pytest.mark.parametrize("reply", [reply for reply in REPLIES if "thi" not in reply[-4:]])
def test_tokens_of_a_reply_become_events(old: Tokenizer, reply: str) -> None:
    splitter = TextThoughtSplitter(old)
    ids = old.encode_text(reply)
    pieces = [piece for token_id in [*ids, EOS, 300] for piece in splitter.push(token_id)]
    assert splitter.finish() == []
    thought = "".join(piece.text for piece in pieces if isinstance(piece, ReasoningText))
    answer = "".join(piece.text for piece in pieces if isinstance(piece, AnswerText))
    assert (thought, answer) == REPLIES[reply]
    assert splitter.reasoning_tokens + splitter.answer_tokens == len(ids)


def test_a_stop_string_counts_in_the_answer_only(old: Tokenizer) -> None:
    splitter = TextThoughtSplitter(old, stop=["seven"])
    ids = old.encode_text("<think>\nseven?\n</think>\nIt is seven indeed")
    pieces = [piece for token_id in ids for piece in splitter.push(token_id)]
    assert splitter.stopped
    assert "".join(piece.text for piece in pieces if isinstance(piece, AnswerText)) == "It is "
    assert "".join(piece.text for piece in pieces if isinstance(piece, ReasoningText)) == "seven?"


def generate(tokenizer: Tokenizer, reply: str, limits: Limits) -> tuple[list[int], Ending | None]:
    """What comes of a model that wants to write `reply`; what is forced comes instead of its next tokens."""
    tracker = TextSectionTracker(tokenizer)
    control = Control(limits, tokenizer.special, landing=soft_landing(tokenizer), tracker=tracker)
    wanted, written = [*tokenizer.encode_text(reply), EOS], list[int]()
    forced: list[int] = []
    while True:
        token_id = forced.pop(0) if forced else wanted.pop(0)
        written.append(token_id)
        verdict: Verdict = control.push(token_id)
        if verdict.ending is not None:
            return written, verdict.ending
        if verdict.forced:
            forced += verdict.forced
        if verdict.forced or forced:
            wanted = [*tokenizer.encode_text("So: 7."), EOS]


def text_of(tokenizer: Tokenizer, ids: Sequence[int]) -> tuple[str, str]:
    splitter = TextThoughtSplitter(tokenizer)
    pieces = [piece for token_id in ids for piece in splitter.push(token_id)] + splitter.finish()
    return (
        "".join(piece.text for piece in pieces if isinstance(piece, ReasoningText)),
        "".join(piece.text for piece in pieces if isinstance(piece, AnswerText)),
    )


@pytest.mark.parametrize("budget", range(1, 30))
def test_a_thinking_budget_closes_the_thought_once(old: Tokenizer, budget: int) -> None:
    reply = "<think>\n" + "one two three four five six seven eight nine ten " * 3 + "\n</think>\nIt is 7."
    written, ending = generate(old, reply, Limits(max_tokens=400, thinking_budget=budget))
    assert ending is Ending.COMPLETE
    thought, answer = text_of(old, written)
    assert answer == "So: 7."
    assert "think" not in thought
    assert len(old.encode_text(thought)) <= budget + 1


def test_an_endless_thought_still_leaves_the_reserve(old: Tokenizer) -> None:
    reply = "<think>\n" + "".join(f"{number}, " for number in range(400))
    written, ending = generate(old, reply, Limits(max_tokens=100, answer_reserve=25))
    assert ending is Ending.COMPLETE
    assert text_of(old, written)[1] == "So: 7."


def test_cut_in_the_thought_is_said(old: Tokenizer) -> None:
    _, ending = generate(old, "<think>\n" + "a b c d " * 20, Limits(max_tokens=20))
    assert ending is Ending.CUT_IN_REASONING


def test_the_tokenizer_of_1_0_is_no_v13(tmp_path: Path) -> None:
    folder = write_predecessor(tmp_path, release="1.0")
    assert json.loads((folder / "tekken.json").read_text())["config"]["version"] == "v7"
