"""Conversations on disk with their KV cache: whole or not at all, checked, tied to their model."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import magistral_mlx as mm
from magistral_mlx.api.saved_conversation import common_turns, from_parts
from support.models import forget_caches, random_model, scripted
from support.scripted import END_THINK, EOS, THINK, Script

RED = Image.new("RGB", (84, 56), "red")
GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 9}
LONG = "A long document, to be read once and never again. " * 20


@pytest.fixture(scope="module")
def chance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mm.Magistral]:
    with random_model(tmp_path_factory.mktemp("chance"), seed=4) as model:
        yield model


def read(stream: mm.AnswerStream) -> tuple[int, int, mm.Reply]:
    """Where the prefill began and ended, and the reply."""
    events = list(stream)
    first = next(event for event in events if isinstance(event, mm.PrefillProgress))
    return first.done, first.total, stream.reply()


@pytest.mark.parametrize("bits", [16, 8])
def test_tomorrow_only_the_new_question_is_read(chance: mm.Magistral, tmp_path: Path, bits: int) -> None:
    chat = chance.conversation(system="You are terse.", kv_bits=bits)
    chat.ask(LONG, images=[RED], **GREEDY)
    used = chat.context_used
    path = tmp_path / "chat.cache"
    assert chat.save(path) == path.stat().st_size
    assert path.stat().st_mode & 0o077 == 0
    today = chat.ask("What is it?", **GREEDY)
    forget_caches(chance)
    with mm.load(chance.path) as tomorrow:
        opened = tomorrow.load_conversation(path)
        assert (opened.system, opened.kv_bits) == ("You are terse.", bits)
        assert common_turns(opened.turns, chat.turns) == len(opened.turns) == 2
        assert opened.context_used == used
        done, total, reply = read(opened.stream("What is it?", **GREEDY))
        assert done == today.stats.cached_tokens > used - 12
        assert total == today.stats.prompt_tokens
        assert (reply.reasoning, reply.answer) == (today.reasoning, today.answer)


def test_turns_that_are_kept_elsewhere_take_the_cache(chance: mm.Magistral, tmp_path: Path) -> None:
    chat = chance.conversation()
    chat.ask("One?", **GREEDY)
    chat.ask("Two?", **GREEDY)
    used = chat.context_used
    chat.save(tmp_path / "a")
    replies = [
        mm.AssistantTurn(turn.reasoning, turn.answer) if isinstance(turn, mm.AssistantTurn) else turn
        for turn in chat.turns
    ]
    forget_caches(chance)
    from_text = chance.conversation(turns=replies)
    from_text.load_cache(tmp_path / "a")
    assert read(from_text.stream("Three?", **GREEDY))[0] == used
    forget_caches(chance)
    other = chance.conversation(turns=[*replies[:2], mm.UserTurn("Else?"), mm.AssistantTurn("", "Hm.")])
    other.load_cache(tmp_path / "a")
    assert 0 < read(other.stream("Three?", **GREEDY))[0] < used
    assert other.turns[2] == mm.UserTurn("Else?")


def test_another_models_file_is_refused(chance: mm.Magistral, tmp_path: Path) -> None:
    chat = chance.conversation()
    chat.ask("One?", **GREEDY)
    chat.save(tmp_path / "a")
    with random_model(tmp_path / "other", seed=5) as other:
        with pytest.raises(mm.CacheFileError, match="belongs to another model") as refused:
            other.load_conversation(tmp_path / "a")
        assert refused.value.remedy
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("changed", "value", "told"),
    [
        ("cache.cache_file.FORMAT", "0", "was written by another version"),
        ("loaded_model.float_bytes_here", lambda: 2, "belongs to another model or kind of machine"),
    ],
)
def test_a_file_of_other_software_is_refused(
    chance: mm.Magistral, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str, value: Any, told: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(f"magistral_mlx.generation.{changed}", value)
        with mm.load(chance.path) as elsewhere:
            chat = elsewhere.conversation()
            chat.ask("One?", **GREEDY)
            chat.save(tmp_path / "a")
    chat = chance.conversation()
    before = chat.ask("One?", **GREEDY)
    for opening in (chance.load_conversation, chat.load_cache):
        with pytest.raises(mm.CacheFileError, match=told) as refused:
            opening(tmp_path / "a")
        assert "\n" not in str(refused.value)
        assert refused.value.remedy
    assert chat.ask("Two?", **GREEDY).stats.cached_tokens >= before.stats.prompt_tokens


def test_every_kind_of_damage_is_refused(chance: mm.Magistral, tmp_path: Path) -> None:
    chat = chance.conversation()
    chat.ask("One?", images=[RED], **GREEDY)
    path = tmp_path / "a"
    chat.save(path)
    whole = path.read_bytes()
    choice = random.Random(1)
    places = [0, 9, 40, len(whole) - 1, *(choice.randrange(len(whole)) for _ in range(40))]
    for place in places:
        changed = bytes([whole[place] ^ 1 << choice.randrange(8)])
        path.write_bytes(whole[:place] + changed + whole[place + 1 :])
        with pytest.raises(mm.CacheFileError):
            chance.load_conversation(path)
    for length in (0, 7, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(mm.CacheFileError):
            chance.load_conversation(path)
    path.write_bytes(whole)
    assert common_turns(chance.load_conversation(path).turns, chat.turns) == len(chat.turns)


def test_a_file_that_is_not_there_and_one_that_cannot_be_written(
    chance: mm.Magistral, tmp_path: Path
) -> None:
    with pytest.raises(mm.CacheFileError, match="is not there"):
        chance.load_conversation(tmp_path / "none")
    chat = chance.conversation()
    chat.ask("One?", **GREEDY)
    with pytest.raises(mm.CacheFileError, match="cannot be written"):
        chat.save(tmp_path / "no" / "folder" / "a")


def test_a_save_that_fails_leaves_the_old_file(
    chance: mm.Magistral, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = chance.conversation()
    chat.ask("One?", **GREEDY)
    path = tmp_path / "a"
    chat.save(path)
    before = path.read_bytes()
    chat.ask("Two?", **GREEDY)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("magistral_mlx.generation.cache.cache_file.os.fsync", fail)
    with pytest.raises(mm.CacheFileError, match="No space left"):
        chat.save(path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_saving_needs_rest(chance: mm.Magistral, tmp_path: Path) -> None:
    chat = chance.conversation()
    with chat.stream("One?", **GREEDY) as stream:
        next(stream)
        for attempt in (chat.save, chat.load_cache):
            with pytest.raises(mm.UsageError, match="still answering"):
                attempt(tmp_path / "a")


def test_what_the_model_spelled_its_own_way_is_kept(tmp_path: Path) -> None:
    script: Script = [THINK, b"Fo", b"ur", END_THINK, b"Sev", b"en", EOS]
    with scripted(tmp_path, script) as model:
        chat = model.conversation()
        chat.ask("What is 4 + 3?")
        used = chat.context_used
        chat.save(tmp_path / "a")
        forget_caches(model)
        assert read(model.load_conversation(tmp_path / "a").stream("Sure?"))[0] == used


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "PA", "RGBA", "P", "LA", "1"])
def test_images_of_every_mode_are_saved_as_the_model_sees_them(
    chance: mm.Magistral, tmp_path: Path, mode: str
) -> None:
    image = RED.convert("P").convert("PA") if mode == "PA" else RED.convert(mode)
    forget_caches(chance)
    chat = chance.conversation()
    chat.ask("Look.", images=[image], **GREEDY)
    chat.save(tmp_path / "a")
    today = chat.branch().ask("And?", **GREEDY)
    forget_caches(chance)
    opened = chance.load_conversation(tmp_path / "a")
    assert common_turns(opened.turns, chat.turns) == 2
    assert read(opened.stream("And?", **GREEDY))[0] == today.stats.cached_tokens


def test_a_loaded_conversation_continues_as_the_saved_one_would(chance: mm.Magistral, tmp_path: Path) -> None:
    chat = chance.conversation()
    schema = {"type": "array", "items": {"type": "string"}, "minItems": 3}
    chat.ask("Say.", schema=schema, seed=3, max_tokens=40, thinking_budget=4)
    kept = chat._history
    assert kept.ending is mm.Ending.CUT_IN_ANSWER
    chat.save(tmp_path / "a")
    opened = chance.load_conversation(tmp_path / "a")
    turned = chance.conversation(turns=chat.turns)
    turned.load_cache(tmp_path / "a")
    for other in (opened, turned):
        assert (other._history.options, other._history.ending) == (kept.options, kept.ending)
        assert other._history.unfinished() == kept.unfinished()
        assert other._history.unfinished_ids == kept.unfinished_ids
    expected = chat.continue_(60)
    assert opened.continue_(60).answer == turned.continue_(60).answer == expected.answer


def test_a_complete_reply_stays_complete_when_it_is_loaded(tmp_path: Path) -> None:
    with scripted(tmp_path, [THINK, b"Fo", END_THINK, b"Sev", EOS]) as model:
        chat = model.conversation()
        tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
        chat.ask("4 + 3?", stop=["#"], tools=tools, top_p=0.5)
        chat.save(tmp_path / "a")
        opened = model.load_conversation(tmp_path / "a")
        with pytest.raises(mm.UsageError, match="it is complete"):
            opened.continue_()
        kept, loaded = chat._history.options, opened._history.options
        assert (loaded.stop, loaded.top_p, len(loaded.tools)) == (kept.stop, 0.5, 1)
        assert opened.regenerate().answer == "Sev"


def test_options_of_a_file_are_checked_as_a_callers() -> None:
    for text in ('{"system": null, "turns": [], "options": {"top_p": 7}}',
                 '{"system": null, "turns": [], "options": {"x": 1}}',
                 '{"system": null, "turns": [], "options": 5}',
                 '{"system": null, "turns": [], "ending": "odd"}'):  # fmt: skip
        with pytest.raises(mm.CacheFileError, match="holds no conversation"):
            from_parts(text, {}, None)  # type: ignore[arg-type]  # no ids to check
