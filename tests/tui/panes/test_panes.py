"""Looking at reasoning and answer: fold, zoom, search, source, following, resizing."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from textual.geometry import Offset, Region
from textual.widgets import Input

from magistral_mlx.engine.protocol import Answer, Reasoning
from magistral_mlx_tui.panes.find_bar import FindBar
from magistral_mlx_tui.panes.stream_pane import StreamPane
from magistral_mlx_tui.text.markdown.document import MarkdownDocument
from support.fake_engine import Die, Pause, Stall, Step
from support.terminal_app import Driven, GatedEngine, driven_app

_TURN: list[Step] = [
    Reasoning("First **47** and 38, so \\(47 + 38 = 85\\).\n", 9),
    Answer("It is 85.\n\n\\[\\frac{85}{1}\\]\n\n```python\nprint(85)\n```\n", 5),
]
_PROSE = "Some words of **prose** and \\(x^2\\), then more of them.\n\nAnd again: " * 40
_TABLE = "| a | b |\n|---|--:|\n" + "| word | 12 |\n| some longer words here | 123456 |\n" * 25
_FENCE = "```python\n" + "def f(x):\n    return x + 1  # why\n\n" * 20 + "```\n"
_LIST = "- one\n  - two **bold** words\n    3. three\n" * 25


def visible(driven: Driven) -> tuple[bool, bool]:
    """Whether reasoning and answer are on the screen."""
    return driven.reasoning.region.height > 0, driven.answer.region.height > 0


def sees(driven: Driven, reasoning: bool, answer: bool) -> Callable[[], bool]:
    return lambda: visible(driven) == (reasoning, answer)


async def test_the_reasoning_is_shown_folded_to_one_row_and_hidden_in_turn() -> None:
    async with driven_app(_TURN) as app:
        await app.type("q")
        await app.until_phase("ready")
        await app.until(sees(app, True, True))
        await app.pilot.press("ctrl+t")
        await app.until(sees(app, False, True))
        folded = app.screen.query_one("#folded")
        await app.until(lambda: folded.region.height == 1)
        assert "9 tokens" in app.text_of("#folded")
        assert "= 85" in app.text_of("#folded")
        await app.pilot.press("ctrl+t")
        await app.until(lambda: folded.region.height == 0)
        assert visible(app) == (False, True)
        await app.pilot.press("ctrl+t")
        await app.until(sees(app, True, True))
        assert "47 + 38 = 85" in app.reasoning.plain_text


async def test_the_reasoning_can_be_folded_by_a_typed_word() -> None:
    async with driven_app(_TURN) as app:
        await app.type("q")
        await app.until_phase("ready")
        await app.type("/reasoning hide")
        await app.until(sees(app, False, True))
        await app.type("/reasoning show")
        await app.until(sees(app, True, True))
        await app.type("/reasoning off")
        await app.until(lambda: "show, fold, hide" in app.text_of("#status"))


async def test_a_folded_thought_goes_on_in_its_row() -> None:
    engine = GatedEngine(turns=[[Reasoning("one two", 2), Pause(0), Reasoning(" three", 1), Stall()]])
    async with driven_app(engine=engine) as app:
        await app.type("q")
        await app.until_phase("thinking")
        await app.pilot.press("ctrl+t")
        await app.until(lambda: "one two" in app.text_of("#folded"))
        assert "thinking" in app.text_of("#folded")
        engine.gate.set()
        await app.until(lambda: "one two three" in app.text_of("#folded"))


async def test_zoom_gives_one_pane_all_the_room() -> None:
    async with driven_app(_TURN) as app:
        await app.type("q")
        await app.until_phase("ready")
        await app.until(sees(app, True, True))
        both = app.answer.region.width
        await app.pilot.press("f4")
        await app.until(sees(app, False, True))
        assert app.answer.region.width > both
        assert app.screen.query_one("#gauges").region.height == 0
        await app.pilot.press("f4")
        await app.until(sees(app, True, False))
        await app.pilot.press("f4")
        await app.until(sees(app, True, True))
        app.reasoning.focus()
        await app.pilot.press("z")
        await app.until(sees(app, True, False))
        await app.pilot.press("z")
        await app.until(sees(app, True, True))


async def test_searching_counts_hits_in_both_panes_and_goes_from_one_to_the_next() -> None:
    words = "\n".join(f"needle {number}" if number % 50 == 7 else f"hay {number}" for number in range(200))
    async with driven_app([Reasoning(words, 200), Answer("A Needle in the hay", 5)]) as app:
        await app.type("q")
        await app.until_phase("ready")
        await app.pilot.press("ctrl+f")
        await app.until(lambda: app.screen.query_one(FindBar).region.height == 1)
        app.screen.query_one("#find-input", Input).value = "needle"
        await app.until(lambda: "5   reasoning 4 · answer 1" in app.text_of("#find-count"))
        seen: list[tuple[int | None, int | None]] = []
        for _ in range(6):
            seen.append((app.reasoning.hits.current, app.answer.hits.current))
            await app.pilot.press("enter")
            await app.until(lambda: (app.reasoning.hits.current, app.answer.hits.current) != seen[-1])
        assert len(set(seen)) == 5
        assert seen[0] == seen[5]
        await app.pilot.press("up")
        await app.until(lambda: (app.reasoning.hits.current, app.answer.hits.current) == seen[0])
        app.screen.query_one("#find-input", Input).value = "Needle"
        await app.until(lambda: "reasoning 0 · answer 1" in app.text_of("#find-count"))
        app.screen.query_one("#find-input", Input).value = "nothing"
        await app.until(lambda: "not found" in app.text_of("#find-count"))
        await app.pilot.press("escape")
        await app.until(lambda: app.screen.query_one(FindBar).region.height == 0)
        assert app.answer.hits.count == 0
        assert app.screen.prompt.has_focus


async def test_a_hit_is_brought_into_view_and_more_of_them_are_counted_while_text_streams() -> None:
    first: list[Step] = [Answer("needle\n" + "hay\n" * 300, 300), Pause(0), Answer("needle", 1), Stall()]
    engine = GatedEngine(turns=[first])
    async with driven_app(engine=engine) as app:
        await app.type("q")
        await app.until(lambda: app.answer.plain_text.count("hay") == 300)
        assert app.answer.scroll_offset.y > 100
        await app.type("/find needle")
        await app.until(lambda: "answer 1" in app.text_of("#find-count"))
        await app.until(lambda: app.answer.scroll_offset.y < 10)
        assert not app.answer.following
        engine.gate.set()
        await app.until(lambda: "answer 2" in app.text_of("#find-count"))
        assert app.answer.scroll_offset.y < 10


async def test_searching_reveals_a_pane_that_is_not_shown() -> None:
    async with driven_app(_TURN, size=(60, 24)) as app:
        await app.type("q")
        await app.until_phase("ready")
        await app.until(sees(app, False, True))
        await app.type("/find First")
        await app.until(sees(app, True, False))
    async with driven_app(_TURN) as app:
        await app.type("q")
        await app.until_phase("ready")
        await app.type("/reasoning hide")
        await app.until(sees(app, False, True))
        await app.type("/find First")
        await app.until(sees(app, True, True))


async def test_the_source_is_a_key_away_and_back() -> None:
    async with driven_app(_TURN) as app:
        await app.type("q")
        await app.until_phase("ready")
        readable = app.answer.plain_text
        assert "─" in readable
        assert r"\frac" not in readable
        await app.pilot.press("f5")
        await app.until(lambda: r"\[\frac{85}{1}\]" in app.answer.plain_text)
        assert "```python" in app.answer.plain_text
        assert r"**47** and 38, so \(47 + 38 = 85\)." in app.reasoning.plain_text
        await app.pilot.press("f5")
        await app.until(lambda: app.answer.plain_text == readable)


async def test_source_shown_while_text_streams_is_what_was_written() -> None:
    engine = GatedEngine(turns=[[Answer("**bo", 1), Pause(0), Answer("ld** and\n- [x] done", 2), Stall()]])
    async with driven_app(engine=engine) as app:
        await app.type("q")
        await app.until(lambda: "**bo" in app.answer.plain_text)
        await app.pilot.press("f5")
        engine.gate.set()
        await app.until(lambda: "**bold** and\n- [x] done" in app.answer.plain_text)
        await app.pilot.press("f5")
        await app.until(lambda: "bold and\n☑ done" in app.answer.plain_text)


async def test_resizing_keeps_the_place_one_was_reading() -> None:
    words = "\n\n".join(f"paragraph {number} " + "word " * 60 for number in range(150))
    async with driven_app([Answer(words, 9000)]) as app:
        await app.type("q")
        await app.until_phase("ready")
        await app.until(lambda: "paragraph 149" in app.answer.plain_text)
        rows = app.answer.plain_text.split("\n")
        wanted = next(number for number, row in enumerate(rows) if row.startswith("paragraph 70 "))
        app.answer.scroll_to(y=wanted, animate=False, immediate=True)
        for size in ((90, 40), (60, 24), (200, 50), (140, 40)):
            await app.pilot.resize_terminal(*size)
            await app.until(lambda width=size[0]: app.screen.size.width == width)  # type: ignore[misc]
            await app.pilot.pause(0.3)
            top = app.answer.plain_text.split("\n")[app.answer.scroll_offset.y]
            if app.answer.region.height:
                assert top.startswith("paragraph 70 ")


async def test_text_is_selected_over_wrapped_rows_as_one_line() -> None:
    words = " ".join(f"word{number}" for number in range(60))
    async with driven_app([Answer(words, 60)]) as app:
        await app.type("q")
        await app.until_phase("ready")
        region = app.answer.content_region
        first = next(number for number, row in enumerate(app.answer.plain_text.split("\n")) if "word0" in row)
        await app.pilot.mouse_down(offset=Offset(region.x, region.y + first))
        await app.pilot.hover(offset=Offset(region.x + 4, region.y + first + 1))
        await app.pilot.mouse_up(offset=Offset(region.x + 4, region.y + first + 1))
        await app.until(lambda: bool(app.screen.get_selected_text()))
        selected = app.screen.get_selected_text() or ""
        assert selected.startswith("word0 word1")
        assert "\n" not in selected


async def test_a_thought_that_dies_half_way_keeps_its_half_formula() -> None:
    async with driven_app([Reasoning("so \\[ \\frac{1}{2", 4), Die()]) as app:
        await app.type("q")
        await app.until_phase("failed")
        assert r"\[ \frac{1}{2" in app.reasoning.plain_text
        assert "Interrupted" in app.answer.plain_text


@pytest.mark.parametrize("source", ["x" * 100_000, "a" + "\u0301" * 10_000, "> " * 5_000, "|" * 20_000])
async def test_hostile_text_is_shown_and_the_app_goes_on(source: str) -> None:
    async with driven_app([Answer(source, 1)], [Answer("fine", 1)]) as app:
        await app.type("q")
        await app.until_phase("ready")
        await app.type("again")
        await app.until(lambda: "fine" in app.answer.plain_text)


async def test_a_long_conversation_that_comes_at_once_is_taken_in_pieces() -> None:
    pieces: list[Step] = [Answer(f"line {number}\n", 3) for number in range(3000)]
    async with driven_app(pieces) as app:
        await app.type("q")
        await app.until_phase("ready")
        await app.until(lambda: "line 2999" in app.answer.plain_text)
        assert app.answer.following


@pytest.mark.parametrize(
    ("text", "unchanged"),
    [(_PROSE, 4), (_FENCE, 4), (_LIST, 4), (_TABLE, 40)],  # any cell can make all rows of a table wider
)
async def test_a_frame_draws_all_rows_that_changed_and_hardly_any_other(
    monkeypatch: pytest.MonkeyPatch, text: str, unchanged: int
) -> None:
    drawn: list[Region] = []
    refresh = StreamPane.refresh

    def record(pane: StreamPane, *regions: Region, **options: Any) -> StreamPane:
        drawn.extend(regions or [Region(0, 0, 999, 999)])
        return refresh(pane, *regions, **options)

    async with driven_app() as app:
        app.screen.add_class("-talking")
        await app.pilot.pause()
        pane = app.answer
        pane.add(MarkdownDocument())
        monkeypatch.setattr(StreamPane, "refresh", record)
        chance, wasted = random.Random(4), 0
        while text:
            size = chance.randint(1, 12)
            chunk, text = text[:size], text[size:]
            before, top = _in_view(pane), pane.scroll_offset.y
            drawn.clear()
            pane.append(chunk)
            after = _in_view(pane)
            changed = {y for y, rows in enumerate(zip(before, after, strict=True)) if rows[0] != rows[1]}
            rows = {y for region in drawn for y in region.line_range}
            assert changed <= rows
            if pane.scroll_offset.y == top:
                wasted = max(wasted, len(rows - changed))
        assert pane.scroll_offset.y > 0, "it was long enough to scroll"
        assert wasted <= unchanged


def _in_view(pane: StreamPane) -> list[str]:
    return [pane.render_line(y).text for y in range(pane.scrollable_content_region.height)]


async def test_new_words_in_a_border_draw_nothing_but_their_row(monkeypatch: pytest.MonkeyPatch) -> None:
    async with driven_app(_TURN) as app:
        await app.type("q")
        await app.until_phase("ready")
        pane, drawn = app.answer, list[Region]()
        dirty = pane._set_dirty
        monkeypatch.setattr(pane, "_set_dirty", lambda *regions: (drawn.extend(regions), dirty(*regions)))
        pane.set_status("12 tokens")
        below = pane.outer_size.height - 1 - pane.content_offset.y
        assert [(region.y, region.height) for region in drawn] == [(below, 1)]
        await app.pilot.pause()
        assert "12 tokens" in app.app.export_screenshot().replace("&#160;", " ")
