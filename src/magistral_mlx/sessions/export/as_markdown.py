"""A conversation as Markdown: answers as the model wrote them, thoughts as quotations."""

from magistral_mlx.sessions.export.words import day, ending_words, picture_words, thought_figures
from magistral_mlx.sessions.library import title_of
from magistral_mlx.sessions.tree import Tree, Turn


def to_markdown(tree: Tree, *, reasoning: bool) -> str:
    """The turns on the path that is shown; see `Tree.path`."""
    parts = [f"# {_escaped(title_of(tree)) or 'Conversation'}\n", f"{day(tree.began_at)}\n"]
    for number, turn in enumerate(tree.path, start=1):
        parts += _turn(turn, number, reasoning=reasoning)
    return "\n".join(parts)


def _turn(turn: Turn, number: int, *, reasoning: bool) -> list[str]:
    parts = [f"## Question {number}\n", f"{turn.question.strip()}\n"]
    parts += [f"*Picture: {_escaped(picture_words(each))}*\n" for each in turn.pictures]
    if reasoning and turn.reasoning.strip():
        parts += [f"### Reasoning ({thought_figures(turn)})\n", _quoted(turn.reasoning) + "\n"]
    model = f" ({_escaped(turn.model)})" if turn.model else ""
    parts.append(f"### Answer{model}\n")
    if turn.answer.strip():
        parts.append(f"{turn.answer.strip()}\n")
    if words := ending_words(turn):
        parts.append(f"*{words}*\n")
    return parts


def _quoted(text: str) -> str:
    """Nothing in `text` gets out of a quotation, whatever it opens or closes."""
    return "\n".join(f"> {line}".rstrip() for line in text.strip().splitlines())


def _escaped(text: str) -> str:
    """One line of text that Markdown takes literally."""
    line = " ".join(text.split())
    return "".join(f"\\{each}" if each in "\\`*_[]<>#!|" else each for each in line)
