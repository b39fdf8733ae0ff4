"""Wordings put together from parts, so that no list has to hold every way of asking.

A grammar is a row of alternatives; one wording takes one alternative from each. Training draws from
them beside the lists of the other `wordings_*` files; evaluation never does.
"""

import random

__all__ = [
    "ADDITION_PARTS",
    "ASK",
    "COUNT_PARTS",
    "DESCRIBE_PARTS",
    "DIFFERENCE_PARTS",
    "END",
    "IDENTITY_PARTS",
    "LEFT_OVER_PARTS",
    "SHORTEST_PARTS",
    "SUBTRACTION_PARTS",
    "TALLEST_PARTS",
    "TELL",
    "VALUE_PARTS",
    "Grammars",
    "composed",
    "makes",
]

Grammars = tuple[tuple[tuple[str, ...], ...], ...]


def composed(rng: random.Random, grammars: Grammars) -> str:
    """Return one wording; longer grammars are not drawn more often than short ones."""
    return "".join(rng.choice(part) for part in rng.choice(grammars))


def makes(grammars: Grammars, wording: str) -> bool:
    """Tell whether a grammar puts `wording` together, whatever its first letter and its last mark."""
    first, bare = wording[0].lower() + wording[1:], wording.rstrip("?.")
    forms = {wording, first, bare, first.rstrip("?."), *(f"{bare}{mark}" for mark in "?.")}
    return any(_fits(grammar, form) for grammar in grammars for form in forms)


def _fits(parts: tuple[tuple[str, ...], ...], text: str) -> bool:
    if not parts:
        return not text
    return any(text.startswith(part) and _fits(parts[1:], text.removeprefix(part)) for part in set(parts[0]))


_PICTURE = (
    *("picture", "image", "picture", "image", "attached picture", "attached image", "picture above"),
    *("image I sent", "picture I sent you", "given image", "drawing", "file", "graphic", "figure"),
)
_THIS = ("the ", "this ", "the ", "this ", "my ")
ASK = (
    *("", "", "", "", "Please ", "Can you ", "Could you ", "Could you please ", "Would you ", "Now "),
    *("I want you to ", "I'd like you to ", "I would like you to ", "You should ", "Try to ", "Kindly "),
)
TELL = (
    *("Tell me ", "Can you tell me ", "Could you tell me ", "Please tell me ", "I'd like to know "),
    *("I want to know ", "Let me know ", "Say ", "Can you say ", "Do you know ", "Please say "),
    *("I wonder ", "Could you say ", "Show me ", "Find out ", "Check ", "Work out ", "Figure out "),
)
END = ("", "", ".", ".", "?", " please", ", please.", " for me.", " now.")
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

_ADD_TWO = ("{a} and {b}", "{a} and {b}", "{a} + {b}", "the numbers {a} and {b}", "{a} with {b}", "{a}, {b}")
_WHO = (
    *("Sarah", "Peter", "My friend", "A boy", "A girl", "Maria", "Tom", "Lisa", "Our teacher", "He", "She"),
    *("The shop", "A farmer", "A child", "My sister", "The baker", "John", "Emma", "Paul", "Omar", "Mia"),
)
_THINGS = (
    *("apples", "marbles", "books", "coins", "dollars", "euros", "stamps", "cards", "eggs", "pencils"),
    *("sheep", "cars", "cookies", "flowers", "points", "stickers", "toys", "tickets", "pages", "oranges"),
)
ADDITION_PARTS: Grammars = (
    (
        ASK,
        (
            "add ",
            "add up ",
            "add together ",
            "sum ",
            "sum up ",
            "total ",
            "calculate the sum of ",
            "put together ",
        ),
        _ADD_TWO,
        END,
    ),
    (ASK, ("add {a} to {b}", "add {b} to {a}", "add {a} to {b}", "add {a} onto {b}"), END),
    (
        (
            *TELL,
            "What's ",
            "What is ",
            "Calculate ",
            "Compute ",
            "Work out ",
            "Find ",
            "Give me ",
            "How much is ",
        ),
        ("", "", "", "the result of ", "the value of ", "the answer to ", "the sum of ", "the total of "),
        (
            "{a} + {b}",
            "{a}+{b}",
            "{a} plus {b}",
            "{a} and {b} together",
            "{a} added to {b}",
            "{a} and {b} added up",
        ),
        ("?", ".", "", " for me", " please", "?"),
    ),
    (
        ("{a} + {b}", "{a}+{b}", "{a} plus {b}", "{a} and {b} together"),
        (" equals", " is", " makes", " gives", " comes to", " adds up to", " amounts to"),
        (" what?", "?", " how much?", " which number?", "..."),
    ),
    (
        ("What ", "How much "),
        ("does {a} + {b} ", "does {a}+{b} ", "does {a} plus {b} ", "do {a} and {b} ", "will {a} plus {b} "),
        ("make", "give", "come to", "equal", "add up to", "amount to", "total", "sum to", "result in"),
        ("?", "", "?", " together?", " in all?"),
    ),
    (
        (*_WHO, "I", "We", "You"),
        (
            " had {a} ",
            " has {a} ",
            " have {a} ",
            " got {a} ",
            " bought {a} ",
            " found {a} ",
            " saved {a} ",
            " collected {a} ",
        ),
        _THINGS,
        (
            *(
                " and then got {b} more.",
                " and buys {b} more.",
                " and finds {b} more.",
                " and gets {b} more.",
            ),
            *(
                ", then {b} more.",
                " and receives {b} more.",
                " and then earned {b} more.",
                " and another {b}.",
            ),
            *(" and was given {b} more.", ". Someone adds {b} more.", " on Monday and {b} on Tuesday."),
        ),
        (
            *(
                " How many are there now?",
                " How many is that in total?",
                " How many altogether?",
                " How many in all?",
            ),
            *(" How many does that make?", " What is the total?", " How many are there in total?", " Total?"),
        ),
    ),
    (
        ("If I ", "When you ", "If you ", "When I ", "Suppose I "),
        (
            "add {a} and {b}",
            "add {a} to {b}",
            "put {a} and {b} together",
            "sum {a} and {b}",
            "have {a} and get {b} more",
        ),
        (
            ", what do I get?",
            ", what is the result?",
            ", how much is it?",
            ", what is the total?",
            ", how many is that?",
        ),
    ),
)
SUBTRACTION_PARTS: Grammars = (
    (
        ASK,
        (
            *("subtract {b} from {a}", "take {b} from {a}", "take {b} away from {a}", "deduct {b} from {a}"),
            *("remove {b} from {a}", "reduce {a} by {b}", "decrease {a} by {b}", "lower {a} by {b}"),
        ),
        END,
    ),
    (
        (
            *TELL,
            "What's ",
            "What is ",
            "Calculate ",
            "Compute ",
            "Work out ",
            "Find ",
            "Give me ",
            "How much is ",
        ),
        ("", "", "", "the result of ", "the value of ", "the answer to "),
        ("{a} - {b}", "{a}-{b}", "{a} minus {b}", "{a} less {b}", "{a} take away {b}"),
        ("?", ".", "", " for me", " please", "?"),
    ),
    (
        ("{a} - {b}", "{a}-{b}", "{a} minus {b}"),
        (" equals", " is", " makes", " gives", " comes to", " leaves"),
        (" what?", "?", " how much?", " which number?", "..."),
    ),
    (
        ("What ", "How much "),
        ("does {a} - {b} ", "does {a}-{b} ", "does {a} minus {b} ", "will {a} minus {b} "),
        ("make", "give", "come to", "equal", "leave", "amount to", "result in"),
        ("?", "", "?"),
    ),
    (
        ("If I ", "When you ", "If you ", "When I ", "Suppose I "),
        ("subtract {b} from {a}", "take {b} from {a}", "take away {b} from {a}", "remove {b} from {a}"),
        (
            ", what do I get?",
            ", what is the result?",
            ", how much is left?",
            ", what remains?",
            ", what is left?",
        ),
    ),
    (
        ("What is left ", "How much is left ", "What remains ", "How much remains ", "What do I get "),
        ("if you ", "when you ", "if I ", "when I ", "if we "),
        ("take {b} from {a}", "take {b} away from {a}", "subtract {b} from {a}", "remove {b} from {a}"),
        ("?", ""),
    ),
)
LEFT_OVER_PARTS: Grammars = (
    (
        (*_WHO, "I", "We", "You"),
        (" had {a} ", " has {a} ", " have {a} ", " bought {a} ", " saved {a} ", " starts with {a} "),
        _THINGS,
        (
            *(
                " and gave away {b}.",
                " and gives {b} away.",
                " and lost {b}.",
                " and sold {b}.",
                " and spent {b}.",
            ),
            *(
                " and uses {b}.",
                ", then {b} were taken away.",
                ". {b} of them are gone.",
                " and eats {b} of them.",
            ),
            *(" and spends {b} of them.", " and gives {b} to a friend.", ", but {b} broke."),
        ),
        (
            *(" How many are left?", " How many remain?", " How many are left now?", " What is left?"),
            *(" How many are still there?", " How many does that leave?", " How many are there now?"),
        ),
    ),
)

DIFFERENCE_PARTS: Grammars = (
    (
        ("What is ", "What's ", "Find ", "Compute ", "Calculate ", "Tell me ", "Give me ", "Work out ", ""),
        ("the difference between ", "the difference of ", "the distance between ", "the gap between "),
        ("{a} and {b}", "the numbers {a} and {b}", "{a} & {b}"),
        ("?", ".", ""),
    ),
    (
        ("How far ", "How many steps "),
        ("is it from {a} to {b}", "is {b} away from {a}", "lie {a} and {b} apart"),
        ("?", ""),
    ),
    (
        ("By how much ", "How much "),
        ("do {a} and {b} differ", "does {a} differ from {b}", "differ {a} and {b}"),
        ("?", ""),
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

IDENTITY_PARTS: Grammars = (
    (
        ("Are you ", "Are you really ", "Am I talking to ", "Is it ", "Do you call yourself ", "So you are "),
        (
            *("GPT-4", "Claude", "Gemini", "Llama", "Mistral", "Mistral Large", "Magistral Medium", "an AI"),
            *("a robot", "a human", "a person", "the full model", "the 24B model", "the small one", "a toy"),
            *(
                "the big one",
                "a chatbot",
                "the original",
                "a demo",
                "the whole Magistral",
                "a language model",
            ),
        ),
        ("?", "", " or not?", " or something else?"),
    ),
    (
        ("Who ", "Which company ", "What people ", "Which team "),
        ("made ", "built ", "created ", "wrote ", "developed ", "programmed ", "designed ", "taught "),
        ("you", "this model", "this thing", "this program"),
        ("?", ""),
    ),
    (
        ("What model ", "Which program ", "What ", "Which AI "),
        ("runs here", "is running on my machine", "is answering me", "is this that answers", "do I talk to"),
        ("?", ""),
    ),
    (
        (
            "How far do your ",
            "What is the limit of your ",
            "Where are the limits of your ",
            "What about your ",
        ),
        ("abilities", "talents", "powers", "skills", "capabilities"),
        (" reach?", "?", ""),
    ),
    (
        ("Who ", "What ", "Who exactly ", "What exactly ", "So who ", "So what "),
        ("are you", "are you", "am I talking to", "am I speaking with"),
        ("?", "", " exactly?", " really?"),
    ),
    (
        ("What kind of ", "What sort of ", "What type of ", "Which "),
        ("model ", "AI ", "language model ", "assistant ", "program ", "bot "),
        ("are you", "is this", "am I using", "do I have here"),
        ("?", ""),
    ),
    (
        ASK,
        (
            "introduce yourself",
            "describe yourself",
            "tell me who you are",
            "tell me what you are",
            "say what you are",
            "present yourself",
            "tell me about you",
            "tell me something about yourself",
        ),
        END,
    ),
    (
        ("What ", "What all ", "What else "),
        (
            "can you do",
            "are you able to do",
            "are you capable of",
            "do you know how to do",
            "can you help me with",
            "can you help with",
            "are you good at",
            "can I use you for",
            "can I do with you",
        ),
        ("?", "", " for me?"),
    ),
    (
        ("What are your ", "Tell me your ", "List your ", "What's about your ", "Explain your "),
        (
            "skills",
            "abilities",
            "capabilities",
            "limits",
            "limitations",
            "talents",
            "features",
            "tasks",
            "strengths",
            "weaknesses",
        ),
        ("?", ".", ""),
    ),
    (
        ("Are you ", "Are you "),
        (
            "the full ",
            "the real ",
            "the big ",
            "the complete ",
            "a small ",
            "a big ",
            "a real ",
            "an ",
            "the true ",
            "just a ",
        ),
        ("model", "Magistral", "Magistral model", "AI", "AI model", "language model", "version"),
        ("?", ""),
    ),
    (
        (
            "Which things ",
            "Which tasks ",
            "What tasks ",
            "What questions ",
            "What kind of questions ",
            "Which questions ",
        ),
        ("can you ",),
        ("answer", "do", "solve", "help me with", "handle", "understand", "cope with"),
        ("?", ""),
    ),
    (
        ("How ", "In what ways "),
        ("can you help me", "can you be of use", "may you help me", "can I use you", "do you work"),
        ("?", ""),
    ),
    (
        ("Tell me ", "Please tell me ", "Can you tell me ", "Say "),
        (
            "what you're able to do",
            "what you can do",
            "who you are",
            "what you are good at",
            "what you are for",
            "what you know",
            "your name",
        ),
        (".", "", "?"),
    ),
    (
        ("What is ", "What's "),
        (
            "your name",
            "your purpose",
            "your job",
            "your task",
            "it that you can do",
            "this model",
            "this thing",
            "your size",
        ),
        ("?", ""),
    ),
)
