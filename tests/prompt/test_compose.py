"""What is said to the model: the reasoning prompt (request R1), earlier thoughts, images, tools."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mistral_common.protocol.instruct.chunk import ImageChunk, TextChunk, ThinkChunk
from mistral_common.protocol.instruct.messages import (
    AssistantMessage,
    SystemMessage,
    ToolMessage,
    UserMessage,
)
from mistral_common.tokens.tokenizers.base import SpecialTokenPolicy
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
from PIL import Image

from magistral_mlx.errors import ImageError, PromptError
from magistral_mlx.prompt.chat import compose, encode
from magistral_mlx.prompt.system_prompt import ReasoningPrompt
from magistral_mlx.prompt.tokenizer import Tokenizer
from magistral_mlx.prompt.turns import AssistantTurn, ToolTurn, Turn, UserTurn

QUESTION = UserTurn("Why?")
SYSTEM = "Think before you answer.[THINK]Your draft goes here.[/THINK]Here, give the answer."
"""As `rendered` shows the reasoning prompt of the test support."""


@dataclass(frozen=True)
class Call:
    name: str
    arguments: str


class Composer:
    """compose and encode, rendered back with control tokens spelled out."""

    def __init__(self, tokenizer: Tokenizer, reference: MistralTokenizer, prompt: ReasoningPrompt) -> None:
        self.tokenizer, self.reference, self.prompt = tokenizer, reference, prompt

    def __call__(
        self, *turns: Turn, system: str | None = None, thinking: bool = True, keep: bool = True
    ) -> str:
        messages = compose(
            turns, system=system, system_prompt=self.prompt, thinking=thinking, keep_reasoning=keep
        )
        self.ids = list(encode(self.tokenizer, messages).token_ids)
        return self.reference.decode(self.ids, special_token_policy=SpecialTokenPolicy.KEEP)


@pytest.fixture(scope="session")
def rendered(
    tokenizer: Tokenizer, reference: MistralTokenizer, reasoning_prompt: ReasoningPrompt
) -> Composer:
    return Composer(tokenizer, reference, reasoning_prompt)


def test_the_reasoning_prompt_is_there(rendered: Composer) -> None:
    assert rendered(QUESTION) == f"<s>[SYSTEM_PROMPT]{SYSTEM}[/SYSTEM_PROMPT][INST]Why?[/INST]"


def test_a_users_system_text_stands_before_it_and_never_replaces_it(rendered: Composer) -> None:
    text = rendered(QUESTION, system="You are terse.\n")
    assert text == f"<s>[SYSTEM_PROMPT]You are terse.\n\n{SYSTEM}[/SYSTEM_PROMPT][INST]Why?[/INST]"


@pytest.mark.parametrize("blank", [None, "", " \n"])
def test_a_blank_system_text_is_none(rendered: Composer, blank: str | None) -> None:
    assert rendered(QUESTION, system=blank) == rendered(QUESTION)
    assert rendered(QUESTION, system=blank, thinking=False) == "<s>[INST]Why?[/INST][THINK][/THINK]"


@given(
    system=st.one_of(st.none(), st.text(), st.sampled_from([SYSTEM, "x [THINK] y [/THINK]", "long " * 2000])),
    question=st.text(min_size=1).filter(str.strip),
    answer=st.text(),
)
def test_the_thought_of_the_prompt_is_there_exactly_once(
    rendered: Composer, system: str | None, question: str, answer: str
) -> None:
    rendered(UserTurn(question), AssistantTurn("", answer), QUESTION, system=system)
    ids, special = rendered.ids, rendered.tokenizer.special
    assert (ids.count(17), ids.count(18)) == (1, 1)
    assert (ids.count(special.think), ids.count(special.end_think)) == (1, 1)


def test_a_reasoning_prompt_pasted_as_system_text_is_not_doubled(rendered: Composer) -> None:
    assert rendered(QUESTION, system=f"{SYSTEM}\n") == rendered(QUESTION)
    assert rendered(QUESTION, system=f"Be brief.\n\n{SYSTEM}") == rendered(QUESTION, system="Be brief.")


def test_without_thinking_only_the_users_text_and_an_empty_closed_thought(rendered: Composer) -> None:
    text = rendered(QUESTION, system="You are terse.", thinking=False)
    assert text == "<s>[SYSTEM_PROMPT]You are terse.[/SYSTEM_PROMPT][INST]Why?[/INST][THINK][/THINK]"
    assert rendered.ids[-2:] == [34, 35]


def test_earlier_thoughts_are_kept(rendered: Composer) -> None:
    text = rendered(QUESTION, AssistantTurn("because of x", "X."), UserTurn("Sure?"))
    assert text.endswith("[INST]Why?[/INST][THINK]because of x[/THINK]X.</s>[INST]Sure?[/INST]")


def test_the_history_only_grows_at_its_end(rendered: Composer) -> None:
    rendered(QUESTION)
    first = rendered.ids
    rendered(QUESTION, AssistantTurn("because", "X."), UserTurn("Sure?"))
    assert rendered.ids[: len(first)] == first


def test_earlier_thoughts_can_be_dropped(rendered: Composer) -> None:
    text = rendered(QUESTION, AssistantTurn("because of x", "X."), UserTurn("Sure?"), keep=False)
    assert text.endswith("[INST]Why?[/INST]X.</s>[INST]Sure?[/INST]")


def test_a_thought_that_was_cut_off_is_closed(rendered: Composer) -> None:
    text = rendered(QUESTION, AssistantTurn("because of", ""), UserTurn("Go on."))
    assert text.endswith("[THINK]because of[/THINK]</s>[INST]Go on.[/INST]")


def test_an_empty_thought_leaves_no_trace(rendered: Composer) -> None:
    text = rendered(QUESTION, AssistantTurn("", "X."), UserTurn("Sure?"))
    assert text.endswith("[INST]Why?[/INST]X.</s>[INST]Sure?[/INST]")


def test_a_turn_in_which_nothing_was_said_is_left_out(rendered: Composer) -> None:
    text = rendered(QUESTION, AssistantTurn("", ""), UserTurn("Hello?"))
    assert text.endswith("[INST]Why?\n\nHello?[/INST]")


def test_images_stand_before_the_text(reasoning_prompt: ReasoningPrompt) -> None:
    images = (Image.new("RGB", (3, 3)), Image.new("RGB", (4, 4)))
    messages = compose(
        [UserTurn("Compare.", images)], system=None, system_prompt=reasoning_prompt, thinking=True
    )
    assert [type(message) for message in messages] == [SystemMessage, UserMessage]
    content = messages[1].content
    assert isinstance(content, list)
    assert [type(chunk) for chunk in content] == [ImageChunk, ImageChunk, TextChunk]


def test_an_image_needs_no_words(rendered: Composer) -> None:
    text = rendered(UserTurn("", (Image.new("RGB", (56, 28)),)))
    assert text.endswith("[INST][IMG][IMG][IMG_END][/INST]")


def test_tool_calls_and_results_round_trip(rendered: Composer) -> None:
    calls = (Call("time", '{"zone":"ü"}'), Call("dice", "{}"))
    text = rendered(
        QUESTION, AssistantTurn("I need tools", "", calls), ToolTurn("dice", "4"), ToolTurn("time", "noon")
    )
    assert text.endswith(
        '[THINK]I need tools[/THINK][TOOL_CALLS]time[ARGS]{"zone": "ü"}[TOOL_CALLS]dice[ARGS]{}</s>'
        "[TOOL_RESULTS]noon[/TOOL_RESULTS][TOOL_RESULTS]4[/TOOL_RESULTS]"
    )


def test_two_calls_of_one_tool_take_their_results_in_order(rendered: Composer) -> None:
    calls = (Call("dice", "{}"), Call("dice", "{}"))
    text = rendered(QUESTION, AssistantTurn("", "", calls), ToolTurn("dice", "1"), ToolTurn("dice", "2"))
    assert text.endswith("[TOOL_RESULTS]1[/TOOL_RESULTS][TOOL_RESULTS]2[/TOOL_RESULTS]")


def test_several_rounds_of_tools(rendered: Composer) -> None:
    call = (Call("dice", "{}"),)
    turns = [QUESTION, AssistantTurn("a", "", call), ToolTurn("dice", "1"), AssistantTurn("b", "", call)]
    text = rendered(*turns, ToolTurn("dice", "2"), AssistantTurn("", "3."), UserTurn("Thanks."))
    assert text.endswith("[TOOL_RESULTS]2[/TOOL_RESULTS]3.</s>[INST]Thanks.[/INST]")


def test_messages_are_mistral_commons_own_classes(reasoning_prompt: ReasoningPrompt) -> None:
    turns = [QUESTION, AssistantTurn("r", "a", (Call("f", "{}"),)), ToolTurn("f", "1")]
    messages = compose(turns, system=None, system_prompt=reasoning_prompt, thinking=False)
    kinds = [UserMessage, AssistantMessage, ToolMessage, AssistantMessage]
    assert [type(message) for message in messages] == kinds
    assert messages[-1] == AssistantMessage(content=[ThinkChunk(thinking="", closed=True)], prefix=True)


def refused(*turns: Turn, prompt: ReasoningPrompt | None = None, thinking: bool = False) -> PromptError:
    with pytest.raises(PromptError) as caught:
        compose(turns, system=None, system_prompt=prompt, thinking=thinking)
    assert caught.value.remedy
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("question", ["", " ", "\n\t"])
def test_an_empty_question_is_refused(question: str) -> None:
    assert "question is empty" in refused(UserTurn(question)).problem


def test_no_turns_and_no_question_are_refused() -> None:
    assert "no question" in refused().problem
    assert "no question" in refused(QUESTION, AssistantTurn("", "A.")).problem


def test_thinking_without_the_reasoning_prompt_is_refused_not_ignored() -> None:
    error = refused(QUESTION, thinking=True)
    assert "SYSTEM_PROMPT.txt" in error.problem
    assert "thinking switched off" in error.remedy


@pytest.mark.parametrize(
    "turns",
    [
        [QUESTION, ToolTurn("f", "1")],
        [QUESTION, AssistantTurn("", "", (Call("f", "{}"),)), ToolTurn("g", "1")],
        [QUESTION, AssistantTurn("", "", (Call("f", "{}"),)), ToolTurn("f", "1"), ToolTurn("f", "2")],
    ],
)
def test_a_tool_result_without_its_call_is_refused(turns: list[Turn]) -> None:
    assert "answers no call" in refused(*turns).problem


def test_a_result_that_is_still_missing_is_refused() -> None:
    calls = (Call("f", "{}"), Call("g", "{}"))
    error = refused(QUESTION, AssistantTurn("", "", calls), ToolTurn("g", "1"))
    assert "2 tools were called, 1 gave results" in error.problem


def test_calls_that_never_got_a_result_do_not_spoil_the_conversation(rendered: Composer) -> None:
    calls = (Call("not a name!", "{}"), Call("dice", "{}"))
    turns = [QUESTION, AssistantTurn("r", "a", calls), ToolTurn("dice", "4"), UserTurn("Well?")]
    turns += [AssistantTurn("", "", calls), UserTurn("Still there?"), AssistantTurn("", "Yes."), QUESTION]
    assert rendered(*turns, thinking=False) == (
        "<s>[INST]Why?[/INST][THINK]r[/THINK]a[TOOL_CALLS]dice[ARGS]{}</s>[TOOL_RESULTS]4[/TOOL_RESULTS]"
        "[INST]Well?\n\nStill there?[/INST]Yes.</s>[INST]Why?[/INST][THINK][/THINK]"
    )


def test_an_unreadable_image_is_an_image_error() -> None:
    assert isinstance(refused(UserTurn("?", ("/no/such/picture.png",))), ImageError)
