"""Wordings about the bars of a chart, put together from parts."""

from magistral_miniature.wordings.grammars import ASK, END, TELL, Grammars

__all__ = ["SHORTEST_PARTS", "TALLEST_PARTS", "VALUE_PARTS"]

_CHART = (
    *(
        "",
        "",
        "",
        "",
        " in the chart",
        " in this chart",
        " in the picture",
        " here",
        " of all",
        " of them all",
    ),
    *(
        " in this bar chart",
        " in the image",
        " shown here",
        " in the graph",
        " on the chart",
        " in the diagram",
    ),
)


def _extreme(adjectives: tuple[str, ...], most: tuple[str, ...], name: tuple[str, ...]) -> Grammars:
    """Wordings for the tallest or the shortest bar."""
    bar = (
        "bar",
        "bar",
        "bar",
        "one",
        "column",
        "letter",
        "label",
        "of the bars",
        "of these bars",
        "of these",
    )
    return (
        (
            ("Which ", "What ", "And which ", "So which "),
            bar,
            (" is ", " is the "),
            adjectives,
            ("", " one", " bar"),
            _CHART,
            ("?", "", "?"),
        ),
        (
            (
                "What's ",
                "What is ",
                "Which is ",
                "Name ",
                "Find ",
                "Identify ",
                "Give me ",
                "Pick out ",
                "Point out ",
            ),
            ("the ",),
            adjectives,
            (" bar", " bar", " one", " column"),
            _CHART,
            ("?", ".", ""),
        ),
        (
            ("Which bar ", "What bar ", "Which letter ", "Which one ", "Which of the bars ", "Which label "),
            ("has ", "shows ", "reaches ", "holds ", "carries "),
            most,
            _CHART,
            ("?", "", "?"),
        ),
        (
            ("What's ", "What is ", "Give me ", "Tell me ", "Find ", "Name "),
            ("the letter ", "the label ", "the name ", "the letter "),
            ("of the ", "under the ", "below the ", "belonging to the "),
            adjectives,
            (" bar", " bar", " column"),
            _CHART,
            ("?", ".", ""),
        ),
        (
            TELL,
            (
                "which bar is ",
                "which bar is the ",
                "which one is the ",
                "which letter marks the ",
                "which is the ",
            ),
            adjectives,
            (" bar", " one", ""),
            _CHART,
            END,
        ),
        (
            ASK,
            ("find ", "name ", "identify ", "pick ", "choose ", "determine ", "show me ", "tell me "),
            ("the ",),
            adjectives,
            (" bar",),
            _CHART,
            END,
        ),
        (
            ("Which letter ", "Which label ", "What letter "),
            ("labels ", "names ", "marks ", "belongs to ", "stands under ", "is under ", "is below "),
            ("the ",),
            adjectives,
            (" bar",),
            ("?", "", "?"),
        ),
        (name, ("", "", " value", " bar"), ("?", "")),
    )


TALLEST_PARTS: Grammars = _extreme(
    ("tallest", "tallest", "highest", "largest", "biggest", "longest", "greatest"),
    (
        "the highest value",
        "the largest value",
        "the biggest value",
        "the maximum",
        "the most",
        "the maximum value",
        "the top value",
        "the greatest height",
    ),
    ("Tallest", "Highest", "Maximum", "Max", "Biggest", "The tallest", "The highest"),
)
SHORTEST_PARTS: Grammars = _extreme(
    ("shortest", "shortest", "lowest", "smallest", "least tall", "least high"),
    (
        "the lowest value",
        "the smallest value",
        "the least value",
        "the minimum",
        "the least",
        "the minimum value",
        "the bottom value",
        "the smallest height",
    ),
    ("Shortest", "Lowest", "Minimum", "Min", "Smallest", "The shortest", "The lowest"),
)

_BAR = (
    *(
        "bar {x}",
        "bar {x}",
        "the bar {x}",
        "{x}",
        "the bar labelled {x}",
        "the bar labeled {x}",
        "the bar named {x}",
    ),
    *(
        "the bar with label {x}",
        "the bar with the letter {x}",
        "the bar marked {x}",
        "the bar called {x}",
        "column {x}",
    ),
    *("the bar above {x}", "the bar over the letter {x}", "the {x} bar", "letter {x}"),
)
_HEIGHT = ("value", "value", "value", "height", "number", "level", "reading")
VALUE_PARTS: Grammars = (
    (
        ("What is ", "What's ", "Give me ", "Read ", "Tell me ", "Find ", "State ", "Report "),
        ("the ",),
        _HEIGHT,
        (" of ", " of ", " for ", " shown by ", " at ", " given by "),
        _BAR,
        _CHART,
        ("?", ".", ""),
    ),
    (
        ("What ", "Which ", "What "),
        _HEIGHT,
        (" does ",),
        _BAR,
        (" have", " show", " reach", " stand for", " indicate", " represent", " display", " take"),
        _CHART,
        ("?", "", "?"),
    ),
    (
        ("How high ", "How tall ", "How long ", "How big ", "How large "),
        ("is ", "is ", "exactly is "),
        _BAR,
        _CHART,
        ("?", "", "?"),
    ),
    (
        TELL,
        (
            "the value of ",
            "how high is ",
            "how tall is ",
            "what value has ",
            "the height of ",
            "what is the value of ",
        ),
        _BAR,
        _CHART,
        END,
    ),
    (
        ASK,
        ("read ", "read off ", "look up ", "find ", "give me "),
        ("the value of ", "", "the height of ", "what is shown by "),
        _BAR,
        _CHART,
        END,
    ),
    (
        ("What is bar {x}'s ", "What's bar {x}'s ", "Tell me bar {x}'s ", "Bar {x}'s ", "What is {x}'s "),
        ("value", "height", "number"),
        _CHART,
        ("?", "", "."),
    ),
    (
        ("How much ", "How many units ", "What "),
        ("does ",),
        _BAR,
        (" show", " reach", " stand at", " stand for", " represent", " measure"),
        _CHART,
        ("?", "", "?"),
    ),
    (("What value has ", "Which value has "), _BAR, _CHART, ("?", "")),
    (
        ("Up to what value does ", "To which value does ", "How far does "),
        _BAR,
        (" go", " reach", " rise"),
        ("?", ""),
    ),
)
