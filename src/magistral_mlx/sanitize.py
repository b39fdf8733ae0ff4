"""Foreign text made harmless for a terminal: what a model, a file or a network wrote is never obeyed.

A terminal acts on control characters: they move the cursor, rename the window, fill the clipboard or
hide text. Every string that this program did not write itself passes through here before it is shown.
Each harmful character becomes one visible stand-in, so nothing is hidden, and a sequence that arrives in
pieces is as harmless as one that arrives whole.
"""

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# C0 controls and DEL have symbols in Unicode (Control Pictures). C1 controls, bidirectional overrides and
# isolates (they reorder the text around them) and lone surrogates (not valid in UTF-8) have none.
_STAND_INS: dict[int, str] = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"},
    0x7F: "\N{SYMBOL FOR DELETE}",
    **dict.fromkeys(range(0x80, 0xA0), _REPLACEMENT),
    **dict.fromkeys(range(0x202A, 0x202F), _REPLACEMENT),
    **dict.fromkeys(range(0x2066, 0x206A), _REPLACEMENT),
    **dict.fromkeys(range(0xD800, 0xE000), _REPLACEMENT),
}
_STAND_INS_ON_ONE_LINE = _STAND_INS | dict.fromkeys(map(ord, "\t\n\u2028\u2029"), " ")


def sanitize(text: str) -> str:
    """Return `text` with every character a terminal would act on replaced; newline and tab stay.

    Idempotent, and equal for a text and for its pieces joined, except that a carriage return before a
    newline is dropped only where both stand in one piece.
    """
    return text.replace("\r\n", "\n").translate(_STAND_INS)


def sanitize_line(text: str) -> str:
    """Return `text` as one harmless line: as `sanitize`, with line breaks and tabs as spaces."""
    return text.replace("\r\n", " ").translate(_STAND_INS_ON_ONE_LINE)
