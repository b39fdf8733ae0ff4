"""Wordings in which a number grows or shrinks by another, put together from parts."""

from magistral_miniature.wordings.grammars import ASK, Grammars

__all__ = ["DISTANCE_PARTS", "GROW_PARTS", "GROW_STORIES", "SHRINK_PARTS", "SHRINK_STORIES"]

_WHAT = ("What is ", "What's ", "Tell me ", "Give me ", "How much is ", "Find ", "Compute ")
_WHEN = ("What comes out when ", "What is the result when ", "How much is it when ", "What do I get when ")
_NOW = (". What is it now?", ". What do we have?", ". How much is that?", ". What is the result?", "?")
_MARK = ("?", "", "?", ".")
_GROWN = (
    *("increased by ", "raised by ", "enlarged by ", "extended by ", "topped up by ", "plus another "),
    *("with another ", "together with ", "joined by ", "augmented by ", "and another ", "combined with "),
)
_GROWS = ("grows by ", "rises by ", "goes up by ", "climbs by ", "gains ", "gets ", "wins ", "is raised by ")
GROW_PARTS: Grammars = (
    (_WHAT, ("{a} ",), _GROWN, ("{b}",), _MARK),
    (("{a} ",), _GROWS, ("{b}",), _NOW),
    (_WHEN, ("{a} ",), _GROWS, ("{b}",), _MARK),
    (ASK, ("increase ", "enlarge ", "boost ", "extend ", "push up "), ("{a} by {b}",), _MARK),
)
_SHRUNK = (
    *("reduced by ", "lowered by ", "cut by ", "shortened by ", "diminished by ", "without ", "except for "),
    *("after losing ", "after giving up ", "after removing ", "once you remove ", "but not "),
)
_SHRINKS = (
    *("drops by ", "falls by ", "shrinks by ", "goes down by ", "sinks by ", "is cut by ", "gives up "),
    *("is reduced by ", "gets smaller by ", "is lowered by ", "has to do without "),
)
_REMAINS = (
    *("What remains ", "What is left ", "How much is left ", "How much remains ", "What stays "),
    *("How much stays ", "What is still there "),
)
_TAKEN = (
    *("after subtracting ", "once you subtract ", "when you remove ", "if I take away ", "after removing "),
    *("without ", "when I take out ", "if you drop ", "after the loss of ", "minus "),
)
SHRINK_PARTS: Grammars = (
    (_WHAT, ("{a} ",), _SHRUNK, ("{b}",), _MARK),
    (("{a} ",), (*_SHRINKS, "loses "), ("{b}",), (". What is left?", ". What remains?", *_NOW)),
    (_WHEN, ("{a} ",), (*_SHRINKS, "loses "), ("{b}",), _MARK),
    (_REMAINS, ("of ", "from ", "out of "), ("{a} ",), _TAKEN, ("{b}",), _MARK),
    (
        ASK,
        ("take {b} out of {a}", "knock {b} off {a}", "cut {b} off {a}", "strike {b} from {a}"),
        ("", ".", ", please.", " and tell me what is left.", "?"),
    ),
)
_PLACE = (
    *("A barrel ", "A basket ", "A jar ", "A truck ", "A library ", "A train ", "The shop ", "The museum "),
    *("My garden ", "This box ", "Our village ", "The ship ", "A zoo ", "A bag ", "The theatre ", "A team "),
)
_THERE = ("There are ", "There were ", "I count ", "We see ")
_HOLDS = ("holds {a} ", "contains {a} ", "carries {a} ", "has {a} ", "had {a} ", "keeps {a} ")
_THINGS = (
    *("litres", "pears", "people", "cars", "fish", "birds", "passengers", "sheets", "guests", "tickets"),
    *("plants", "animals", "visitors", "tools", "bottles", "members", "players", "seats"),
)
_JOIN = (". ", ", and ", ", then ", " and ", ", but then ")
_LEAVE = (
    *("are removed", "are lost", "leave", "get off", "drip out", "are sold", "fall out", "are taken out"),
    *("go away", "are thrown away", "break", "walk away", "are eaten", "escape", "disappear", "are used up"),
)
_ARRIVE = (
    *("are added", "arrive", "get on", "come in", "are bought", "are put in", "join", "are delivered"),
    *("appear", "follow", "are brought", "walk in", "are found"),
)
_LEFT = (
    ". How many are left?",
    ". How many remain?",
    ". How many stay?",
    ". What remains?",
    ". How many now?",
)
_MANY = (". How many are there now?", ". How many is that?", ". How many in all?", ". What is the total?")
SHRINK_STORIES: Grammars = (
    (_PLACE, _HOLDS, _THINGS, _JOIN, ("{b} ", "{b} of them "), _LEAVE, _LEFT),
    (
        ("There are ", "There were ", "I count ", "We see "),
        ("{a} ",),
        _THINGS,
        _JOIN,
        ("{b} ",),
        _LEAVE,
        _LEFT,
    ),
)
_WHO = (
    "She ",
    "He ",
    "Tom ",
    "Maria ",
    "A woman ",
    "A collector ",
    "My uncle ",
    "The school ",
    "A shop ",
    "I ",
)
_BUYS = (
    "buys ",
    "gets ",
    "finds ",
    "receives ",
    "picks ",
    "collects ",
    "orders ",
    "wins ",
    "bought ",
    "got ",
)
_MORE = ("{b} more", "another {b}", "{b} extra", "{b} more of them")
GROW_STORIES: Grammars = (
    (_WHO, (*_HOLDS, "owns {a} "), _THINGS, (" and ", ", then ", " and then "), _BUYS, _MORE, _MANY),
    (_PLACE, _HOLDS, _THINGS, _JOIN, ("{b} more ", "another {b} ", "{b} new ones "), _ARRIVE, _MANY),
    (_THERE, ("{a} ",), _THINGS, _JOIN, ("{b} more ",), _ARRIVE, _MANY),
)
DISTANCE_PARTS: Grammars = (
    (
        ("What's ", "What is ", "Tell me ", "Find ", "How long is ", "How large is "),
        ("the distance from ", "the stretch from ", "the way from ", "the step from ", "the interval from "),
        ("{a} to {b}",),
        _MARK,
    ),
    (
        ("How far ", "How much ", "By how much "),
        ("apart are ", "do you count between "),
        ("{a} and {b}",),
        ("?", ""),
    ),
)
