"""Wordings that ask for a place in a grid, put together from parts."""

from magistral_miniature.wordings.grammars import ASK, END, TELL, Grammars

__all__ = ["CELL_PARTS"]

_PLACE = (
    *("row {r}, column {c}", "row {r}, column {c}", "row {r} and column {c}", "row {r} column {c}"),
    *("column {c} of row {r}", "column {c}, row {r}", "the {cth} column of the {rth} row"),
    *("the {rth} row and the {cth} column", "the {rth} row, {cth} column", "the cell in row {r}, column {c}"),
    *("the cell at row {r}, column {c}", "the cell at row {r} and column {c}", "the {cth} cell of row {r}"),
    *(
        "position row {r}, column {c}",
        "row number {r}, column number {c}",
        "the place at row {r}, column {c}",
    ),
    *(
        "the cell in column {c} of row {r}",
        "the cell (row {r}, column {c})",
        "the field in row {r}, column {c}",
    ),
)
_AT = (
    "at ",
    "in ",
    "at ",
    "in ",
    "located at ",
    "placed at ",
    "found at ",
    "found in ",
    "there in ",
    "there at ",
)
_OBJECT = (
    *(
        "",
        "",
        "shape ",
        "thing ",
        "object ",
        "figure ",
        "symbol ",
        "item ",
        "coloured shape ",
        "colored shape ",
    ),
    *("kind of shape ", "colour and shape ", "shape and colour ", "shape and color ", "sort of thing "),
)
_BY_PLACE: Grammars = (
    (
        ("What ", "Which "),
        _OBJECT,
        ("is ", "is ", "do you see ", "can you see ", "do you find "),
        _AT,
        _PLACE,
        ("?", "", "?"),
    ),
    (
        ("What's ", "What is ", "What stands ", "What sits ", "What lies ", "What can be seen "),
        _AT,
        _PLACE,
        ("?", ""),
    ),
    (
        ("What does ", "What do you see in ", "What can be found in "),
        _PLACE,
        (" hold?", " contain?", " show?", "?", ""),
    ),
    (TELL, ("what is ", "what's ", "which shape is ", "what you see ", "what shape is "), _AT, _PLACE, END),
    (
        ASK,
        ("identify ", "name ", "describe ", "read ", "read out ", "look at ", "give me "),
        (
            "the shape at ",
            "the shape in ",
            "what is at ",
            "the object at ",
            "",
            "the thing in ",
            "the item at ",
        ),
        _PLACE,
        END,
    ),
    (
        ("At ", "In ", "Look at ", "Now look at ", "Take "),
        _PLACE,
        (": what is it?", ", what do you see?", ". What is there?", ", what is there?", ": what is there?"),
    ),
    (_PLACE, ("?", ": what is it?", ", what is there?", ": what does it hold?", ": which shape?")),
    (
        ("What is the ",),
        ("shape ", "colour and shape ", "object ", "thing ", "shape and colour "),
        _AT,
        _PLACE,
        ("?", ""),
    ),
)

_NTH = (
    *("shape", "shape", "object", "item", "figure", "symbol", "cell", "entry", "element", "one", "field"),
    *("shape you see", "coloured shape", "drawing"),
)
_ROW = (
    *("the {rth} row", "the {rth} row", "the {rth} row", "row {r}", "row {r}", "row number {r}"),
    *("the {rth} row of the grid", "the {rth} row from the top", "the {rth} row of the picture", "line {r}"),
)
_COLUMN = (
    *("the {cth} column", "the {cth} column", "the {cth} column", "column {c}", "column {c}"),
    *("column number {c}", "the {cth} column of the grid", "the {cth} column from the left"),
)
_WHICH = (
    *("What is the ", "What's the ", "What is the ", "Name the ", "Tell me the ", "Describe the "),
    *(
        "Identify the ",
        "Give me the ",
        "Can you name the ",
        "Do you know the ",
        "Read the ",
        "What about the ",
    ),
)
_AND_WHAT = (", what is the ", ", what's the ", ", which is the ", ", name the ", ": tell me the ")
_IN = (" in ", " in ", " of ", " from the left in ", " within ", " from ", " on ")
_DOWN = (" in ", " in ", " of ", " from the top in ", " down in ", " from ")
_COUNTED: Grammars = (
    (_WHICH, ("{cth} ",), _NTH, _IN, _ROW, END),
    (_WHICH, ("{rth} ",), _NTH, _DOWN, _COLUMN, END),
    (("In ", "Look at ", "From ", "Of ", "Take "), _ROW, _AND_WHAT, ("{cth} ",), _NTH, ("?", "", ".")),
    (("In ", "Look at ", "From ", "Of ", "Take "), _COLUMN, _AND_WHAT, ("{rth} ",), _NTH, ("?", "", ".")),
    (
        ("Which ", "What "),
        ("shape ", "object ", "thing ", "figure ", "symbol ", ""),
        ("is the {cth} in ", "comes {cth} in ", "stands {cth} in ", "is {cth} in ", "is number {c} in "),
        _ROW,
        ("?", ""),
    ),
    (
        ("What is ", "What's ", "Which shape is ", "What do you see ", "What can you see "),
        ("in the {cth} place of ", "in the {cth} position of ", "at position {c} of ", "in place {c} of "),
        _ROW,
        ("?", ""),
    ),
    (
        ("", "And ", "Now ", "What about "),
        ("the {cth} ",),
        _NTH,
        _IN,
        _ROW,
        ("?", ", please.", ": what is it?", ": what is there?", ""),
    ),
)
CELL_PARTS: Grammars = (*_BY_PLACE, *_COUNTED)
