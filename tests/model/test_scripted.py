"""The scripted checkpoints that other tests build on say what they were told, in every form they come in."""

from pathlib import Path

import mlx.core as mx
import pytest

from magistral_mlx.checkpoint.folder import open_checkpoint
from magistral_mlx.model.loading import load_model
from magistral_mlx.prompt.tokenizer import Tokenizer
from magistral_mlx_convert import convert
from support.scripted import (
    ARGS,
    END_INSTRUCTION,
    END_THINK,
    END_TOOL_RESULTS,
    EOS,
    THINK,
    TOOL_CALLS,
    Script,
    counting,
    write_scripted_checkpoint,
)


def spoken(source: Path, *, after: int = END_INSTRUCTION, bits: int = 4, most: int = 60) -> str:
    """What the converted model writes after a prompt that ends with `after`; control tokens as {id}."""
    folder = convert(source, source.parent / f"converted-{bits}", bits=bits)
    model, tokenizer = load_model(open_checkpoint(folder)), Tokenizer.from_file(folder / "tekken.json", None)
    cache, tokens = model.make_cache(), [1, 3, 300, 400, after]
    ids = mx.array([tokens])
    text = b""
    for _ in range(most):
        logits = model(ids, cache=cache)[0, -1]
        best, second = (int(at) for at in mx.argsort(-logits)[:2].tolist())
        assert logits[best].item() > logits[second].item() + 30, "no temperature changes the next token"
        ids = mx.array([[best]])
        text += f"{{{best}}}".encode() if tokenizer.is_control(best) else tokenizer.token_bytes(best)
        if best == EOS:
            break
    return text.decode()


CASES: dict[str, tuple[Script, str]] = {
    "thinking": (
        [THINK, "Four and three.", END_THINK, "It is **7**.", EOS],
        "{34}Four and three.{35}It is **7**.{2}",
    ),
    "no thought": (["It is 7.", EOS], "It is 7.{2}"),
    "literal tags": (
        [THINK, "a [/THINK] b ", b"[THINK]", END_THINK, "[THINK]c", EOS],
        "{34}a [/THINK] b [THINK]{35}[THINK]c{2}",
    ),
    "tool call": ([TOOL_CALLS, "look", ARGS, '{"a": "x"}', EOS], '{9}look{32}{"a": "x"}{2}'),
    "split character": ([b"\xf0\x9f", b"\x98\x80", "!", EOS], "😀!{2}"),
    "repetition": (["haha hahaha aaaa aaaa", EOS], "haha hahaha aaaa aaaa{2}"),
    "ends without </s>": ([THINK, "so"], "{34}so{2}"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_script_comes_out(tmp_path: Path, case: str) -> None:
    script, expected = CASES[case]
    assert spoken(write_scripted_checkpoint(tmp_path / "hf", script)) == expected


def test_unquantized_too_and_without_eyes(tmp_path: Path) -> None:
    source = write_scripted_checkpoint(tmp_path / "hf", CASES["thinking"][0], vision=False)
    assert spoken(source, bits=16) == CASES["thinking"][1]


def test_after_an_empty_thought_the_answer_comes(tmp_path: Path) -> None:
    source = write_scripted_checkpoint(tmp_path / "hf", CASES["thinking"][0])
    assert spoken(source, after=END_THINK) == "It is **7**.{2}"


def test_after_tool_results_another_chain_comes(tmp_path: Path) -> None:
    chains = {END_TOOL_RESULTS: ["It rains.", EOS]}
    source = write_scripted_checkpoint(tmp_path / "hf", CASES["tool call"][0], chains=chains)
    assert spoken(source, after=END_TOOL_RESULTS) == "It rains.{2}"


def test_a_loop_never_ends(tmp_path: Path) -> None:
    source = write_scripted_checkpoint(tmp_path / "hf", [THINK, "round and "], loop_to=1)
    text = spoken(source)
    assert text.startswith("{34}" + "round and " * 10)
    assert "{2}" not in text


def test_counting_is_long_and_never_repeats(tmp_path: Path) -> None:
    source = write_scripted_checkpoint(tmp_path / "hf", [THINK, counting(200)])
    assert spoken(source, most=100).startswith("{34}" + counting(20))


def test_a_token_with_two_followers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two followers"):
        write_scripted_checkpoint(tmp_path / "hf", [THINK, "a", THINK, "b", EOS])


def test_text_that_cannot_be_cut_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="use loop_to"):
        write_scripted_checkpoint(tmp_path / "hf", ["a" * 200, EOS])
