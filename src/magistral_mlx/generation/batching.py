"""Several questions answered side by side: read one after the other, written together.

Prompts are read one at a time, images included, so a batch needs no more memory for reading than a single
question. As soon as one reply ends, the next question takes its place (continuous batching). Each reply keeps
its own limits, budget, loop detection, stop strings and schema.

mlx-lm's `BatchGenerator` is not used: it takes ids only, so no images, and sets the wired limit.
"""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from magistral_mlx.events import Reply
from magistral_mlx.generation.answering import Answering
from magistral_mlx.generation.decode.loop import DecodeLoop, Row
from magistral_mlx.model.magistral import MagistralModel

T = TypeVar("T")


def answer_side_by_side(
    model: MagistralModel,
    questions: Sequence[Callable[[], Answering]],
    *,
    most_rows: int,
    finished: Callable[[int, Answering, Reply], None],
) -> None:
    """Answer all of `questions`, at most `most_rows` at a time.

    Args:
        model: the decoder.
        questions: compose and encode one question each; called in their order, when their turn has come.
        most_rows: memory for KV caches grows with it.
        finished: called with the number of a question, its answering and its reply, as soon as it is there.
    """
    waiting = deque(enumerate(questions))
    loop = DecodeLoop(model)
    running: dict[Row, tuple[int, Answering]] = {}
    while waiting or running:
        while waiting and len(running) < most_rows:
            number, begin = waiting.popleft()
            answering = begin()
            row = _run(answering.read())
            if row is None:  # stopped while it was read
                finished(number, answering, answering.leave())
                continue
            loop.join(row)
            running[row] = number, answering
        if not running:
            continue
        for row, token_id in loop.step():
            number, answering = running[row]
            answering.token_came()
            if not answering.take(row, token_id)[1]:
                loop.leave(row)
                del running[row]
                finished(number, answering, answering.leave())


def _run(work: Generator[object, None, T]) -> T:
    """Run a generator to its end and return its value."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # typeshed has no type for a generator's return value
