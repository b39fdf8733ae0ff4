"""What the chat screen obeys about looking at reasoning and answer; the pair of panes does it."""

from textual import on
from textual.screen import Screen

from magistral_mlx_tui.panes.find_bar import FindBar
from magistral_mlx_tui.panes.pane_pair import Fold, PanePair


class LookingScreen(Screen[None]):
    """A screen with a pair of panes."""

    _first_fold = Fold.SHOW

    @property
    def pair(self) -> PanePair:
        """Reasoning and answer."""
        return self.query_one(PanePair)

    def say(self, message: str) -> None:
        """Show `message` in the status line."""
        raise NotImplementedError

    def focus_prompt(self) -> None:
        """Go on typing."""
        raise NotImplementedError

    @on(FindBar.Closed)
    def _find_closed(self) -> None:
        self.focus_prompt()

    def action_reasoning(self) -> None:
        """Show, fold or hide the reasoning; where only one pane fits, switch."""
        self.pair.toggle_reasoning()

    def show_reasoning(self, shown: bool) -> None:
        """Show or hide the reasoning, now or as soon as there is something to show."""
        self._first_fold = Fold.SHOW if shown else Fold.HIDE
        if self.is_mounted:
            self.pair.set_fold(self._first_fold)

    def on_mount(self) -> None:
        """Begin as the settings say."""
        self.pair.set_fold(self._first_fold)

    def fold_reasoning(self, word: str) -> None:
        """Show as much of the reasoning as a typed word says."""
        if word in set(Fold):
            self.pair.set_fold(Fold(word))
        else:
            self.say(f"The reasoning can be: {', '.join(Fold)}.")

    def action_layout(self) -> None:
        """Side by side or stacked, against what the width suggests."""
        self.pair.toggle_layout()

    def action_zoom(self) -> None:
        """One pane takes all the room, then the other one, then both are back."""
        self.pair.zoom()

    def action_source(self) -> None:
        """The text as the model wrote it, or as it is meant to be read."""
        shown = self.pair.toggle_source()
        self.say("This is what the model wrote; f5 makes it readable again." if shown else "")

    def action_find(self) -> None:
        """Search in both panes."""
        self.pair.open_find()

    def action_find_next(self) -> None:
        """To the next hit of the search."""
        self.pair.step(1)

    def action_find_previous(self) -> None:
        """To the hit before."""
        self.pair.step(-1)

    def action_page_up(self) -> None:
        """Scroll both panes back."""
        self.pair.page(-1)

    def action_page_down(self) -> None:
        """Scroll both panes on."""
        self.pair.page(1)

    def action_follow(self) -> None:
        """Follow the end of both panes."""
        self.pair.follow()
