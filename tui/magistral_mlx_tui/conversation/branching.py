"""The verbs that change which turns a conversation has: new, open, edit, ask again, switch. No Textual here.

An edited or repeated question becomes a sibling of the first one; nothing that was said goes away.
"""

from magistral_mlx.errors import SessionError
from magistral_mlx_tui.conversation.controller import Controller
from magistral_mlx_tui.conversation.recorder import turns_of
from magistral_mlx_tui.conversation.turns import Question


def new_conversation(controller: Controller) -> None:
    """Begin with no turns; the conversation before stays kept, a running answer is stopped."""
    controller.arrange((), session=controller.keeper.library.new())


def open_conversation(controller: Controller, id: str) -> None:  # noqa: A002 - the word of the format
    """Go on with a kept conversation; a running answer is stopped.

    Raises:
        SessionError: there is none, or it is open elsewhere; then nothing changes.
    """
    if id != controller.keeper.session.id:
        session = controller.keeper.library.open(id)
        controller.arrange(turns_of(session), session=session)


def ask_again(controller: Controller) -> bool:
    """Ask the last question once more, as it was asked; returns whether there is one."""
    turn = controller.turn
    return turn is not None and edit_last(controller, turn.question)


def edit_last(controller: Controller, question: Question) -> bool:
    """Put `question` in the place of the last one, and ask it; returns whether there is a last one."""
    if controller.turn is None:
        return False
    controller.arrange(controller.turns[:-1])
    controller.submit(question)
    return True


def switch_branch(controller: Controller, step: int = 1) -> bool:
    """Show what was asked in the same place `step` questions later; returns whether there is anything else.

    It is the last fork of the path that is switched.

    Raises:
        SessionError: an answer is running.
    """
    keeper = controller.keeper
    forked = next((turn for turn in reversed(controller.turns) if len(keeper.siblings(turn)) > 1), None)
    if forked is None:
        return False
    if controller.phase.busy:
        raise SessionError("An answer is running", "Stop it first: esc keeps everything.")
    siblings = keeper.siblings(forked)
    keeper.session.choose(siblings[(siblings.index(forked.id) + step) % len(siblings)])
    controller.arrange(turns_of(keeper.session))
    return True
