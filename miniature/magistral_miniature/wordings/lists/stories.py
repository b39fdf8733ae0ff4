"""Small stories about two numbers, put together from parts: what comes together, and what is left over.

They are grammars as in `grammars.py`; the verbs decide whether {a} and {b} are added or {b} is taken
from {a}, so both kinds share their nouns, names and places.
"""

from magistral_miniature.wordings.grammars import Grammars

__all__ = ["LEFT_OVER_STORIES", "TOGETHER_STORIES"]

_WHO = (
    *("Sarah", "Peter", "My friend", "A boy", "A girl", "Maria", "Tom", "Lisa", "Our teacher", "He", "She"),
    *("A farmer", "A child", "My sister", "The baker", "John", "Emma", "Paul", "Omar", "Mia", "My uncle"),
)
_THINGS = (
    *("apples", "marbles", "books", "coins", "stamps", "cards", "eggs", "pencils", "beans", "sweets"),
    *("sheep", "cars", "cookies", "flowers", "stickers", "toys", "tickets", "oranges", "stones", "shells"),
    *("bottles", "candles", "buttons", "chairs", "letters", "photos", "balls", "boxes", "pears", "seeds"),
)
_PAIRS = (
    *("{a} men and {b} women", "{a} boys and {b} girls", "{a} cats and {b} dogs", "{a} cups and {b} plates"),
    *("{a} red cars and {b} blue cars", "{a} apples and {b} pears", "{a} knives and {b} forks"),
    *("{a} adults and {b} children", "{a} forks and {b} spoons", "{a} hens and {b} ducks"),
    *("{a} roses and {b} tulips", "{a} pens and {b} pencils", "{a} old books and {b} new books"),
    *("{a} big stones and {b} small stones", "{a} left shoes and {b} right shoes", "{a} pies and {b} cakes"),
)
_PLACES = (
    *("in a hall", "in the room", "on a ship", "in a box", "on the table", "in our town", "in a school"),
    *(
        "in the garden",
        "on a farm",
        "in the shop",
        "at the party",
        "in a park",
        "in the basket",
        "on a train",
    ),
)
_CROWD = ("people", "children", "visitors", "guests", "passengers", "birds", "cars", "students", "fans")
_HOLDER = ("A jar", "A box", "A bag", "The basket", "A shelf", "The drawer", "A bowl", "My bag", "The shop")
_IN_ALL = (
    *("How many is that in all?", "How many is that together?", "How many are there altogether?"),
    *(
        "How many are there in all?",
        "How many are there in total?",
        "What is the total?",
        "How many in total?",
    ),
    *(
        "How many does that make?",
        "How many altogether?",
        "How many are there together?",
        "How many are there?",
    ),
)
_NOW = (
    *(
        "How many are there now?",
        "How many are in it now?",
        "How many is that now?",
        "How many does it have now?",
    ),
    *("How many are there in the end?", "How many are inside now?"),
)
_LEFT = (
    *("How many are left?", "How many remain?", "How many are left now?", "How many are still there?"),
    *("How many does that leave?", "How many are there now?", "What is left?", "How many stay?"),
)

_COME_TOGETHER: Grammars = (
    (
        ("There are ", "I see ", "We count ", "I counted ", "There were "),
        _PAIRS,
        (" ",),
        _PLACES,
        (". ",),
        _IN_ALL,
    ),
    (
        (*_WHO, "I", "We"),
        (" bought ", " buys ", " has ", " have ", " found ", " sold ", " sells ", " needs "),
        _PAIRS,
        (". ",),
        _IN_ALL,
    ),
    (
        _HOLDER,
        (" has {a} ", " holds {a} ", " contains {a} ", " had {a} "),
        _THINGS,
        (
            ". I put in ",
            ". I add ",
            ". We add ",
            ". Someone puts in ",
            ". She puts ",
            ". Then come ",
            ". It gets ",
        ),
        ("{b} more. ", "{b} more. ", "{b} others. "),
        _NOW,
    ),
    (
        ("{a} ", "There are {a} ", "There were {a} ", "First came {a} "),
        _CROWD,
        (" ",),
        _PLACES,
        (" and {b} more ", ", then {b} more ", " and another {b} "),
        ("come. ", "arrive. ", "join them. ", "came. ", "arrived. ", "enter. ", "turn up. "),
        (*_NOW[:1], *_IN_ALL),
    ),
    (
        (*_WHO, "I", "We"),
        (
            " read {a} pages ",
            " walked {a} steps ",
            " ran {a} metres ",
            " drove {a} miles ",
            " earned {a} euros ",
            " sold {a} tickets ",
        ),
        (" and {b} ", " and then {b} ", " and another {b} "),
        ("today. ", "the next day. ", "this week. ", "in the evening. ", "on Sunday. ", "later. "),
        _IN_ALL,
    ),
    (
        (
            "A chair costs {a} euros and a lamp {b} euros. ",
            "One bag weighs {a} grams, another {b} grams. ",
            "One rope is {a} metres long, another {b} metres. ",
            "A coat costs {a} dollars and a hat {b} dollars. ",
        ),
        (
            "What do both cost?",
            "How much is that together?",
            "How much are both together?",
            "What is the total?",
            "How much in all?",
        ),
    ),
    (
        ("I have {a} ", "You have {a} ", "She has {a} ", "He has {a} "),
        _THINGS,
        (
            " and you give me {b}. ",
            " and I give you {b} more. ",
            " and gets {b} from a friend. ",
            " and wins {b} more. ",
            " and is given {b}. ",
        ),
        (*_NOW[:1], *_IN_ALL, "What do we have now?"),
    ),
)

_THEN_MORE: Grammars = (
    (
        (
            "My savings are {a} ",
            "I own {a} ",
            "My account holds {a} ",
            "My purse holds {a} ",
            "I start with {a} ",
        ),
        ("euros", "dollars", "pounds", "coins", "francs"),
        (
            ". I get {b} ",
            ". I earn {b} ",
            ". I receive {b} ",
            ". My aunt gives me {b} ",
            ". I win {b} ",
            ", then come {b} ",
        ),
        (
            "more. ",
            "from my father. ",
            "for my work. ",
            "as a present. ",
            "on Friday. ",
            "at Christmas. ",
            "today. ",
        ),
        (
            "How much do I have now?",
            "How much do I have?",
            "How much is that?",
            "What do I own now?",
            "How rich am I?",
        ),
    ),
    (
        _WHO,
        (
            " buys ",
            " picks ",
            " collects ",
            " finds ",
            " orders ",
            " brings ",
            " sells ",
            " packs ",
            " gets ",
        ),
        _PAIRS,
        (". How many ",),
        ("things ", "items ", "objects ", "pieces ", "in all "),
        (
            "does that make?",
            "are that?",
            "does one have then?",
            "did it come to?",
            "is it together?",
            "are there?",
        ),
    ),
    (
        _WHO,
        (" bakes ", " draws ", " paints ", " plants ", " makes ", " writes ", " catches "),
        _PAIRS,
        (". How many ",),
        ("does he ", "does she ", "did he ", "did she ", "do they ", "do I "),
        ("make?", "have?", "get?", "count?", "make in all?", "have together?", "own now?"),
    ),
)

TOGETHER_STORIES: Grammars = _COME_TOGETHER + _THEN_MORE + _THEN_MORE
LEFT_OVER_STORIES: Grammars = (
    (
        (
            "My savings are {a} ",
            "I own {a} ",
            "My account holds {a} ",
            "My purse holds {a} ",
            "I start with {a} ",
        ),
        ("euros", "dollars", "pounds", "coins", "francs"),
        (". I spend {b} ", ". I pay {b} ", ". I lose {b} ", ". I give my aunt {b} ", ". I lend {b} "),
        ("of them. ", "for food. ", "for a coat. ", "as a present. ", "on Friday. ", "today. "),
        (
            "How much do I have now?",
            "How much do I have?",
            "How much is left?",
            "What is left?",
            "How much remains?",
        ),
    ),
    (
        _HOLDER,
        (" has {a} ", " holds {a} ", " contains {a} ", " had {a} "),
        _THINGS,
        (
            ". I take out ",
            ". I remove ",
            ". We take ",
            ". Someone takes away ",
            ". She takes ",
            ". We use ",
            ". I eat ",
        ),
        ("{b}. ", "{b} of them. ", "{b} out. "),
        (*_LEFT, *_NOW),
    ),
    (
        ("{a} ", "There were {a} ", "There are {a} "),
        _CROWD,
        (" ",),
        _PLACES,
        (" and {b} ", ", then {b} ", " and {b} of them "),
        ("went home. ", "left. ", "go away. ", "leave. ", "went away. ", "disappear. ", "got off. "),
        _LEFT,
    ),
    (
        (*_WHO, "I", "We"),
        (" had {a} ", " has {a} ", " have {a} ", " bought {a} "),
        _THINGS,
        (
            *(
                ", but {b} are broken. ",
                " and lost {b} of them. ",
                ". {b} of them are lost. ",
                " and gave {b} away. ",
            ),
            *(
                " and threw {b} away. ",
                " and sold {b}. ",
                ". A friend took {b}. ",
                " and used {b} of them. ",
                " and ate {b}. ",
            ),
        ),
        _LEFT,
    ),
    (
        (*_WHO, "I", "We"),
        (" wants {a} ", " needs {a} ", " need {a} "),
        _THINGS,
        (" and has {b}. ", " but has only {b}. ", " and already has {b}. "),
        (
            "How many are missing?",
            "How many more are needed?",
            "How many more does it take?",
            "How many are still missing?",
        ),
    ),
    (
        ("Of {a} ", "Out of {a} "),
        (*_THINGS, *_CROWD),
        (
            ", {b} are gone. ",
            ", {b} are broken. ",
            ", {b} were sold. ",
            ", {b} went home. ",
            ", {b} are red. ",
            ", {b} got lost. ",
        ),
        ("How many are left?", "How many are not?", "How many remain?", "How many are still here?"),
    ),
    (
        ("I have {a} ", "You have {a} ", "She has {a} ", "He has {a} "),
        _THINGS,
        (
            " and lose {b}. ",
            " and give you {b}. ",
            " and give away {b}. ",
            " and pay {b}. ",
            " and eats {b}. ",
            " and breaks {b}. ",
        ),
        (*_LEFT, "What do I have left?"),
    ),
)
