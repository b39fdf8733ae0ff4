"""One table: keys, slash commands, palette and help."""

import pytest

from magistral_mlx_tui.command_table import COMMANDS, bindings, no_such_command, parse_slash
from magistral_mlx_tui.terminal.frame_clock import LONGEST, SHORTEST, FrameClock
from support.terminal_app import driven_app


async def test_every_command_can_be_done_and_no_key_is_taken_twice() -> None:
    async with driven_app() as app:
        done = set(app.screen._commands.table)
    names = [command.name for command in COMMANDS]
    keys = [command.key for command in COMMANDS if command.key]
    assert len(set(names)) == len(names)
    assert len(set(keys)) == len(keys)
    for command in COMMANDS:
        assert command.help.endswith(".")
        assert command.name in ("send", "newline", *done)
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
        ("/pictures", ("images", "", "pictures")),
        ("/remove-picture", ("remove_image", "", "remove-picture")),
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


class Clocked:
    """A frame clock whose frames cost `cost` seconds of work, half of it after `draw`."""

    def __init__(self, cost: float) -> None:
        self.timers, self.frames, self._cost, self._work = Timers(), 0, cost, 0.0
        self.clock = FrameClock(
            self._draw, self.timers.set_timer, now=lambda: self.timers.now, work=lambda: self._work
        )

    def _draw(self) -> None:
        self.frames += 1
        self._work += self._cost / 2

    def frame(self) -> float:
        """Ask for a frame several times and let it come; returns the seconds until it came."""
        for _ in range(3):
            self.clock.request()
        assert len(self.timers.pending) == 1
        delay, callback = self.timers.pending.pop()
        self.timers.now += delay
        assert callable(callback)
        callback()
        self._work += self._cost / 2
        return delay


@pytest.mark.parametrize(("cost", "delay"), [(0.001, SHORTEST), (0.01, 0.15), (1.0, LONGEST)])
def test_slow_frames_are_drawn_less_often(cost: float, delay: float) -> None:
    clocked = Clocked(cost)
    assert clocked.frame() == SHORTEST
    clocked.frame()
    assert clocked.frame() == pytest.approx(delay)
    assert clocked.frames == 3


def test_after_a_quiet_time_a_frame_comes_soon() -> None:
    clocked = Clocked(1.0)
    for _ in range(3):
        clocked.frame()
    clocked.timers.now += 5
    assert clocked.frame() == SHORTEST


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("model", "There is no command /model; did you mean /models?"),
        ("qiut", "There is no command /qiut; did you mean /quit?"),
        ("fly", "There is no command /fly; F1 lists them all."),
    ],
)
def test_a_slip_of_the_pen_is_told_what_may_be_meant(typed: str, words: str) -> None:
    assert no_such_command(typed, otherwise="F1 lists them all.") == words
