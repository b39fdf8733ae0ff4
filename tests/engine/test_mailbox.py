"""Messages that wait for a slow reader stay complete, in order, and small."""

from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.engine.protocol import Answer, Message, Prefill, Progress, Reasoning, Stop
from magistral_mlx.engine.wire import Mailbox


def filled(*messages: Message, turn: int = 1) -> Mailbox:
    mailbox = Mailbox(lambda: None)
    for message in messages:
        mailbox.put(turn, message)
    return mailbox


def test_adjacent_pieces_are_one() -> None:
    mailbox = filled(Reasoning("a", 1), Reasoning("b", 2), Answer("c", 1), Answer("d", 1), Reasoning("e", 1))
    assert mailbox.take() == [(1, Reasoning("ab", 3)), (1, Answer("cd", 2)), (1, Reasoning("e", 1))]
    assert mailbox.take() == []


def test_only_the_latest_figures_count() -> None:
    mailbox = filled(Prefill(1, 9), Prefill(2, 9), Progress(context_used=1), Progress(context_used=2))
    assert mailbox.take() == [(1, Prefill(2, 9)), (1, Progress(context_used=2))]


def test_turns_and_commands_are_never_merged() -> None:
    mailbox = filled(Reasoning("a", 1), Stop(), Stop())
    mailbox.put(2, Reasoning("b", 1))
    mailbox.put(2, Reasoning("c", 1))
    assert mailbox.take() == [(1, Reasoning("a", 1)), (1, Stop()), (1, Stop()), (2, Reasoning("bc", 2))]


def test_a_reader_is_woken_once_per_filling() -> None:
    woken: list[int] = []
    mailbox = Mailbox(lambda: woken.append(1))
    for _ in range(3):
        mailbox.put(1, Reasoning("a", 1))
        mailbox.put(1, Stop())
    assert len(woken) == 1
    mailbox.take()
    mailbox.put(1, Reasoning("a", 1))
    assert len(woken) == 2


pieces = st.one_of(st.builds(Reasoning, st.text(), st.just(1)), st.builds(Answer, st.text(), st.just(1)))


@given(st.lists(st.tuples(pieces, st.booleans())))
def test_no_text_and_no_token_is_lost(puts: list[tuple[Reasoning | Answer, bool]]) -> None:
    mailbox = Mailbox(lambda: None)
    got: list[Message] = []
    for piece, read in puts:
        mailbox.put(1, piece)
        if read:
            got += [message for _, message in mailbox.take()]
    got += [message for _, message in mailbox.take()]
    for kind in (Reasoning, Answer):
        sent = [piece for piece, _ in puts if type(piece) is kind]
        arrived = [piece for piece in got if isinstance(piece, kind)]
        assert "".join(piece.text for piece in arrived) == "".join(piece.text for piece in sent)
        assert sum(piece.tokens for piece in arrived) == len(sent)
