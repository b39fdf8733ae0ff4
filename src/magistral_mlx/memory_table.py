"""The table "memory per Mac" of the README, in Markdown, from the arithmetic that loading obeys."""

from collections.abc import Sequence

from magistral_mlx.memory import GIB, KV_BITS, MAGISTRAL_SMALL_4BIT, Machine, ModelSize, Plan, plan

MAC_SIZES = (16, 18, 24, 32, 36, 48, 64, 96, 128)
"""Unified memory of Macs, in GiB."""


def memory_table(size: ModelSize = MAGISTRAL_SMALL_4BIT, macs: Sequence[int] = MAC_SIZES) -> str:
    """The table "memory per Mac" in Markdown: context that fits with a KV cache of 16, 8 and 4 bits.

    macOS lets the GPU use a share of the memory that depends on version and machine; the two columns are the
    usual ones. The real figure of a Mac is `mx.device_info()["max_recommended_working_set_size"]`.
    """
    lines = [
        "| Mac | if the GPU may use 2/3 | if the GPU may use 3/4 |",
        "|---|---|---|",
    ]
    for mac in macs:
        cells = [_cell(plan(size, Machine(recommended_bytes=mac * GIB * share // 12))) for share in (8, 9)]
        lines.append(f"| {mac} GB | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(made: Plan) -> str:
    limit = f"{(made.machine.limit_bytes or 0) / GIB:.1f} GB"
    if not made.fits:
        return f"{limit}: does not fit"
    contexts = [made.context(bits) for bits in KV_BITS]
    if contexts[0] == made.size.context_length:
        return f"{limit}: {_tokens(contexts[0])}, all of it"
    return f"{limit}: {' / '.join(map(_tokens, contexts))}"


def _tokens(count: int) -> str:
    """Thousands of tokens, rounded down: a promise must hold."""
    return f"{count // 1000}k"
