r"""LaTeX mathematics -> nodes, by recursive descent; whatever is not certainly understood is refused.

    formula: parts       part: atom [_ script] [^ script]       script: {formula} | one token

Refusing costs nothing: the source is shown instead. So there is no guessing here, no error recovery, and the
length of a formula and its depth are bounded.
"""

import re

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
from magistral_mlx_tui.text.latex.symbols import (
    ACCENTS,
    ALPHABETS,
    DELIMITERS,
    GROUPS,
    NEGATED,
    PLAIN,
    SIGNS,
    TEXT_COMMANDS,
)

LONGEST = 4000
"""Characters of a formula that is read at all."""
_DEEPEST = 24
_TOKEN = re.compile(
    r"\\(?:operatorname\*|[A-Za-z]+)|\\.|\s+|\d+(?:[.,]\d+)*|[^\\]",
    re.DOTALL,
)
_GRIDS = {
    **dict.fromkeys(("matrix", "smallmatrix", "array"), ("", "")),
    "pmatrix": ("(", ")"),
    "bmatrix": ("[", "]"),
    "Bmatrix": ("{", "}"),
    "vmatrix": ("|", "|"),
    "Vmatrix": ("‖", "‖"),
    **dict.fromkeys(("cases", "dcases"), ("{", "")),
    "rcases": ("", "}"),
}
_ALIGNED = frozenset(
    name + star
    for name in ("align", "aligned", "equation", "gather", "gathered", "split", "multline", "eqnarray")
    for star in ("", "*")
)
_OVER = {"overbrace": "⏞", "underbrace": "⏟"}
_SPACED_ARROWS = {"xrightarrow": "→", "xleftarrow": "←", "xRightarrow": "⇒", "xmapsto": "↦"}


class Unreadable(Exception):  # noqa: N818 - not an error of anybody: the formula is shown as it was written
    """The formula is not certainly understood."""


def parse(source: str) -> Row:
    """The nodes of a formula without its delimiters.

    Raises:
        Unreadable: it is too long or too deep, not balanced, or holds a command that is not known.
    """
    if len(source) > LONGEST:
        raise Unreadable
    return _Parser(source).formula()


class _Parser:
    def __init__(self, source: str) -> None:
        self._tokens = _TOKEN.findall(source)
        if sum(map(len, self._tokens)) != len(source):  # a backslash at the very end
            raise Unreadable
        self._next = 0
        self._depth = 0

    def formula(self) -> Row:
        row = self._row(ends=())
        if self._next < len(self._tokens):
            raise Unreadable
        return row

    # -- tokens ------------------------------------------------------------------------------------------

    def _peek(self) -> str:
        while self._next < len(self._tokens) and self._tokens[self._next].isspace():
            self._next += 1
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        if not token:
            raise Unreadable
        self._next += 1
        return token

    def _expect(self, token: str) -> None:
        if self._take() != token:
            raise Unreadable

    def _verbatim(self) -> str:
        """The characters of a braced argument as they are; no braces and no commands in them."""
        self._expect("{")
        start = self._next
        while self._next < len(self._tokens) and self._tokens[self._next] not in "{}":
            self._next += 1
        words = "".join(self._tokens[start : self._next])
        self._expect("}")
        words = re.sub(r"\\([%$&#_ ,])", r"\1", words).replace("~", " ")
        if "\\" in words:
            raise Unreadable
        return re.sub(r"\s+", " ", words)

    # -- structure ---------------------------------------------------------------------------------------

    def _row(self, *, ends: tuple[str, ...]) -> Row:
        """Parts up to one of `ends`, which is left standing, or to the end of the source."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise Unreadable
        parts: list[Node] = []
        while (token := self._peek()) and token not in ends:
            if token in ("}", "&", r"\\", r"\right", r"\middle", r"\end"):
                raise Unreadable
            parts.append(self._scripted(self._part()))
        self._depth -= 1
        return Row(tuple(parts))

    def _scripted(self, base: Node) -> Node:
        below: Row | None = None
        above: Row | None = None
        while (token := self._peek()) in ("_", "^", "'", r"\limits", r"\nolimits"):
            self._next += 1
            if token == "'":
                primes = Atom("′", "close")
                above = Row((*(above.parts if above else ()), primes))
            elif token == "_" and below is None:
                below = self._script()
            elif token == "^" and (above is None or all(part == Atom("′", "close") for part in above.parts)):
                above = Row((*(above.parts if above else ()), *self._script().parts))
            elif token not in (r"\limits", r"\nolimits"):
                raise Unreadable  # two of a kind
        if below is None and above is None:
            return base
        return Scripts(base, below, above)

    def _script(self) -> Row:
        token = self._peek()
        if token == "{":
            return self._group()
        if len(token) > 1 and token[0].isdigit():
            raise Unreadable  # 2^10: TeX raises the 1 alone, whoever wrote it hardly meant that
        return self._single()

    def _group(self) -> Row:
        self._expect("{")
        row = self._row(ends=("}",))
        self._expect("}")
        if row.parts == (Atom(",", "punct"),):  # 1{,}000
            return Row((Atom(",", "ord"),))
        return row

    def _single(self) -> Row:
        r"""An argument without braces is one sign: \frac12 is a half."""
        token = self._peek()
        if token[:1].isdigit() and len(token) > 1:
            self._tokens[self._next] = token[1:]
            return Row((Atom(token[0], "ord"),))
        if token in ("", "_", "^", "'", "&", "}"):
            raise Unreadable
        self._depth += 1
        if self._depth > _DEEPEST:
            raise Unreadable
        part = self._part()
        self._depth -= 1
        return Row((part,))

    def _argument(self) -> Row:
        return self._group() if self._peek() == "{" else self._single()

    def _optional(self) -> Row | None:
        if self._peek() != "[":
            return None
        self._next += 1
        row = self._row(ends=("]",))
        self._expect("]")
        return row

    # -- parts -------------------------------------------------------------------------------------------

    def _part(self) -> Node:
        token = self._peek()
        if token in ("_", "^"):
            return Atom("", "ord")  # a script without a base, as in ^\circ
        self._next += 1
        if token == "{":
            self._next -= 1
            return self._group()
        if token.startswith("\\"):
            return self._command(token[1:])
        if token == "~":
            return Atom(" ", "space")
        if token in PLAIN:
            return Atom(*PLAIN[token])
        if token in ("$", "#") or not token.isprintable():
            raise Unreadable
        return Atom(token, "ord")

    def _command(self, name: str) -> Node:
        if name in SIGNS:
            return Atom(*SIGNS[name])
        if name in TEXT_COMMANDS:
            words = self._verbatim()
            return Atom(words, "op" if name.startswith("operatorname") else "text")
        if name in ACCENTS:
            return Accent(self._argument(), ACCENTS[name])
        if name in ALPHABETS:
            letters = self._verbatim()
            return Atom("".join(ALPHABETS[name].get(letter, letter) for letter in letters), "ord")
        if name in GROUPS:
            return self._argument()
        if name in _OVER:
            return self._brace(name)
        if name in _SPACED_ARROWS:
            below, above = self._optional(), self._argument()
            return Stacked(Row((Atom(f" {_SPACED_ARROWS[name]} ", "ord"),)), above=above, below=below)
        reader = _READERS.get(name)
        if reader is None:
            raise Unreadable
        return reader(self)

    def _brace(self, name: str) -> Node:
        body = self._argument()
        script = "_" if name == "underbrace" else "^"
        if self._peek() != script:
            return body
        self._next += 1
        note = self._script()
        return Stacked(body, below=note) if name == "underbrace" else Stacked(body, above=note)

    def fraction(self) -> Node:
        return Fraction(self._argument(), self._argument())

    def small_fraction(self) -> Node:
        return Fraction(self._argument(), self._argument(), small=True)

    def binomial(self) -> Node:
        return Fraction(self._argument(), self._argument(), bar=False)

    def root(self) -> Node:
        degree = self._optional()
        return Root(self._argument(), degree)

    def boxed(self) -> Node:
        return Boxed(self._group())

    def modulus(self) -> Node:
        return Row((Atom(" (", "open"), Atom("mod", "op"), self._argument(), Atom(")", "close")))

    def over_set(self) -> Node:
        above = self._argument()
        return Stacked(self._argument(), above=above)

    def under_set(self) -> Node:
        below = self._argument()
        return Stacked(self._argument(), below=below)

    def negation(self) -> Node:
        part = self._part()
        if isinstance(part, Atom) and part.text in NEGATED:
            return Atom(NEGATED[part.text], "rel")
        raise Unreadable

    def tag(self) -> Node:
        return Atom(f"    ({self._verbatim()})", "ord")

    def coloured(self) -> Node:
        self._verbatim()
        return self._argument()

    def fenced(self) -> Node:
        left = self._delimiter()
        parts: list[Node] = []
        while True:
            parts += self._row(ends=(r"\right", r"\middle")).parts
            if self._take() == r"\right":
                return Fenced(left, Row(tuple(parts)), self._delimiter())
            parts.append(Atom(self._delimiter(), "rel"))

    def _delimiter(self) -> str:
        token = self._take()
        if token not in DELIMITERS:
            raise Unreadable
        return "" if token == "." else DELIMITERS[token]

    def environment(self) -> Node:
        name = self._verbatim()
        if name in _GRIDS:
            left, right = _GRIDS[name]
            if name == "array":
                columns = self._verbatim()
                if set(columns) - set("lcr| "):
                    raise Unreadable
            grid = Grid(self._cells(name), left, right)
        elif name in _ALIGNED:
            grid = Grid(self._cells(name), aligned=True)
        else:
            raise Unreadable
        return grid

    def _cells(self, name: str) -> tuple[tuple[Row, ...], ...]:
        """Cells up to the end of the environment `name`."""
        rows: list[tuple[Row, ...]] = []
        cells: list[Row] = []
        while True:
            while self._peek() == r"\hline":
                self._next += 1
            cells.append(self._row(ends=("&", r"\\", r"\end")))
            token = self._take()
            if token == "&":
                continue
            rows.append(tuple(cells))
            cells = []
            if token == r"\end":
                if self._verbatim() != name:
                    raise Unreadable
                while rows and all(not cell.parts for cell in rows[-1]):
                    rows.pop()
                if not rows:
                    raise Unreadable
                return tuple(rows)
            if self._peek() == "[":
                raise Unreadable  # a distance, or a bracket: in doubt

    def substack(self) -> Node:
        self._expect("{")
        rows: list[tuple[Row, ...]] = []
        while True:
            rows.append((self._row(ends=(r"\\", "}")),))
            if self._take() == "}":
                return Grid(tuple(rows))


_READERS = {
    **dict.fromkeys(("frac", "dfrac", "cfrac"), _Parser.fraction),
    "tfrac": _Parser.small_fraction,
    **dict.fromkeys(("binom", "dbinom", "tbinom"), _Parser.binomial),
    "sqrt": _Parser.root,
    "boxed": _Parser.boxed,
    "fbox": _Parser.boxed,
    **dict.fromkeys(("pmod", "pod"), _Parser.modulus),
    **dict.fromkeys(("overset", "stackrel"), _Parser.over_set),
    "underset": _Parser.under_set,
    "not": _Parser.negation,
    "tag": _Parser.tag,
    **dict.fromkeys(("color", "textcolor"), _Parser.coloured),
    "left": _Parser.fenced,
    "begin": _Parser.environment,
    "substack": _Parser.substack,
}
