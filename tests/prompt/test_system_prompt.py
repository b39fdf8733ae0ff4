import pytest

from magistral_mlx.errors import CheckpointError
from magistral_mlx.prompt.system_prompt import ReasoningPrompt
from support.tekken import SYSTEM_PROMPT


def test_splits_at_its_thought_and_keeps_every_character() -> None:
    text = "# HOW\n\nfirst:[THINK]draft\n[/THINK] Here.\n"
    prompt = ReasoningPrompt.parse(text)
    assert (prompt.before, prompt.thinking, prompt.after) == ("# HOW\n\nfirst:", "draft\n", " Here.\n")
    assert prompt.text == text


def test_parts_around_the_thought_may_be_empty() -> None:
    assert ReasoningPrompt.parse("[THINK]x[/THINK]") == ReasoningPrompt(before="", thinking="x", after="")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Think first.",
        "[THINK]never closed",
        "[/THINK]closed before[THINK]",
        "[THINK]a[/THINK][THINK]b[/THINK]",
        "[THINK]a[THINK]b[/THINK]",
        "[THINK]a[/THINK]b[/THINK]",
        "[think]a[/think]",
    ],
)
def test_anything_but_one_thought_is_refused_with_the_counts(text: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        ReasoningPrompt.parse(text, file="/models/x/SYSTEM_PROMPT.txt")
    assert "/models/x/SYSTEM_PROMPT.txt" in caught.value.problem
    assert f"{text.count('[THINK]')} [THINK] and {text.count('[/THINK]')} [/THINK]" in caught.value.problem
    assert "convert the model again" in caught.value.remedy


def test_the_prompt_of_the_test_support_is_of_this_form() -> None:
    assert ReasoningPrompt.parse(SYSTEM_PROMPT).thinking == "Your draft goes here."
