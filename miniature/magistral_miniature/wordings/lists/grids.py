"""Wordings that describe a picture or count in it, put together from parts."""

from magistral_miniature.wordings.grammars import ASK, END, TELL, Grammars

__all__ = ["COUNT_PARTS", "DESCRIBE_PARTS"]

_PICTURE = (
    *("picture", "image", "picture", "image", "attached picture", "attached image", "picture above"),
    *("image I sent", "picture I sent you", "given image", "drawing", "file", "graphic", "figure"),
)
_THIS = ("the ", "this ", "the ", "this ", "my ")
_IN_IT = (
    *("", "", "", " in the picture", " in this picture", " in the image", " in this image", " here"),
    *(" in the grid", " in this grid", " in it", " on the picture", " in the drawing", " in total"),
)
_SENTENCE = (
    *("", "", "", " in one sentence", " in a sentence", " in a single sentence", " in words", " briefly"),
    *(" in one short sentence", " with one sentence", " in detail", " as alt text", " in one line"),
    *(" for a blind person", " for someone who can't see it", " for a screen reader", " in plain words"),
    *(" using one sentence", " shortly", " in your own words", " row by row", " precisely", " as a sentence"),
)
_ALT_TEXT = (
    *("alt text", "an alt text", "the alt text", "one-sentence alt text", "a one-sentence alt text"),
    *("a caption", "a short caption", "a description", "a short description", "a one-line alt text"),
    *("an image description", "a one sentence description", "a sentence", "one sentence", "alternative text"),
    *("a one-line description", "a brief description", "a text description", "a full description"),
)
DESCRIBE_PARTS: Grammars = (
    (
        ASK,
        (
            *("describe ", "describe ", "describe ", "explain ", "summarize ", "summarise ", "caption "),
            *("put into words ", "characterize ", "sum up ", "outline ", "read out ", "interpret "),
        ),
        _THIS,
        _PICTURE,
        _SENTENCE,
        END,
    ),
    (
        ASK,
        ("write ", "give me ", "give ", "make ", "create ", "produce ", "generate ", "provide ", "compose "),
        _ALT_TEXT,
        (" for ", " of ", " about ", " that describes ", " describing "),
        _THIS,
        _PICTURE,
        END,
    ),
    (
        ("What ", "What exactly ", "So what ", "And what "),
        (
            *(
                "is in ",
                "is shown in ",
                "is visible in ",
                "can be seen in ",
                "do you see in ",
                "is there in ",
            ),
            *("can you see in ", "is depicted in ", "does one find in ", "is displayed in ", "is drawn in "),
            *("appears in ", "do you recognise in ", "is contained in ", "is to be seen in "),
        ),
        _THIS,
        _PICTURE,
        ("?", "", "?", " exactly?", " here?", " in one sentence?"),
    ),
    (
        (
            "What does ",
            "Tell me what ",
            "Please tell me what ",
            "Say what ",
            "Describe what ",
            "Explain what ",
        ),
        _THIS,
        _PICTURE,
        (
            " show",
            " shows",
            " contain",
            " contains",
            " depict",
            " depicts",
            " display",
            " displays",
            " look like",
        ),
        ("?", ".", "", ", in one sentence.", " in one sentence.", " please."),
    ),
    (
        TELL,
        ("what ",),
        (
            *("is in ", "you see in ", "you can see in ", "is shown in ", "there is in ", "is visible in "),
            *("can be seen in ", "is depicted in ", "I drew in ", "is going on in "),
        ),
        _THIS,
        _PICTURE,
        END,
    ),
    (
        (
            "I need ",
            "I want ",
            "I'd like ",
            "I would like ",
            "Please give me ",
            "Can I have ",
            "Could I have ",
        ),
        _ALT_TEXT,
        ("", "", " for ", " of "),
        _THIS,
        _PICTURE,
        END,
    ),
)

_TIMES = (
    *("How many {things} ", "How many {things} ", "What number of {things} ", "In total, how many {things} "),
    *("In this picture, how many {things} ", "In the grid, how many {things} ", "So how many {things} "),
    *("Looking at the image, how many {things} ", "Exactly how many {things} ", "And how many {things} "),
)
COUNT_PARTS: Grammars = (
    (
        _TIMES,
        (
            *(
                "are there",
                "are there",
                "do you see",
                "can you see",
                "are",
                "are present",
                "are shown",
                "do you count",
            ),
            *(
                "can be found",
                "are visible",
                "did you find",
                "can you count",
                "can you spot",
                "are drawn",
                "do we have",
            ),
        ),
        _IN_IT,
        ("?", "", "?", "?"),
    ),
    (
        ("How many {things} ", "What number of {things} "),
        ("does ",),
        _THIS,
        (*_PICTURE, "grid", "grid"),
        (" contain", " have", " show", " hold", " include", " display"),
        ("?", "", "?"),
    ),
    (
        ASK,
        ("count ", "count ", "count all ", "count up ", "tally ", "find and count ", "total "),
        ("the {things}", "{things}", "all the {things}", "every {thing}", "the number of {things}"),
        _IN_IT,
        END,
    ),
    (
        TELL,
        (
            *("how many {things} there are", "how many {things} you see", "how many {things} are there"),
            *("the number of {things}", "how many {things} you can see", "how many {things} are shown"),
            *("how many {things} it has", "the count of {things}", "how many {things} you count"),
        ),
        _IN_IT,
        END,
    ),
    (
        (*("What is ", "What's ", "Give me ", "Find ", "Determine ", "Report ", "State ", "Provide "),),
        (
            "the number of {things}",
            "the count of {things}",
            "the total number of {things}",
            "the amount of {things}",
        ),
        _IN_IT,
        ("?", ".", "", "?"),
    ),
)
