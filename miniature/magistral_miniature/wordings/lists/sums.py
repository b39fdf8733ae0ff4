"""Wordings for sums and differences, put together from parts."""

from magistral_miniature.wordings.grammars import ASK, END, TELL, Grammars

__all__ = ["ADDITION_PARTS", "DIFFERENCE_PARTS", "LEFT_OVER_PARTS", "SUBTRACTION_PARTS"]

_WHAT_IS = (
    *TELL,
    "What's ",
    "What is ",
    "Calculate ",
    "Compute ",
    "Work out ",
    "Find ",
    "Give me ",
    "How much is ",
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
        _WHAT_IS,
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
        _WHAT_IS,
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
