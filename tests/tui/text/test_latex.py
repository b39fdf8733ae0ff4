"""Formulas in Unicode: what is shown means what was written, no digit is lost, and doubt shows the source."""

import unicodedata
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from magistral_mlx_tui.text.latex import display_formula, flat_formula
from magistral_mlx_tui.text.latex.parser import LONGEST
from magistral_mlx_tui.text.latex.symbols import ACCENTS, FUNCTIONS, SIGNS


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (r"47 + 38 = 85", "47 + 38 = 85"),
        (r"-5 \times -3", "−5 × −3"),
        (r"\frac{a+b}{2}", "(a + b)/2"),
        (r"\dfrac{3}{4}", "3/4"),
        (r"\frac{\frac12}{x+1}", "(1/2)/(x + 1)"),
        (r"\frac{1}{2a}", "1/(2a)"),
        (r"\frac{dy}{dx}", "dy/dx"),
        (r"\frac{x^2}{y_1}", "x²/y₁"),
        (r"2\frac{1}{3}", "2(1/3)"),
        (r"\frac12 mv^2", "(1/2)mv²"),
        (r"\sqrt{2}", "√2"),
        (r"\sqrt{2}x", "(√2)x"),
        (r"x = \pm\sqrt{2}", "x = ±√2"),
        (r"2\sqrt{3}", "2√3"),
        (r"2\sqrt[3]{8}", "2(³√8)"),
        (r"\sqrt{b^2-4ac}", "√(b² − 4ac)"),
        (r"\sqrt[3]{8}", "³√8"),
        (r"x_{ij}^{2k+1}", "xᵢⱼ²ᵏ⁺¹"),
        (r"e^{i\pi}+1=0", "e^(iπ) + 1 = 0"),
        (r"x^{a_b}", "x^(a_b)"),
        (r"10^{-3}\,\text{m}", "10⁻³ m"),
        (r"90^\circ", "90°"),
        (r"f'(x) = f''(x)", "f′(x) = f′′(x)"),
        (r"\binom{n}{k}", "C(n, k)"),
        (r"a \implies b \iff c", "a ⟹ b ⟺ c"),
        (r"\left(\frac{1}{n}\right)^n", "(1/n)ⁿ"),
        (r"a \equiv 3 \pmod 7", "a ≡ 3 (mod 7)"),
        (r"\overline{AB}", "A̅B̅"),
        (r"\sum_{i=1}^{n} i^2", "∑ᵢ₌₁ⁿ i²"),
        (r"\int_0^\infty e^{-x^2}\,dx", "∫₀^∞ e^(−x²) dx"),
        (r"\lim_{x \to 0} \frac{\sin x}{x} = 1", "lim_(x → 0) (sin x)/x = 1"),
        (r"\log_2 8", "log₂ 8"),
        (r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", "(1, 2; 3, 4)"),
        (r"\boxed{42}", "[42]"),
        (r"x \in \{1, 2, 3\} \subset \mathbb{R}^n", "x ∈ {1, 2, 3} ⊂ ℝⁿ"),
        (r"\alpha\beta \cdot \vec{v}", "αβ · v⃗"),
        (r"1{,}000{,}000", "1,000,000"),
        (r"5\,000", "5 000"),
        (r"100\%", "100%"),
        (r"a \not= b, c \ne d", "a ≠ b, c ≠ d"),
        (r"\text{Area} = \pi r^2", "Area = πr²"),
        (r"P(A \mid B)", "P(A ∣ B)"),
        (r"n!", "n!"),
    ],
)
def test_on_one_line(source: str, shown: str) -> None:
    assert flat_formula(source) == shown


@pytest.mark.parametrize(
    ("source", "rows"),
    [
        (r"\frac{a+b}{2}", [" a + b", "───────", "   2"]),
        (r"x^2 + 1", ["x² + 1"]),
        (r"2\frac13", ["   1", "2 ───", "   3"]),
        (r"\begin{bmatrix}1&2\\3&40\end{bmatrix}", ["⎡1  2 ⎤", "⎣3  40⎦"]),
        (r"|x|=\begin{cases}x&x\ge0\\-x&x<0\end{cases}", ["|x| = ⎧ x   x ≥ 0", "      ⎩ −x  x < 0"]),
        (r"\begin{aligned}a&=b+c\\&=3\end{aligned}", ["a = b + c", "  = 3"]),
        (r"\sum_{k=1}^n k", ["  n", "  ∑   k", "k = 1"]),
        (r"\boxed{42}", ["┌────┐", "│ 42 │", "└────┘"]),
        (r"e^{-x^2}", [" −x²", "e"]),
        (r"\sqrt{\frac{a}{b}}", [" ┌────", " │ a", " │───", "╲│ b"]),
        (r"\binom{n}{k}", ["⎛n⎞", "⎜ ⎟", "⎝k⎠"]),
        (r"\left\{\frac ab\right.", ["⎧ a", "⎨───", "⎩ b"]),
    ],
)
def test_in_two_dimensions(source: str, rows: list[str]) -> None:
    assert display_formula(source) == tuple(rows)


@pytest.mark.parametrize(
    "source",
    [
        *(r"\frac{", r"\frac{1}", r"{", r"}", r"a}{b", r"\unknown{3}", r"\left(x", r"\right)", "\\", ""),
        *(r"x^2^3", r"x_", r"2^10", r"x_12", r"a & b", r"\begin{pmatrix}1\end{bmatrix}", r"\hspace{2cm}x"),
        *(r"\text{a \frac12}", r"$x$", r"\begin{array}{c@{2}}1\end{array}", r"\not x", "x" * (LONGEST + 1)),
        *("{" * 200 + "x" + "}" * 200, r"\sqrt[\frac12]{x}", r"{n \choose k}", r"\\[2pt] x"),
    ],
)
def test_in_doubt_the_source_is_shown(source: str) -> None:
    assert flat_formula(source) is None
    assert display_formula(source) is None


def digits(text: str) -> Counter[int]:
    return Counter(unicodedata.digit(sign) for sign in text if sign.isdigit())


def _commands(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Formulas that hold other formulas."""
    return st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(" ".join),
        st.tuples(inner, inner).map(lambda pair: rf"\frac{{{pair[0]}}}{{{pair[1]}}}"),
        st.tuples(inner, inner).map(lambda pair: rf"{{{pair[0]}}}^{{{pair[1]}}}"),
        st.tuples(inner, inner).map(lambda pair: rf"x_{{{pair[0]}}}^{{{pair[1]}}}"),
        st.tuples(inner, inner).map(lambda pair: rf"\sum_{{{pair[0]}}}^{{{pair[1]}}}"),
        st.tuples(inner, inner).map(lambda pair: rf"\sqrt[{pair[0]}]{{{pair[1]}}}"),
        st.tuples(inner, inner).map(lambda pair: rf"\binom{{{pair[0]}}}{{{pair[1]}}}"),
        st.tuples(inner, inner).map(lambda pair: rf"\overset{{{pair[0]}}}{{{pair[1]}}}"),
        st.tuples(inner, inner).map(
            lambda pair: rf"\begin{{pmatrix}}{pair[0]}&1\\2&{pair[1]}\end{{pmatrix}}"
        ),
        st.tuples(inner, inner).map(lambda pair: rf"\begin{{cases}}{pair[0]}&3\\{pair[1]}\end{{cases}}"),
        inner.map(lambda body: rf"\sqrt{{{body}}}"),
        inner.map(lambda body: rf"\left({body}\right]"),
        inner.map(lambda body: rf"\boxed{{{body}}}"),
        st.tuples(st.sampled_from(sorted(ACCENTS)), inner).map(lambda pair: rf"\{pair[0]}{{{pair[1]}}}"),
    )


_SIGN = st.sampled_from(
    [
        *(f"\\{name} " for name in [*sorted(SIGNS), *sorted(FUNCTIONS)]),
        *"0123456789xyn+-=<>/()[],.!'",
        "12.5",
        " ",
    ]
)
_FORMULA = st.recursive(_SIGN, _commands, max_leaves=12)


@st.composite
def _mutated(draw: st.DrawFn) -> str:
    """A formula with pieces cut out, doubled or put in, as a model under stress writes it."""
    source = draw(_FORMULA)
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(source)))
        end = draw(st.integers(start, min(len(source), start + 6)))
        extra = draw(
            st.sampled_from(["", "{", "}", "\\", "_", "^", "&", r"\\", "7", r"\frac", r"\left", "\n", "é"])
        )
        source = source[:start] + extra + source[draw(st.sampled_from([start, end])) :]
    return source


@given(_mutated())
def test_no_digit_is_ever_lost(source: str) -> None:
    flat, display = flat_formula(source), display_formula(source)
    if flat is not None:
        assert digits(flat) == digits(source)
        assert "\n" not in flat
    if display is not None:
        assert digits("".join(display)) == digits(source)
        assert all("\n" not in row for row in display)


@given(_FORMULA)
def test_what_is_drawn_in_two_dimensions_stays_within_bounds(source: str) -> None:
    rows = display_formula(source)
    if rows is not None:
        assert max(map(cell_len, rows)) * len(rows) <= 20_000


@given(st.text(st.sampled_from("\\{}[]()^_&$%~'| \nab12αé\u0301\u200d日"), max_size=60))
def test_noise_raises_nothing(source: str) -> None:
    flat = flat_formula(source)
    assert flat is None or digits(flat) == digits(source)


@pytest.mark.parametrize(
    "source",
    [
        *(r"\frac{1}" * 500, "x_{" * 900, r"\sqrt" * 700, r"\left(" * 600, "^" * 4000, "{}" * 2000),
        *(r"\hat" * 900, r"\hat{" * 20 + "x" + "}" * 20, r"\begin{matrix}" * 200, "&" * 4000, "'" * 4000),
        *("x" + "\u0301" * 3900, r"\frac{1}{" * 20 + "x" + "}" * 20, r"\\" * 2000, "1" * 4000),
        r"\begin{matrix}" + "1&" * 900 + r"\end{matrix}",
    ],
)
def test_hostile_formulas_end_soon(source: str) -> None:
    for shown in (flat_formula(source), "".join(display_formula(source) or ()) or None):
        assert shown is None or digits(shown) == digits(source)
