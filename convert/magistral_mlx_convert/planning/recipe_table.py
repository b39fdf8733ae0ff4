"""The recipes as people choose among them: what each is for, and what it makes of Magistral Small.

The sizes are constants, so that `--help` computes nothing; a test holds them against the plan of the whole
model. Importing this file costs nothing.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class RecipeLine:
    """`gb`: weights of Magistral Small 1.2 in units of 1e9 bytes, vision tower and projector in bfloat16."""

    name: str
    gb: float
    what: str


RECIPE_TABLE: tuple[RecipeLine, ...] = (
    RecipeLine("4bit", 14.1, "affine, groups of 64"),
    RecipeLine(
        "calibrated-4bit", 14.1, "codes chosen by what the matrices read: a third of the loss of 4bit"
    ),
    RecipeLine("calibrated-4bit-g32", 15.6, "groups of 32: a fifth of the loss of 4bit"),
    RecipeLine("calibrated-3bit", 11.2, "3 bits, where 4 do not fit"),
    RecipeLine("calibrated-3bit-g32", 12.7, "3 bits in groups of 32: less loss than 4bit"),
    RecipeLine("calibrated-5bit", 17.1, "5 bits"),
    RecipeLine("calibrated-5bit-g32", 18.6, "5 bits in groups of 32"),
    RecipeLine("4bit-g32", 15.6, "groups of 32: a tenth less error for 10 % more"),
    RecipeLine("3bit", 11.2, "twice the error of 4bit"),
    RecipeLine("5bit", 17.1, "half the error of 4bit"),
    RecipeLine("6bit", 20.0, "a quarter of the error of 4bit"),
    RecipeLine("8bit", 25.9, "a tenth of the error of 4bit"),
    RecipeLine("mxfp4", 13.4, "4-bit floats, groups of 32: a quarter more error than 4bit"),
    RecipeLine("nvfp4", 14.1, "4-bit floats, groups of 16: the error of 4bit"),
    RecipeLine("mxfp8", 25.2, "8-bit floats, groups of 32: three times the error of 8bit"),
)
"""What `magistral convert --help` and docs/recipes.md show."""


def recipe_table() -> str:
    """`RECIPE_TABLE` in Markdown, as docs/recipes.md shows it."""
    rows = [f"| `{each.name}` | {each.gb:.1f} | {each.what} |" for each in RECIPE_TABLE]
    return "\n".join(["| recipe | GB | what it is for |", "|---|---|---|", *rows, ""])
