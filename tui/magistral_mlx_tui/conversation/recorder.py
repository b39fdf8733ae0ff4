"""Records the conversation on disk as it happens, and loads recorded ones. No Textual here."""

import asyncio
from collections.abc import Callable, Sequence

from magistral_mlx.events import Reply
from magistral_mlx.sessions import tree
from magistral_mlx.sessions.library import Library
from magistral_mlx.sessions.records import KeptImage
from magistral_mlx.sessions.session import LONGEST_WAIT, Session
from magistral_mlx.sessions.unsent import Draft, load_draft, save_draft, take_orphan
from magistral_mlx.storage.messages import SavedTurn
from magistral_mlx_tui.attachments.images import AttachedImage
from magistral_mlx_tui.conversation.turns import Question, Turn

_RETRY_SECONDS = 5.0
"""How often a full disk is tried again."""
_DRAFT_SECONDS = 0.5
"""A typed letter stays in memory alone for this long at most."""


class Recorder:
    """Records one conversation at a time; errors of the disk are told by `trouble`.

    Args:
        library: the kept conversations.
        on_change: called when `trouble` changed.
    """

    def __init__(self, library: Library, *, on_change: Callable[[], None]) -> None:
        self.library = library
        self.session = library.new()
        self.draft_trouble = ""
        self._on_change = on_change
        self._flushing: asyncio.TimerHandle | None = None
        self._drafting: asyncio.TimerHandle | None = None
        self._draft = Draft()

    @property
    def trouble(self) -> str:
        """Why the conversation is not saved; empty if it is."""
        return self.session.trouble or self.draft_trouble

    # -- turns -------------------------------------------------------------------------------------------

    def ask(self, turn: Turn, *, after: Turn | None, model: str, system: str | None) -> None:
        """Record the start of `turn`, below the turn `after` or at the root."""
        turn.id = self.session.ask(
            turn.question.text,
            parent=tree.ROOT if after is None else after.id,
            images=tuple(_kept(image) for image in turn.question.images),
            model=model,
            system=system,
            options=turn.question.options,
        )
        self._after_writing()

    def add(
        self,
        turn: Turn,
        *,
        reasoning: str = "",
        answer: str = "",
        reasoning_tokens: int = 0,
        answer_tokens: int = 0,
    ) -> None:
        """Record a piece as the engine sent it."""
        self.session.add(
            turn.id,
            reasoning=reasoning,
            answer=answer,
            reasoning_tokens=reasoning_tokens,
            answer_tokens=answer_tokens,
        )
        self._after_writing()

    def end(self, turn: Turn, reply: Reply) -> None:
        """Record the end of the turn."""
        self.session.end(turn.id, reply, thinking_seconds=turn.thinking_seconds)
        self._after_writing()

    def flush(self) -> None:
        """Write everything to disk."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        before = self.trouble
        self.session.flush()
        self._after_writing()
        if self.trouble != before:
            self._on_change()

    def siblings(self, turn: Turn) -> list[int]:
        """All versions of `turn`, itself included; empty if it is not recorded."""
        return self.session.tree.siblings(turn.id) if turn.id in self.session.tree.turns else []

    def place(self, turn: Turn) -> tuple[int, int]:
        """(position, count) among the versions of `turn`."""
        return _place(self.session, turn.id)

    def saved(self, turns: Sequence[Turn]) -> list[SavedTurn]:
        """`turns` for an engine: the model's own words, not the sanitized ones of the screen.

        A question without a reply is left out: the model does not take two questions in a row.
        """
        self.session.flush()
        kept = self.session.tree.turns
        return [
            kept[turn.id].saved()
            for turn in turns
            if turn.id in kept and (kept[turn.id].reasoning or kept[turn.id].answer)
        ]

    # -- conversations -----------------------------------------------------------------------------------

    def adopt(self, session: Session) -> None:
        """Leave this conversation and record `session` from now on."""
        self._leave()
        self.session = session

    def save_now(self) -> None:
        """Write everything to disk, the draft included."""
        if self._drafting is not None:
            self._save_draft()
        self.flush()

    def close(self) -> None:
        """Write everything to disk at the end; may be called again."""
        self._leave()

    def sync(self) -> None:
        """Sync to disk against a power failure; slow, safe in a thread."""
        self.session.sync()

    # -- drafts ---------------------------------------------------------------------------------------

    def keep_draft(self, text: str, images: Sequence[AttachedImage]) -> None:
        """Save the text of the prompt soon."""
        names = tuple(image.name for image in images)
        self._draft = Draft(text, tuple(str(image.kept) for image in images), names)
        if self._drafting is None:
            self._drafting = asyncio.get_running_loop().call_later(_DRAFT_SECONDS, self._save_draft)

    def draft_of(self, id: str) -> Draft:  # noqa: A002 - the word of the format
        """The unsent text of a conversation."""
        return load_draft(self.library.directory / f"{id}.jsonl")

    def orphaned_draft(self) -> Draft:
        """The unsent text of a program that is gone."""
        return take_orphan(self.library.directory)

    def _save_draft(self) -> None:
        if self._drafting is not None:
            self._drafting.cancel()
            self._drafting = None
        before = self.draft_trouble
        try:
            save_draft(self.session.path, self._draft)
            self.draft_trouble = ""
        except OSError as error:
            self.draft_trouble = f"{error.strerror}: your draft cannot be saved"
            self._drafting = asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._save_draft)
        if self.draft_trouble != before:
            self._on_change()

    # -- the time between --------------------------------------------------------------------------------

    def _leave(self) -> None:
        if self._drafting is not None:
            self._save_draft()
        for timer in (self._drafting, self._flushing):
            if timer is not None:
                timer.cancel()
        self._drafting = self._flushing = None
        self.session.close()
        self._draft = Draft()

    def _after_writing(self) -> None:
        """Flush soon, also if nothing more comes."""
        if self._flushing is None and self.session.waiting:
            delay = _RETRY_SECONDS if self.session.trouble else LONGEST_WAIT
            self._flushing = asyncio.get_running_loop().call_later(delay, self.flush)


def _kept(image: AttachedImage) -> KeptImage:
    width, height = image.size or (None, None)
    return KeptImage(image.name, image.kept.name, image.format, width, height, image.bytes_count)


def _image(kept: KeptImage) -> AttachedImage:
    size = (kept.width, kept.height) if kept.width and kept.height else None
    return AttachedImage(kept.name, kept.path, kept.format, size, kept.bytes_count)


def turns_of(session: Session) -> list[Turn]:
    """The recorded turns of the shown branch, for the screen."""
    turns = [_brought_back(turn) for turn in session.tree.path]
    for turn in turns:
        turn.sibling = _place(session, turn.id)
    return turns


def _place(session: Session, turn: int) -> tuple[int, int]:
    siblings = session.tree.siblings(turn)
    return siblings.index(turn) + 1, len(siblings)


def _brought_back(kept: tree.Turn) -> Turn:
    question = Question(kept.question, tuple(_image(each) for each in kept.images), kept.options)
    turn = Turn(question, id=kept.id)
    turn.add_reasoning(kept.reasoning, kept.reasoning_tokens)
    turn.add_answer(kept.answer, kept.answer_tokens)
    turn.thought_before(kept.thinking_seconds)
    if kept.ending is None:
        turn.fail()
    else:
        turn.finish(Reply(kept.reasoning, kept.answer, kept.ending, kept.stats))
    return turn
