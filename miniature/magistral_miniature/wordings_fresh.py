"""Wordings for evaluation alone: they stand in no other list, and no grammar puts them together.

Grammars of parts reach further than one sees: they make many of the templates that `phrasing` holds out. So
evaluation takes the held-out templates that no grammar makes, and these.
"""

from collections.abc import Mapping, Sequence

from magistral_miniature.wordings_numbers import ADDITION, DIFFERENCE, MORE_THAN, SUBTRACTION
from magistral_miniature.wordings_pictures import CELL, COUNT, DESCRIBE, SHORTEST, TALLEST, VALUE
from magistral_miniature.wordings_talk import ABILITIES, IDENTITY

__all__ = ["FRESH"]

FRESH: Mapping[Sequence[str], Sequence[str]] = {
    CELL: (
        "What's sitting at row {r}, column {c}?",
        "Could you check row {r}, column {c} and say what it holds?",
        "Tell me which shape occupies row {r}, column {c}.",
        "What's the content of the cell at row {r}, column {c}?",
        "Which figure is drawn at row {r}, column {c}?",
        "If I go to row {r} and column {c}, what will I find?",
        "In the {rth} row and the {cth} column, what is drawn?",
        "What occupies column {c} of row {r}?",
        "Find row {r}, then column {c}. What do you see there?",
        "What does the grid have at row {r}, column {c}?",
        "I am pointing at row {r}, column {c}. What is it?",
    ),
    COUNT: (
        "Could you count how many {things} appear?",
        "How many {things} show up in the image?",
        "What's the total of {things} in this picture?",
        "How often does a {thing} occur in the picture?",
        "Are there any {things}? If so, how many?",
        "Tell me how many {things} you find.",
        "How large is the group of {things}?",
        "I only care about {things}. How many are there?",
        "I see some {things}. How many exactly?",
    ),
    DESCRIBE: (
        "What's going on in this image?",
        "Help me understand this image in one sentence.",
        "I can't see the image. What does it show?",
        "What would a sighted person see here?",
        "Which sentence would describe this image best?",
        "I need alt text for this one.",
        "What am I looking at here?",
        "Put this picture into one sentence.",
    ),
    TALLEST: (
        "Which of the bars reaches highest?",
        "Which letter stands under the bar that towers above the rest?",
        "Which bar wins in height?",
        "Identify the bar with the greatest value.",
        "Which letter's bar is the tallest one?",
        "Who has the highest bar?",
        "Of all the bars, which rises the most?",
        "I am looking for the tallest bar. Which is it?",
    ),
    SHORTEST: (
        "Which of the bars stays lowest?",
        "Which letter stands under the bar that all others tower above?",
        "Which bar loses in height?",
        "Identify the bar with the least value.",
        "Which letter's bar is the shortest one?",
        "Who has the lowest bar?",
        "Of all the bars, which rises the least?",
        "I am looking for the shortest bar. Which is it?",
    ),
    VALUE: (
        "I need the number shown by bar {x}.",
        "What does the chart say for {x}?",
        "Bar {x} has what value?",
        "Up to which value does bar {x} go?",
        "Where does bar {x} end?",
        "Tell me how high bar {x} goes.",
        "Which number belongs to bar {x}?",
        "How far up does bar {x} reach?",
    ),
    ADDITION: (
        "Make one number out of {a} and {b} by adding.",
        "Could you work out {a} + {b} for me?",
        "If I add {b} to {a}, what do I get?",
        "What total do {a} and {b} give?",
        "{a} with {b} added makes what?",
        "A bus has {a} passengers and {b} more get on. How many are on it now?",
        "We planted {a} trees in spring and {b} in autumn. How many trees did we plant?",
        "Raise {a} by {b}.",
    ),
    SUBTRACTION: (
        "What remains of {a} after taking away {b}?",
        "Could you work out {a} - {b} for me?",
        "If you subtract {b} from {a}, what do you get?",
        "{a} less {b} is what?",
        "What do you have when {a} loses {b}?",
        "I want {a} - {b}, worked out.",
        "Please take {b} off {a}.",
    ),
    MORE_THAN: (
        "A tank holds {a} litres and {b} litres leak out. How many litres are in it?",
        "There were {a} people in the hall and {b} went home. How many stayed?",
        "What is the surplus of {a} over {b}?",
        "If I have {a} coins and pay {b}, how many stay in my purse?",
    ),
    DIFFERENCE: (
        "What's the gap from {a} to {b}?",
        "The difference of {a} and {b}, please.",
        "How wide is the gap between {a} and {b}?",
    ),
    IDENTITY: (
        "Which model is running here?",
        "Whom do I have the pleasure of talking with?",
        "Do I speak with the big Magistral?",
        "Is this Magistral Small?",
        "Say something about yourself.",
    ),
    ABILITIES: (
        "Which things can I ask you?",
        "Where do your skills end?",
        "What are you able to help with?",
        "What is in your power?",
    ),
}
