"""A formula that stands on lines of its own."""

import re
from dataclasses import dataclass

from rich.cells import cell_len

from magistral_mlx_tui.text.latex import display_formula, flat_formula
from magistral_mlx_tui.text.layout.lines import Line, Role

LARGEST = 4000
"""Characters; something longer between the marks of a formula is no formula."""

_ENVIRONMENTS = "align|aligned|equation|gather|gathered|multline|eqnarray|cases"
_WHOLE = re.compile(r"(?P<indent>\s*)(?:\\\[(?P<bracketed>.+?)\\\]|\$\$(?P<dollars>[^$]+)\$\$)\s*[.,;]?\s*")
_OPENING = re.compile(
    rf"(?P<indent>\s*)(?:(?P<mark>\\\[|\$\$)|\\begin\{{(?P<name>(?:{_ENVIRONMENTS})\*?)\}})(?P<rest>.*)"
)
_DEEPEST_LEAD = 20


@dataclass(frozen=True, slots=True)
class Formula:
    """A display formula: in two dimensions if it fits, else on one line, or as it was written."""

    source: str
    """Without its delimiters."""
    written: tuple[str, ...]
    """Its source lines with them."""
    lead: str = ""

    @property
    def role(self) -> Role:
        """A boxed formula is the result."""
        return "result" if self.source.lstrip().startswith(r"\boxed") else "math"

    @property
    def rows_expected(self) -> int:
        """Its rows in two dimensions, or its source lines."""
        return len(display_formula(self.source) or self.written)

    def lay_out(self, width: int) -> list[Line]:
        """The widest form that fits."""
        rows = display_formula(self.source)
        lead = self.lead + "  "
        if rows is not None and max(map(cell_len, rows)) + len(lead) <= width:
            return [Line(row, self.role, lead=lead) for row in rows]
        flat = flat_formula(self.source)
        if flat is not None:
            return [Line(flat, self.role, lead=lead, hang=lead + "  ")]
        return [Line(line, "math") for line in self.written]


def whole_formula(source: str) -> Formula | None:
    """The formula that a source line is, if it is nothing else."""
    match = _WHOLE.fullmatch(source) if len(source) <= LARGEST else None
    if match is None:
        return None
    inner = match["bracketed"] or match["dollars"] or ""
    if r"\[" in inner or r"\]" in inner:
        return None
    return Formula(inner.strip(), (source,), match["indent"][:_DEEPEST_LEAD])


class OpenFormula:
    """Source lines from the opening mark of a formula on, until the closing one comes."""

    def __init__(self, source: str, opening: re.Match[str]) -> None:
        self.lines = [source]
        self._lead = opening["indent"][:_DEEPEST_LEAD]
        self._mark: str | None = opening["mark"]
        self._environment: str | None = opening["name"]
        self._size = len(source)

    @staticmethod
    def begun_by(source: str) -> "OpenFormula | None":
        """The formula that a source line opens and does not close."""
        if "\\" not in source and "$$" not in source:
            return None
        match = _OPENING.fullmatch(source) if len(source) <= LARGEST else None
        if match is None or any(mark in match["rest"] for mark in ("$$", r"\]", r"\[")):
            return None
        if match["name"] and f"\\end{{{match['name']}}}" in match["rest"]:
            return None
        return OpenFormula(source, match)

    def takes(self, source: str) -> bool:
        """Whether a formula may go on with `source`; there is no empty line in one."""
        return bool(source.strip()) and self._size + len(source) <= LARGEST and "```" not in source

    def add(self, source: str) -> Formula | None:
        """The next source line; returns the formula when it is complete."""
        self.lines.append(source)
        self._size += len(source) + 1
        written = "\n".join(self.lines)
        if self._environment is not None:
            if not source.rstrip().endswith(f"\\end{{{self._environment}}}"):
                return None
            return Formula(written.strip(), tuple(self.lines), self._lead)
        closing = r"\]" if self._mark == r"\[" else "$$"
        position = source.find(closing)
        if position < 0 or source[position + 2 :].strip(" .,;"):
            return None
        inner = "\n".join([*self.lines[:-1], source[:position]]).strip()
        return Formula(inner[2:].strip(), tuple(self.lines), self._lead)
