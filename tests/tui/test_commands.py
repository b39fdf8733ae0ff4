"""One table: keys, slash commands, palette and help."""

from collections.abc import Callable

import pytest

from magistral_mlx_tui.commands import COMMANDS, bindings, parse_slash
from magistral_mlx_tui.frame_clock import LONGEST, SHORTEST, FrameClock
from magistral_mlx_tui.screens.chat import ChatScreen


def test_every_command_can_be_done_and_no_key_is_taken_twice() -> None:
    names = [command.name for command in COMMANDS]
    keys = [command.key for command in COMMANDS if command.key]
    assert len(set(names)) == len(names)
    assert len(set(keys)) == len(keys)
    for command in COMMANDS:
        assert command.help.endswith(".")
        assert command.name in ("send", "newline") or callable(getattr(ChatScreen, f"action_{command.name}"))
    assert [binding.id for binding in bindings()] == [
        command.name for command in COMMANDS if command.key and command.name not in ("send", "newline")
    ]


def test_no_key_that_terminals_cannot_tell_apart() -> None:
    assert not {"ctrl+i", "ctrl+m", "ctrl+h", "ctrl+[", "ctrl+left_square_bracket"} & {
        command.key for command in COMMANDS
    }


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("/new", ("new", "", "new")),
        ("/remove-image", ("remove_image", "", "remove-image")),
        ("/image  ~/a b.png ", ("image", "~/a b.png", "image")),
        ("/nonsense", (None, "", "nonsense")),
        ("/send", (None, "", "send")),
    ],
)
def test_slash_commands(typed: str, expected: tuple[str | None, str, str]) -> None:
    parsed = parse_slash(typed)
    assert parsed is not None
    assert (parsed[0].name if parsed[0] else None, *parsed[1:]) == expected


@pytest.mark.parametrize("typed", ["/tmp/x.png", "/Users/me", "/", "// no", "what is /new?", "/1", ""])
def test_what_is_no_command(typed: str) -> None:
    assert parse_slash(typed) is None


class Timers:
    def __init__(self) -> None:
        self.now = 0.0
        self.pending: list[tuple[float, object]] = []

    def set_timer(self, delay: float, callback: object) -> None:
        self.pending.append((delay, callback))


@pytest.mark.parametrize(("cost", "delay"), [(0.001, SHORTEST), (0.01, 0.09), (1.0, LONGEST)])
def test_slow_frames_are_drawn_less_often(cost: float, delay: float) -> None:
    timers, drawn, work = Timers(), list[float](), [0.0]

    def draw() -> None:
        work[0] += cost / 2
        drawn.append(timers.now)

    def compose(measure: Callable[[], None]) -> None:
        work[0] += cost / 2
        measure()

    clock = FrameClock(draw, timers.set_timer, compose, now=lambda: timers.now, work=lambda: work[0])
    for _ in range(3):
        clock.request()
    assert [delay for delay, _ in timers.pending] == [SHORTEST]
    callback = timers.pending.pop()[1]
    assert callable(callback)
    callback()
    assert len(drawn) == 1
    assert clock.delay == pytest.approx(delay)
    timers.now += delay / 2
    clock.request()
    assert timers.pending.pop()[0] == pytest.approx(max(SHORTEST, delay / 2))


def test_after_a_quiet_time_a_frame_comes_soon() -> None:
    timers, work = Timers(), [0.0]

    def draw() -> None:
        work[0] += 1

    clock = FrameClock(
        draw, timers.set_timer, lambda measure: measure(), now=lambda: timers.now, work=lambda: work[0]
    )
    clock.request()
    callback = timers.pending.pop()[1]
    assert callable(callback)
    callback()
    timers.now += 5
    clock.request()
    assert timers.pending.pop()[0] == SHORTEST
