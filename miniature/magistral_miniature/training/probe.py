"""Score a decoder on cases: the share of right answers."""

import torch
from torch import Tensor

from magistral_miniature.publishing.generate import greedy
from magistral_miniature.tasks.cases import Case, case, is_right, prompt_of
from magistral_miniature.training.decoder import Decoder
from magistral_miniature.training.pool import Pool
from magistral_miniature.training.tokens import CONTROL, Encoder
from magistral_miniature.wordings.phrasing import Split

__all__ = ["answer_of", "probe"]


def answer_of(ids: list[int], encoder: Encoder) -> str:
    """Return the text after the reasoning, or "" if the reasoning never ended."""
    end = CONTROL["[/THINK]"]
    return encoder.decode(ids[ids.index(end) + 1 :]) if end in ids else ""


def probe(
    decoder: Decoder,
    pool: Pool,
    encoder: Encoder,
    tasks: tuple[str, ...],
    numbers: range,
    split: Split = "held-out",
    chunk: int = 250,
) -> tuple[dict[str, float], list[tuple[Case, str]]]:
    """Return the share of right answers per task, and the wrong cases with the generated text."""
    cases = [case(task, number, pool.images, split) for task in tasks for number in numbers]
    right = dict.fromkeys(tasks, 0)
    wrong: list[tuple[Case, str]] = []
    encoded = [_encode(held, pool, encoder) for held in cases]
    order = sorted(range(len(cases)), key=lambda i: len(cases[i].turn.thought))
    for begin in range(0, len(order), chunk):
        part = order[begin : begin + chunk]
        outputs = greedy(decoder, [encoded[i][0] for i in part], [encoded[i][1] for i in part])
        for index, ids in zip(part, outputs, strict=True):
            held = cases[index]
            if is_right(answer_of(ids, encoder), held):
                right[held.turn.task] += 1
            else:
                wrong.append((held, encoder.decode(ids)))
    return {task: count / len(numbers) for task, count in right.items()}, wrong


def _encode(held: Case, pool: Pool, encoder: Encoder) -> tuple[list[int], Tensor]:
    shown = [] if held.image is None else [held.image]
    ids, _ = encoder.pieces(prompt_of(held), {number: pool.size(number) for number in shown})
    with torch.no_grad():
        return ids, pool.of(shown)
