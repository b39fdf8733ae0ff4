"""Change the list of turns: new, open, edit, ask again, switch. No Textual here.

An edited or repeated question becomes a sibling of the first one; nothing is deleted.
"""

from magistral_mlx.errors import SessionError
from magistral_mlx_tui.conversation.controller import Controller
from magistral_mlx_tui.conversation.recorder import turns_of
from magistral_mlx_tui.conversation.turns import Question


def new_conversation(controller: Controller) -> None:
    """Start with no turns; the old conversation is kept, a running answer is stopped."""
    controller.arrange((), session=controller.recorder.library.new())


def open_conversation(controller: Controller, id: str) -> None:  # noqa: A002 - the word of the format
    """Open a kept conversation; a running answer is stopped.

    Raises:
        SessionError: there is none, or it is open elsewhere; then nothing changes.
    """
    if id != controller.recorder.session.id:
        session = controller.recorder.library.open(id)
        controller.arrange(turns_of(session), session=session)


def ask_again(controller: Controller) -> bool:
    """Ask the last question again; returns whether there is one."""
    turn = controller.turn
    return turn is not None and edit_last(controller, turn.question)


def edit_last(controller: Controller, question: Question) -> bool:
    """Ask `question` in place of the last one; returns whether there is a last one."""
    if controller.turn is None:
        return False
    controller.arrange(controller.turns[:-1])
    controller.submit(question)
    return True


def switch_branch(controller: Controller, step: int = 1) -> bool:
    """Show the version `step` further at the last fork; returns whether there is a fork.

    Raises:
        SessionError: an answer is running.
    """
    recorder = controller.recorder
    forked = next((turn for turn in reversed(controller.turns) if len(recorder.siblings(turn)) > 1), None)
    if forked is None:
        return False
    if controller.phase.busy:
        raise SessionError("An answer is running", "Stop it first; everything is kept.")
    siblings = recorder.siblings(forked)
    recorder.session.choose(siblings[(siblings.index(forked.id) + step) % len(siblings)])
    controller.arrange(turns_of(recorder.session))
    return True
