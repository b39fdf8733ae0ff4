"""`ask_many` on the owner thread: begin the questions, answer them side by side, collect the replies."""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from magistral_mlx.api.checks import check_callback
from magistral_mlx.api.owner_thread import owner_thread
from magistral_mlx.api.request import Question
from magistral_mlx.errors import UsageError
from magistral_mlx.events import Reply
from magistral_mlx.generation.options import Options
from magistral_mlx.generation.reply.steering import Steering
from magistral_mlx.machine.faults import recognise

if TYPE_CHECKING:
    from magistral_mlx.generation.answering import Answering
    from magistral_mlx.generation.cache.prompt_cache import PromptCache
    from magistral_mlx.generation.loaded_model import LoadedModel


def check_batch(options: Options, batch_size: object, on_reply: object) -> None:
    """Check the arguments of a batch.

    Raises:
        UsageError: the size is impossible, `on_reply` is no function, or batches do not take an option.
    """
    check_callback("on_reply", on_reply)
    if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
        raise UsageError(f"batch_size is {batch_size!r}", "Give a whole number, 1 or more.")
    if options.logprobs is not None:
        raise UsageError("Batches give no log-probabilities", "Ask one by one, or leave out logprobs.")
    if options.kv_bits not in (None, 16):
        raise UsageError("The KV caches of batches have 16 bits", "Leave out kv_bits, or ask one by one.")


def answer_many(
    loaded: "LoadedModel",
    questions: Sequence[Question],
    stopping: threading.Event,
    *,
    batch_size: int,
    on_reply: Callable[[int, Reply], None] | None,
) -> list[Reply]:
    """The replies, in order. Those still running when `stopping` is set end as stopped."""
    from magistral_mlx.generation.batching import answer_side_by_side

    asked_at = time.perf_counter()
    owner = owner_thread()
    open_caches: dict[int, PromptCache] = {}
    replies: dict[int, Reply] = {}

    def begin(number: int) -> "Answering":
        answering, cache = questions[number].begin(
            stopping=lambda: stopping.is_set() or owner.closing, steering=Steering(), asked_at=asked_at
        )
        open_caches[number] = cache
        return answering

    def finished(number: int, answering: "Answering", reply: Reply) -> None:
        questions[number].end(open_caches.pop(number), answering, reply)
        loaded.caches.forget(questions[number].history.owner)
        replies[number] = reply
        if on_reply is not None:
            on_reply(number, reply)

    begins = [partial(begin, number) for number in range(len(questions))]
    try:
        answer_side_by_side(loaded.model, begins, most_rows=batch_size, finished=finished)
    except (RuntimeError, MemoryError) as error:
        fault = recognise(error)
        if fault is None:
            raise
        raise fault.error() from error
    finally:
        for number, cache in open_caches.items():
            questions[number].end(cache, None, None)
            loaded.caches.forget(questions[number].history.owner)
    return [replies[number] for number in range(len(questions))]
