"""Wordings that ask how much larger the first of two numbers is, put together from parts."""

from magistral_miniature.wordings.grammars import Grammars

__all__ = ["MORE_THAN_PARTS"]

_PAIR = (
    *("is {a} above {b}", "is {a} higher than {b}", "is {a} over {b}", "is {a} ahead of {b}"),
    *("does {a} surpass {b}", "does {a} top {b}", "does {a} go beyond {b}", "does {a} outdo {b}"),
    *("is {b} below {a}", "is {b} smaller than {a}", "is {b} less than {a}", "is {b} lower than {a}"),
    *("is {b} under {a}", "does {b} fall short of {a}", "is {b} short of {a}", "is {b} behind {a}"),
)
_HOW_MUCH = (
    *("higher is {a} than {b}", "larger is {a} than {b}", "more is {a} than {b}", "longer is {a} than {b}"),
    *("smaller is {b} than {a}", "less is {b} than {a}", "lower is {b} than {a}", "shorter is {b} than {a}"),
    *("more do I need to get from {b} to {a}", "must I add to {b} to get {a}", "is missing from {b} to {a}"),
    *(
        "has to be added to {b} to make {a}",
        "do I take from {a} to get {b}",
        "more than {b} do I get with {a}",
    ),
    *("is left of {a} without {b}", "is left when {b} is taken from {a}", "separates {b} from {a}"),
)
_OFTEN = ("", "", "", "Now, ", "So ", "And ")
MORE_THAN_PARTS: Grammars = (
    (_OFTEN, ("by how much ", "by what amount ", "by how many "), _PAIR, ("?", "", "?")),
    (_OFTEN, ("how much ", "how much ", "how many "), _HOW_MUCH, ("?", "", "?")),
    (
        _OFTEN,
        ("what must I add to {b} ", "what do I have to add to {b} ", "what is to be added to {b} "),
        ("to get {a}", "to reach {a}", "so that it makes {a}", "to arrive at {a}"),
        ("?", ""),
    ),
)
