"""Train the decoder on conversations about images, with features from the frozen vision tower.

The optimizers are Muon and AdamW. The learning rate is constant, then falls to zero. The last part is 4-bit
quantization-aware. A run ends after the given minutes and can be resumed. Usage:

    python -m magistral_miniature.training.train --pool runs/pool.pt --held-out runs/held-out.pt \\
        --tokenizer runs/tekken.json --minutes 95 --to runs/decoder.pt

`--start FOLDER` polishes an exported checkpoint instead: at a part of the learning rate, which falls from the
first step, with quantized weights throughout.
"""

import argparse
import copy
import time
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from magistral_miniature.publishing.published import published_decoder
from magistral_miniature.tasks.cases import MAIN_TASKS
from magistral_miniature.training.batches import Batch, feed
from magistral_miniature.training.decoder import Decoder
from magistral_miniature.training.optimizer import Muon, split_parameters
from magistral_miniature.training.pool import Pool
from magistral_miniature.training.probe import probe
from magistral_miniature.training.quantization import through_quantization
from magistral_miniature.training.shape import SHAPE
from magistral_miniature.training.tokens import Encoder

__all__ = ["main"]

_MUON_RATE, _MUON_DECAY, _ADAM_RATE = 0.01, 0.4, 1.5e-3
_HELP_UNTIL, _QUANTIZED_FROM, _DECAY_FROM = 0.9, 0.65, 0.3


@dataclass
class Run:
    """The state of a training run, as a checkpoint holds it."""

    decoder: Decoder
    places: nn.Module
    average: Decoder
    polishing: float | None
    optimizers: list[torch.optim.Optimizer]
    seconds: float = 0.0
    step: int = 0
    tokens: int = 0
    losses: list[float] = field(default_factory=list)
    place_hits: list[float] = field(default_factory=list)
    look_hits: list[float] = field(default_factory=list)
    copy_hits: list[float] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write a checkpoint; after a crash the earlier one is intact."""
        state = {
            "decoder": self.decoder.state_dict(),
            "places": self.places.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "progress": (self.seconds, self.step, self.tokens),
        }
        torch.save(state, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint."""
        state = torch.load(path)
        self.decoder.load_state_dict(state["decoder"])
        self.places.load_state_dict(state["places"])
        self.average.load_state_dict(state["average"])
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        self.seconds, self.step, self.tokens = state["progress"]


def start(folder: Path | None, rate: float) -> Run:
    """Return a new run, from random weights or from an exported checkpoint at a part of the rate."""
    torch.manual_seed(0)
    decoder = published_decoder(folder) if folder else Decoder(SHAPE)
    places = nn.Linear(SHAPE.hidden, 12)
    matrices, rest = split_parameters([decoder])
    adam = torch.optim.AdamW(
        [*rest, *places.parameters()], lr=_ADAM_RATE, betas=(0.9, 0.95), weight_decay=0.0
    )
    muon = Muon(matrices, lr=_MUON_RATE, decay=_MUON_DECAY)
    return Run(decoder, places, copy.deepcopy(decoder), rate if folder else None, [muon, adam])


def loss_of(run: Run, batch: Batch, pool: Pool, done: float) -> Tensor:
    """Return the cross-entropy of the learned tokens plus, for most of the run, two auxiliary losses."""
    ids, learned = torch.from_numpy(batch.ids), torch.from_numpy(batch.learned)
    features = pool.of(batch.images)
    features = features + 0.01 * torch.randn_like(features)
    with torch.autocast("cpu", torch.bfloat16):
        states, early, scores = run.decoder(ids, features)
        logits = run.decoder.lm_head(states[:, :-1][learned[:, 1:]])
    loss = functional.cross_entropy(logits.float(), ids[:, 1:][learned[:, 1:]])
    run.losses.append(loss.item())
    if done < _HELP_UNTIL:
        loss = loss + 0.3 * look_loss(run, batch, scores)
        if len(batch.places) and not run.polishing:
            loss = loss + 0.3 * place_loss(run, batch, early[ids == Decoder.IMAGE])
    return loss


def place_loss(run: Run, batch: Batch, states: Tensor) -> Tensor:
    """Return the loss on row and column of each [IMG] token, read from its state before the looking layer."""
    guesses, places = run.places(states.float()), torch.from_numpy(batch.places)
    run.place_hits.append((guesses[:, :6].argmax(1) == places[:, 0]).float().mean().item())
    rows = functional.cross_entropy(guesses[:, :6], places[:, 0])
    return rows + functional.cross_entropy(guesses[:, 6:], places[:, 1])


def look_loss(run: Run, batch: Batch, scores: Tensor) -> Tensor:
    """Return the loss on attention: one head looks at the next word's cell, one at the token to copy."""
    looks = torch.from_numpy(batch.looks)
    loss = scores.new_zeros(())
    for head, hits in ((0, run.look_hits), (1, run.copy_hits)):
        rows, _, queries, keys = looks[looks[:, 1] == head].unbind(1)
        if len(rows):
            chosen = scores[rows, head, queries]
            hits.append((chosen.argmax(1) == keys).float().mean().item())
            loss = loss + functional.cross_entropy(chosen, keys)
    return loss


def update(run: Run, batch: Batch, pool: Pool, done: float) -> None:
    """Take one step."""
    warm = min(1.0, (run.step + 1) / 60)
    if run.polishing:
        rate, share = warm * run.polishing * (1 - done), 1.0
    else:
        rate = warm * min(1.0, (1 - done) / (1 - _DECAY_FROM))
        share = min(1.0, max(0.0, (done - _QUANTIZED_FROM) / 0.05))
    for optimizer, base in zip(run.optimizers, (_MUON_RATE, _ADAM_RATE), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = base * rate
    with through_quantization(run.decoder, share):
        loss = loss_of(run, batch, pool, done)
        loss.backward()
    for optimizer in run.optimizers:
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        mine, theirs = list(run.average.parameters()), list(run.decoder.parameters())
        torch._foreach_lerp_(mine, theirs, 1 - min(0.998, run.step / (run.step + 10)))
    run.step += 1
    run.tokens += batch.ids.size


def report_losses(run: Run) -> None:
    """Print means since the last report: the loss, and the shares of right places and look-ups."""
    parts = []
    for name, values in (
        ("loss", run.losses),
        ("place", run.place_hits),
        ("look", run.look_hits),
        ("copy", run.copy_hits),
    ):
        parts += [f"{name} {sum(values) / len(values):.4f}"] if values else []
        values.clear()
    pace = f"{run.tokens / run.seconds:.0f} tokens/s"
    print(f"{run.step} {run.seconds:.0f}s {' '.join(parts)} {pace}", flush=True)


def report(run: Run, held_out: Pool, encoder: Encoder, cases: int) -> None:
    """Print scores of the averaged weights, quantized."""
    begin = time.time()
    with through_quantization(run.average):
        scores, wrong = probe(run.average, held_out, encoder, MAIN_TASKS, range(cases))
    print("  ".join(f"{task} {score:.2f}" for task, score in scores.items()), flush=True)
    for held, said in wrong[:: max(1, len(wrong) // 8)][:8]:
        print(f"  [{held.turn.task}] {held.turn.question!r} -> {said[-200:]!r}")
    print(f"  probe took {time.time() - begin:.0f}s", flush=True)


def main() -> None:
    """Train for the given time."""
    options = _options()
    torch.set_num_threads(options.threads)
    pool, held_out = Pool.load(options.pool), Pool.load(options.held_out)
    encoder, run = Encoder(options.tokenizer), start(options.start, options.rate)
    if options.to.exists():
        run.load(options.to)
    for layer in run.decoder.model.layers:
        layer.compile(dynamic=True)
    context = get_context("spawn")
    queue = context.Queue(maxsize=24)
    seed = options.seed + run.step
    target = (queue, pool.images, options.tokenizer, seed, options.batch)
    feeder = context.Process(target=feed, args=target, daemon=True)
    feeder.start()
    total, last, saved, probed = options.minutes * 60, time.time(), time.time(), time.time()
    while run.seconds < total:
        update(run, queue.get(), pool, run.seconds / total)
        run.seconds, last = run.seconds + time.time() - last, time.time()
        if run.step % 50 == 0:
            report_losses(run)
        if time.time() - saved > 180:
            run.save(options.to)
            saved = time.time()
        if time.time() - probed > options.probe_minutes * 60:
            report(run, held_out, encoder, 16)
            probed = time.time()
    run.save(options.to)
    report(run, held_out, encoder, 40)
    feeder.terminate()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--held-out", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="an exported folder to polish")
    parser.add_argument("--rate", type=float, default=0.15, help="part of the learning rate for polishing")
    parser.add_argument("--minutes", type=float, default=95)
    parser.add_argument("--probe-minutes", type=float, default=7)
    parser.add_argument("--batch", type=int, default=8_192, help="padded tokens in a batch")
    parser.add_argument("--seed", type=int, default=1_000, help="use another one for every polishing run")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
