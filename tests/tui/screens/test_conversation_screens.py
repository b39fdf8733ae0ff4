"""Steering, changing, finding and exporting conversations, by keys on a scripted engine."""

import os
import signal
from pathlib import Path

import pytest
from textual.widgets import Input, OptionList

from magistral_mlx.engine.protocol import Answer, Prefill, Reasoning
from magistral_mlx.events import Ending, Reply
from magistral_mlx.sessions.library import Library
from magistral_mlx.sessions.tree import ROOT
from magistral_mlx.sessions.unsent import load_draft
from magistral_mlx_tui.screens.conversations import ConversationsScreen
from magistral_mlx_tui.screens.export import ExportScreen
from magistral_mlx_tui.screens.one_line import OneLineScreen
from support.fake_engine import Die, Pause, Stall, done
from support.terminal_app import Driven, driven_app


def keep(question: str, answer: str) -> str:
    session = Library().new()
    turn = session.ask(question, parent=ROOT, model="m")
    session.add(turn, answer=answer, answer_tokens=1)
    session.end(turn, Reply("", answer, Ending.COMPLETE))
    session.close()
    return session.id


async def shown(app: Driven, words: str) -> None:
    await app.until(lambda: words in app.answer.plain_text)


async def said(app: Driven, words: str) -> None:
    await app.until(lambda: words in app.text_of("#status"))


async def test_answer_now_by_key() -> None:
    async with driven_app([Reasoning("hm", 1), Stall(), Answer("12", 1)]) as app:
        await app.pilot.press("f12")
        await said(app, "It is not thinking, and no reply was cut off")
        await app.type("q")
        await app.until_phase("thinking")
        await app.pilot.press("f12")
        await shown(app, "12")


async def test_pause_and_steer_with_a_hint() -> None:
    async with driven_app([Reasoning("hm", 1), Pause(3600), Answer("12", 1)]) as app:
        await app.type("q")
        await app.until_phase("thinking")
        await app.pilot.press("f11")
        await app.until_phase("paused")
        await app.until(lambda: isinstance(app.app.screen, OneLineScreen))
        await app.pilot.press("escape")
        await app.until(lambda: app.app.screen is app.screen)
        await app.pilot.press("f11")
        await app.until(lambda: isinstance(app.app.screen, OneLineScreen))
        app.app.screen.query_one(Input).value = "think of tens"
        await app.pilot.press("enter")
        await shown(app, "12")
        assert app.engine.hints == ["\nthink of tens\n"]
        assert "think of tens" in app.reasoning.plain_text


async def test_a_cut_off_reply_goes_on_below_the_same_question() -> None:
    cut = done("", reasoning="Let me", ending=Ending.CUT_IN_REASONING)
    async with driven_app([Reasoning("Let me", 2), cut], [Reasoning(" see", 1), Answer("12", 1)]) as app:
        await app.type("q")
        await shown(app, "token limit while thinking")
        await app.pilot.press("f12")
        await shown(app, "12")
        await app.until(lambda: "Let me see" in app.reasoning.plain_text)
        assert "token limit" not in app.answer.plain_text
        await app.type("/continue")
        await said(app, "Nothing to continue")


async def test_thinking_is_switched_for_the_next_questions() -> None:
    async with driven_app([Answer("x", 1)], [Answer("y", 1)]) as app:
        await app.type("/thinking")
        await said(app, "thinking off")
        await app.type("one")
        await app.until_phase("ready")
        assert app.engine.requests[0].options.thinking is False
        assert "thinking off" in app.text_of("#status")
        await app.type("/thinking 500")
        await said(app, "thinking limit 500")
        await app.type("two")
        await app.until(lambda: len(app.engine.requests) == 2)
        assert app.engine.requests[1].options.thinking_budget == 500
        await app.type("/thinking maybe")
        await said(app, "Type /thinking on")


async def test_the_last_question_is_edited_and_both_stay() -> None:
    async with driven_app([Answer("one", 1)], [Answer("two", 1)]) as app:
        await app.pilot.press("f2")
        await said(app, "no question to edit")
        await app.type("What is 7 + 5?")
        await app.until_phase("ready")
        app.screen.prompt.text = "half a thought"
        await app.pilot.press("f2")
        await app.until(lambda: app.screen.prompt.text == "What is 7 + 5?")
        await app.pilot.press("backspace", "backspace", "6", "?")
        await app.until(lambda: app.screen.prompt.text == "What is 7 + 6?")
        await app.pilot.press("escape")
        await app.until(lambda: app.screen.prompt.text == "half a thought")
        await app.pilot.press("f2")
        await app.type("What is 7 + 6?")
        await shown(app, "two")
        await app.until_phase("ready")
        await app.until(lambda: "‹2/2›" in app.answer.plain_text and "one" not in app.answer.plain_text)
        assert app.screen.prompt.text == "half a thought"
        await app.pilot.press("ctrl+l")
        await app.until(lambda: "‹1/2›" in app.answer.plain_text and "one" in app.answer.plain_text)


async def test_asking_again_makes_another_answer() -> None:
    async with driven_app([Answer("one", 1)], [Answer("two", 1)]) as app:
        await app.type("q")
        await app.until_phase("ready")
        await app.pilot.press("ctrl+l")
        await said(app, "There is no other version")
        await app.type("/again")
        await shown(app, "two")
        assert [request.text for request in app.engine.requests] == ["q", "q"]


async def test_a_kept_conversation_is_found_and_goes_on() -> None:
    keep("A question about Paris", "the capital")
    keep("Something else", "no matter")
    async with driven_app([Answer("more", 1)]) as app:
        await app.pilot.press("ctrl+s")
        await app.until(lambda: isinstance(app.app.screen, ConversationsScreen))
        dialog = app.app.screen
        listed = dialog.query_one("#conversation-list", OptionList)
        await app.until(lambda: listed.option_count == 2)
        await app.pilot.press(*"capital")
        await app.until(lambda: listed.option_count == 1)
        assert "answer: the capital" in str(listed.get_option_at_index(0).prompt)
        await app.pilot.press("enter")
        await shown(app, "the capital")
        await app.type("and now?")
        await shown(app, "more")
        assert app.engine.opened[0][0][0].question == "A question about Paris"


async def test_conversations_are_renamed_deleted_brought_back_and_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    id_ = keep("Paris \x1b[2J", "the [b]capital")
    async with driven_app() as app:
        await app.type("/sessions")
        await app.until(lambda: isinstance(app.app.screen, ConversationsScreen))
        dialog = app.app.screen
        listed = dialog.query_one("#conversation-list", OptionList)

        def words() -> str:
            return str(dialog.query_one("#conversation-words").render())

        await app.until(lambda: listed.option_count == 1)
        await app.pilot.press("ctrl+d")
        await app.until(lambda: listed.option_count == 0)
        await app.pilot.press("ctrl+z")
        await app.until(lambda: listed.option_count == 1)
        await app.pilot.press("ctrl+z")
        await app.until(lambda: "There is no deleted conversation" in words())
        await app.pilot.press("f2")
        await app.until(lambda: isinstance(app.app.screen, OneLineScreen))
        app.app.screen.query_one(Input).value = "Capitals"
        await app.pilot.press("enter")
        await app.until(
            lambda: bool(listed.option_count) and "Capitals" in str(listed.get_option_at_index(0).prompt)
        )
        await app.pilot.press("ctrl+e")
        await app.until(lambda: isinstance(app.app.screen, ExportScreen))
        await app.pilot.press("enter")
        await app.until(lambda: (tmp_path / "capitals.md").exists())
        await app.until(lambda: app.app.screen is dialog)
        await app.pilot.press("escape")
        await app.until(lambda: app.app.screen is app.screen)
    assert Library().find("Capitals") == id_
    assert "the [b]capital" in (tmp_path / "capitals.md").read_text()


async def test_this_conversation_is_named_and_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with driven_app([Reasoning("hm", 1), Answer("**12**", 1)]) as app:
        await app.type("/export")
        await said(app, "nothing to export")
        await app.type("q")
        await app.until_phase("ready")
        await app.type("/title Sums")
        await said(app, "Title: Sums")
        await app.type("/export sums.html")
        await app.until(lambda: (tmp_path / "sums.html").exists())
        await app.type("/export sums.html")
        await said(app, "exists already")
        await app.type("/export sums.docx")
        await said(app, "is not known")
        await app.type("/export short.json without reasoning")
        await app.until(lambda: (tmp_path / "short.json").exists())


async def test_the_form_of_an_export_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with driven_app([Reasoning("my thought", 1), Answer("**12**", 1)]) as app:
        await app.type("Sums")
        await app.until_phase("ready")
        for downs, name, thought in ((0, "sums.md", True), (1, "sums-2.md", False), (3, "sums.html", False)):
            await app.type("/export")
            await app.until(lambda: isinstance(app.app.screen, ExportScreen))
            await app.pilot.press(*["down"] * downs, "enter")
            await app.until(lambda name=name: (tmp_path / name).exists())  # type: ignore[misc] - bound now
            await app.until(lambda: app.app.screen is app.screen)
            assert ("my thought" in (tmp_path / name).read_text()) is thought
        await app.type("/export")
        await app.until(lambda: isinstance(app.app.screen, ExportScreen))
        await app.pilot.press("escape")
        await app.until(lambda: app.app.screen is app.screen)
    assert len(list(tmp_path.glob("sums*"))) == 3


async def test_code_and_formulas_are_copied_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # no pbcopy
    answer = "```\nx = 1\n```\nand\n```\ny = 2\n```\nso $a_1$"
    async with driven_app([Answer(answer, 5)]) as app:
        await app.type("/copy-code")
        await said(app, "no code block to copy")
        await app.type("q")
        await app.until_phase("ready")
        await app.type("/copy-code 1")
        await said(app, "Code block 1 of 2")
        assert app.app.clipboard == "x = 1\n"
        await app.type("/copy-code 3")
        await said(app, "Choose 1 or 2")
        await app.type("/copy-latex")
        await app.until(lambda: app.app.clipboard == "a_1")


async def test_a_dead_engine_costs_nothing_and_the_conversation_goes_on() -> None:
    async with driven_app(
        [Answer("one", 1)], [Prefill(1, 1), Reasoning("Let me", 2), Die()], [Answer("3", 1)]
    ) as app:
        await app.type("first")
        await app.until_phase("ready")
        await app.type("second")
        await app.until_phase("failed")
        await app.pilot.press("ctrl+r")
        await app.until_phase("ready")
        (turns, _system) = app.engine.opened[0]
        assert [(turn.question, turn.reasoning, turn.answer) for turn in turns] == [
            ("first", "", "one"),
            ("second", "Let me", ""),
        ]
        await app.type("third")
        await shown(app, "3")
        assert "Let me" in app.reasoning.plain_text
        assert "Interrupted" in app.answer.plain_text


async def test_what_was_typed_is_there_after_the_end() -> None:
    async with driven_app() as app:
        await app.pilot.press(*"half a")
        await app.until(lambda: app.screen.prompt.text == "half a")
    async with driven_app() as app:
        await app.until(lambda: app.screen.prompt.text == "half a")
        await said(app, "Draft restored")
    assert Library().summaries() == []


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
async def test_a_closed_terminal_costs_nothing(number: int) -> None:
    async with driven_app([Reasoning("Let me", 2), Stall()]) as app:
        await app.type("first")
        await app.until_phase("thinking")
        app.screen.prompt.text = "and then"
        await app.pilot.pause(0.05)
        os.kill(os.getpid(), number)
        await app.until(lambda: app.app.return_code == 128 + number)
    library = Library()
    (turn,) = library.read(library.find("last")).path
    assert (turn.question, turn.reasoning) == ("first", "Let me")
    assert load_draft(library.directory / f"{library.find('last')}.jsonl").text == "and then"
