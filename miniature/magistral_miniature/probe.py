"""Score a decoder on cases: the share of right answers.

An answer is right if it is the expected one to the letter; for sums and differences, where a wording does not
say which number is named first, if its result is. A question may be declined in the general words or in those
for numbers ("What is seventeen times twelve?").
"""

import re

import torch
from torch import Tensor

from magistral_miniature.cases import Case, case, prompt_of
from magistral_miniature.decoder import Decoder
from magistral_miniature.generate import greedy
from magistral_miniature.phrasing import Split
from magistral_miniature.pool import Pool
from magistral_miniature.talk import DECLINED, NO_SUCH_NUMBERS
from magistral_miniature.tokens import CONTROL, Encoder

__all__ = ["answer_of", "is_right", "probe"]
_EITHER_WAY = ("add", "difference")
_RESULT = re.compile(r"\*\*(-?\d+)\*\*")


def is_right(answer: str, held: Case) -> bool:
    """Whether an answer counts."""
    wanted = held.turn.answer
    if held.turn.task == "unknown":
        return answer in (DECLINED, NO_SUCH_NUMBERS)
    if held.turn.task in _EITHER_WAY:
        return bool(found := _RESULT.findall(answer)) and found == _RESULT.findall(wanted)
    return answer == wanted


def answer_of(ids: list[int], encoder: Encoder) -> str:
    """Return the text after the thought, or "" when the thought never ended."""
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
    """Return the share of right answers per task, and the wrong ones with what was generated."""
    cases = [case(task, number, pool.pictures, split) for task in tasks for number in numbers]
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
    shown = [] if held.picture is None else [held.picture]
    ids, _ = encoder.pieces(prompt_of(held), {number: pool.size(number) for number in shown})
    with torch.no_grad():
        return ids, pool.of(shown)
