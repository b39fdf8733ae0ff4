"""Nodes -> text: flat on one line, or in two dimensions where the terminal has room.

A box is rows of equal width with a base line, as in TeX; boxes side by side stand on one base line. Drawn
flat, every box is one row high: fractions get a slash and brackets, limits become scripts.
"""

from rich.cells import cell_len

from magistral_mlx_tui.text.latex.box import Box, beside, delimiter, pad, pile
from magistral_mlx_tui.text.latex.nodes import (
    Accent,
    Atom,
    Boxed,
    Fenced,
    Fraction,
    Grid,
    Node,
    Root,
    Row,
    Scripts,
    Stacked,
)
from magistral_mlx_tui.text.latex.parser import Unreadable
from magistral_mlx_tui.text.latex.symbols import LIMITS, SUBSCRIPTS, SUPERSCRIPTS, Kind

_LARGEST_AREA = 20_000
_LONGEST_ACCENTED = 12


def draw(node: Node, *, flat: bool) -> Box:
    """The box of a node.

    Raises:
        Unreadable: it cannot be drawn without doubt, or would be huge.
    """
    box = _drawn(node, flat=flat)
    if box.width * len(box.rows) > _LARGEST_AREA:
        raise Unreadable
    return box


def _drawn(node: Node, *, flat: bool) -> Box:
    match node:
        case Atom():
            return Box((node.text,))
        case Row():
            return _row(node.parts, flat=flat)
        case Fraction():
            return _fraction(node, flat=flat)
        case Root():
            return _root(node, flat=flat)
        case Scripts():
            return _scripts(node, flat=flat)
        case Accent():
            return _accent(node)
        case Stacked():
            return _stacked(node, flat=flat)
        case Fenced():
            inner = draw(node.body, flat=flat)
            return beside([delimiter(node.left, inner), inner, delimiter(node.right, inner)])
        case Grid():
            return _flat_grid(node) if flat else _grid(node)
        case Boxed():
            return _boxed(draw(node.body, flat=flat), flat=flat)


# -- side by side ------------------------------------------------------------------------------------------


def _row(parts: tuple[Node, ...], *, flat: bool) -> Box:
    boxes: list[Box] = []
    kinds = _kinds(parts)
    for index, part in enumerate(parts):
        box = draw(part, flat=flat)
        before = kinds[index - 1] if index else None
        after = kinds[index + 1] if index + 1 < len(parts) else None
        opened = (
            isinstance(part, Root) and not part.degree
        )  # 2√3 says it; ³√27 could lend its 3 to a neighbour
        if not box.tight and ((_touches(before, right=False) and not opened) or _touches(after, right=True)):
            box = beside([Box(("(",)), box, Box((")",))])
        gap = _gap(before, kinds[index], parts, index)
        if not gap and index and max(len(box.rows), len(boxes[-1].rows)) > 1 and _parted(parts, kinds, index):
            gap = " "
        boxes += [Box((gap,)), box] if gap else [box]
    row = beside(boxes)
    if len(parts) == 1:
        return Box(row.rows, row.base, tight=boxes[-1].tight)
    loose = any(kind in ("bin", "rel") for kind in kinds)
    return Box(row.rows, row.base, tight=not loose)


def _kinds(parts: tuple[Node, ...]) -> list[Kind]:
    """What each part does here: a sign is binary only between two things."""
    kinds: list[Kind] = []
    for part in parts:
        kind = _kind(part)
        previous = next((before for before in reversed(kinds) if before != "space"), None)
        if kind == "bin" and previous in (None, "bin", "rel", "open", "punct", "big", "op"):
            kind = "ord"
        kinds.append(kind)
    return kinds


def _kind(part: Node) -> Kind:
    if isinstance(part, Atom):
        return part.kind
    if isinstance(part, Scripts | Stacked):
        base = part.base if isinstance(part, Scripts) else part.body
        kind = _kind(base)
        return kind if kind in ("big", "op", "rel", "close") else "ord"
    if isinstance(part, Row) and len(part.parts) == 1:
        return _kind(part.parts[0])
    return "ord"


def _touches(kind: Kind | None, *, right: bool) -> bool:
    """Whether a neighbour of this kind could be read as part of a fraction beside it."""
    return kind in (("ord", "open", "big", "op", "text") if right else ("ord", "close"))


def _parted(parts: tuple[Node, ...], kinds: list[Kind], index: int) -> bool:
    """Whether a fraction's bar would touch a sign beside it."""
    pair = (parts[index - 1], parts[index])
    signs = (kinds[index - 1], kinds[index])
    return any(isinstance(part, Fraction) and part.bar for part in pair) and all(
        kind in ("ord", "close", "op", "big", "text") for kind in signs
    )


def _gap(before: Kind | None, kind: Kind, parts: tuple[Node, ...], index: int) -> str:
    if before is None or "space" in (before, kind):
        return ""
    if before == "punct":
        return " "
    if kind in ("bin", "rel") or before in ("bin", "rel"):
        return " "
    if before == "op" and kind not in ("open", "close", "punct"):
        return " "
    if kind in ("op", "big") and before not in ("open", "punct"):
        return " "
    if before == "big" and kind != "close":
        return " "
    # Two numbers that only a space in the source kept apart.
    first, second = parts[index - 1], parts[index]
    if isinstance(first, Atom) and isinstance(second, Atom) and first.text[-1:].isdigit():
        return " " if second.text[:1].isdigit() else ""
    return ""


# -- above each other --------------------------------------------------------------------------------------


def _fraction(node: Fraction, *, flat: bool) -> Box:
    flat = flat or node.small
    above, below = draw(node.above, flat=flat), draw(node.below, flat=flat)
    if not node.bar:
        if flat:
            return Box((f"C({above.rows[0]}, {below.rows[0]})",))
        width = max(above.width, below.width)
        rows = (*pad(above, width), " " * width, *pad(below, width))
        stacked = Box(rows, len(above.rows))
        return beside([delimiter("(", stacked), stacked, delimiter(")", stacked)])
    if flat:
        return Box((f"{_bracketed(above)}/{_bracketed(below, divisor=True)}",), tight=False)
    width = max(above.width, below.width) + 2
    rows = (*pad(above, width), "─" * width, *pad(below, width))
    return Box(rows, len(above.rows))


def _bracketed(box: Box, *, divisor: bool = False) -> str:
    """A flat operand: in brackets unless it is a number, a letter or a power of one."""
    text = box.rows[0]
    if _is_number(text):
        return text
    if divisor:  # 1/(2a), not 1/2a; but 1/x² and dy/dx
        rest = text[2:] if text[:1] in ("d", "∂") and text[1:2].isalpha() else text[1:]
        simple = text[:1].isalpha() and all(sign in _SCRIPT_SIGNS for sign in rest)
    else:
        simple = box.tight and not set(text) & set(" /")
    return text if simple else f"({text})"


_SCRIPT_SIGNS = frozenset(SUPERSCRIPTS.values()) | frozenset(SUBSCRIPTS.values())


def _is_number(text: str) -> bool:
    return bool(text) and all(sign.isdigit() or sign in ".," for sign in text) and text not in ".,"


def _root(node: Root, *, flat: bool) -> Box:
    body = draw(node.body, flat=flat)
    degree = draw(node.degree, flat=True).rows[0] if node.degree else ""
    raised = _translated(degree, SUPERSCRIPTS) if degree else ""
    if raised is None:
        raise Unreadable
    if flat:
        text = body.rows[0]
        plain = len(text) == 1 or _is_number(text)
        return Box((f"{raised}√{text if plain else f'({text})'}",), tight=not plain)
    if len(body.rows) == 1:
        roof = " " * cell_len(raised) + " " + "▁" * body.width
        return Box((roof, f"{raised}√{body.rows[0]}"), 1)
    height = len(body.rows)
    side = [" " * cell_len(raised) + " ┌", *[" " * cell_len(raised) + " │"] * (height - 1), f"{raised}╲│"]
    rows = [side[0] + "─" * body.width + "─"]
    rows += [side[number + 1] + row + " " for number, row in enumerate(body.rows)]
    return Box(tuple(rows), body.base + 1)


def _translated(text: str, table: dict[str, str]) -> str | None:
    """Every character in its raised or lowered form; None if one of them has none."""
    signs = [table.get(sign) for sign in text.replace(" ", "")]
    return "".join(sign for sign in signs if sign) if all(signs) else None


def _scripts(node: Scripts, *, flat: bool) -> Box:
    base = draw(node.base, flat=flat)
    if not flat and _takes_limits(node.base):
        above = draw(node.above, flat=True) if node.above else None
        below = draw(node.below, flat=True) if node.below else None
        return pile(above, base, below)
    if isinstance(node.base, Fraction | Root | Accent) or (isinstance(node.base, Row) and not base.tight):
        base = beside([delimiter("(", base), base, delimiter(")", base)])
    flat = flat or len(base.rows) > 1
    below = _script(node.below, SUBSCRIPTS, "_", flat=flat, raised=False)
    above = _script(node.above, SUPERSCRIPTS, "^", flat=flat, raised=True)
    if len(base.rows) > 1:  # beside something tall: at its corners
        return _at_corners(base, below, above)
    return beside([base, *[box for box in (below, above) if box]])


def _takes_limits(base: Node) -> bool:
    if isinstance(base, Row) and len(base.parts) == 1:
        return _takes_limits(base.parts[0])
    return isinstance(base, Atom) and (base.kind == "big" or base.text in LIMITS or base.text == "lim sup")


def _script(row: Row | None, table: dict[str, str], sign: str, *, flat: bool, raised: bool) -> Box | None:
    if row is None:
        return None
    box = draw(row, flat=True)
    text = box.rows[0]
    if (small := _translated(text, table)) is not None:
        return Box((small,))
    if sign == "^" and text in ("∘", "°"):
        return Box(("°",))
    if not flat and raised:
        return Box((text, " " * box.width), 1)
    if not flat:
        return Box((" " * box.width, text), 0)
    return Box((sign + (text if len(text) == 1 else f"({text})"),))


def _at_corners(base: Box, below: Box | None, above: Box | None) -> Box:
    column = [""] * len(base.rows)
    if above:
        column[0] = above.rows[0]
    if below:
        column[-1] = below.rows[0]
    width = max(map(cell_len, column))
    rows = tuple(
        row + part + " " * (width - cell_len(part)) for row, part in zip(base.rows, column, strict=True)
    )
    return Box(rows, base.base)


def _accent(node: Accent) -> Box:
    text = draw(node.body, flat=True).rows[0]
    if not text or len(text) > _LONGEST_ACCENTED:
        raise Unreadable
    return Box(("".join(sign + node.mark if sign != " " else sign for sign in text),))


def _stacked(node: Stacked, *, flat: bool) -> Box:
    body = draw(node.body, flat=flat)
    above = draw(node.above, flat=True) if node.above else None
    below = draw(node.below, flat=True) if node.below else None
    if not flat:
        return pile(above, body, below)
    text = body.rows[0].strip()
    spaced = text != body.rows[0] or not body.tight
    text = f"({text})" if not body.tight else text
    text += f"_({below.rows[0]})" if below else ""
    text += f"^({above.rows[0]})" if above else ""
    return Box((f" {text} " if spaced else text,))


# -- delimiters, matrices, the box -------------------------------------------------------------------------


def _grid(node: Grid) -> Box:
    cells = [[draw(cell, flat=node.left != "" and len(node.rows) > 6) for cell in row] for row in node.rows]
    count = max(map(len, cells))
    cells = [row + [Box(("",))] * (count - len(row)) for row in cells]
    widths = [max(row[column].width for row in cells) for column in range(count)]
    gap = "" if node.aligned else "  "
    tall = any(len(box.rows) > 1 for row in cells for box in row)
    lines: list[str] = []
    for number, row in enumerate(cells):
        lean = [_lean(node, column) for column in range(count)]
        padded = [
            Box(pad(box, width, lean=side), box.base)
            for box, width, side in zip(row, widths, lean, strict=True)
        ]
        spaced = [box for cell in padded for box in (cell, Box((gap,)))][:-1]
        if node.aligned:
            spaced = _joined(padded)
        lines += [" " * cell_len(lines[-1])] if number and tall else []
        lines += beside(spaced).rows
    width = max(map(cell_len, lines))
    body = Box(tuple(line + " " * (width - cell_len(line)) for line in lines), (len(lines) - 1) // 2)
    sides = [delimiter(node.left, body), body, delimiter(node.right, body)]
    if node.left == "{":
        sides.insert(1, Box((" ",)))
    return beside(sides)


def _lean(node: Grid, column: int) -> str:
    if node.aligned:
        return "left" if column % 2 else "right"
    return "left" if "{" in node.left or "}" in node.right else "middle"


def _joined(cells: list[Box]) -> list[Box]:
    """Cells of aligned equations: the sign at the seam keeps its space, pairs stand apart."""
    joined: list[Box] = []
    for column, cell in enumerate(cells):
        joined += [Box((("   " if column % 2 == 0 else " "),))] if column else []
        joined.append(cell)
    return joined


def _flat_grid(node: Grid) -> Box:
    rows = [[draw(cell, flat=True).rows[0] for cell in row] for row in node.rows]
    within, between = (" ", "; ") if node.aligned else (", ", "; ")
    text = between.join(within.join(cell for cell in row if cell) for row in rows)
    left, right = node.left, node.right
    if not left and not right and not node.aligned and len(rows) > 1:
        return Box((text,), tight=False)
    if left == "{" and not right:
        left = "{ "
    return Box((f"{left}{text}{right}",), tight=bool(left and right))


def _boxed(box: Box, *, flat: bool) -> Box:
    if flat:
        return Box((f"[{box.rows[0]}]",))
    edge = "─" * (box.width + 2)
    return Box((f"┌{edge}┐", *(f"│ {row} │" for row in box.rows), f"└{edge}┘"), box.base + 1)
