"""`magistral sessions`: the kept conversations, without the app.

stdout holds the result (the list, the conversation, the export), stderr everything else. A conversation is
named by its id, the beginning of its id, its whole title, or "last".
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict

from magistral_mlx.commands.console import Console
from magistral_mlx.errors import SessionError
from magistral_mlx.sanitize import sanitize_line
from magistral_mlx.sessions.export.formats import Format, export, write_export
from magistral_mlx.sessions.export.words import day
from magistral_mlx.sessions.library import Library, Summary
from magistral_mlx.storage.paths import typed_path

SUMMARY = "list, search, show, export, rename and delete kept conversations"
_NAME_HELP = 'id, beginning of an id, title, or "last"'


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs of `magistral sessions`."""
    verbs = parser.add_subparsers(title="what to do", metavar="VERB", dest="verb")

    def verb(name: str, words: str, *, takes: str | None = None) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = verbs.add_parser(name, help=words, description=words)
        if takes:
            added.add_argument("name", metavar=takes, help=_NAME_HELP)
        return added

    verb("list", "list all conversations, the last used one first").add_argument(
        "--json", action="store_true", help="print one JSON object"
    )
    verb("search", "find conversations in which all WORDS occur").add_argument(
        "words", nargs="+", metavar="WORD", help="whole words or parts of them"
    )
    _without_reasoning(verb("show", "print a conversation", takes="NAME"))
    exporting = verb("export", "write a conversation as Markdown, HTML or JSON", takes="NAME")
    exporting.add_argument("--to", metavar="FILE", help="a new file (default: stdout)")
    exporting.add_argument(
        "--format", choices=[str(each) for each in Format], help="default: what FILE ends in, else markdown"
    )
    _without_reasoning(exporting)
    verb("rename", "give a conversation a title", takes="NAME").add_argument(
        "title", metavar="TITLE", help="an empty one takes the title away"
    )
    verb("delete", "delete a conversation; `restore` brings it back within 30 days", takes="NAME")
    verb("restore", "bring a deleted conversation back").add_argument(
        "id", nargs="?", metavar="ID", help="default: the one that was deleted last"
    )
    parser.set_defaults(verb="list", json=False)


def _without_reasoning(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-reasoning", action="store_true", help="leave the thoughts out")


def run(arguments: argparse.Namespace) -> int:
    """Do what the verb says; returns the exit code."""
    verbs: dict[str, Callable[[argparse.Namespace, Library, Console], None]] = {
        "list": _list,
        "search": _search,
        "show": _show,
        "export": _export,
        "rename": _rename,
        "delete": _delete,
        "restore": _restore,
    }
    verbs[arguments.verb](arguments, Library(), Console.standard())
    return 0


def _list(arguments: argparse.Namespace, library: Library, console: Console) -> None:
    summaries = library.summaries()
    if arguments.json:
        listing = {"directory": str(library.directory), "conversations": [asdict(each) for each in summaries]}
        console.result(json.dumps(listing, ensure_ascii=False, indent=2, default=str) + "\n")
        return
    console.result("".join(f"{_row(each)}\n" for each in summaries))
    if not summaries:
        console.note("No conversation is kept yet; `magistral` begins one.")


def _row(summary: Summary) -> str:
    turns = f"{summary.turns} turn{'s' if summary.turns != 1 else ''}"
    return f"{summary.id}  {day(summary.updated_at)}  {turns:>8}  {sanitize_line(summary.title)}"


def _search(arguments: argparse.Namespace, library: Library, console: Console) -> None:
    words = " ".join(arguments.words)
    hits = library.search(words)
    for hit in hits:
        console.result(f"{hit.id}  {sanitize_line(hit.title)}\n")
        if hit.where != "title":
            console.result(f"    {hit.where}: {sanitize_line(hit.excerpt)}\n")
    if not hits:
        raise SessionError(f"No conversation holds {words!r}", "Search for fewer words.")


def _show(arguments: argparse.Namespace, library: Library, console: Console) -> None:
    tree = library.read(library.find(arguments.name))
    console.result(export(tree, Format.MARKDOWN, reasoning=not arguments.no_reasoning))


def _export(arguments: argparse.Namespace, library: Library, console: Console) -> None:
    target = typed_path(arguments.to) if arguments.to else None
    by_name = Format.of(target) if target and not arguments.format else Format.MARKDOWN
    form = Format(arguments.format) if arguments.format else by_name
    text = export(library.read(library.find(arguments.name)), form, reasoning=not arguments.no_reasoning)
    if target is None:
        console.result(text)
    else:
        write_export(text, target)
        console.note(f"Written to {target}.")


def _rename(arguments: argparse.Namespace, library: Library, console: Console) -> None:
    id_ = library.find(arguments.name)
    library.rename(id_, arguments.title)
    console.note(
        f"{id_} is called {next(each.title for each in library.summaries() if each.id == id_)!r} now."
    )


def _delete(arguments: argparse.Namespace, library: Library, console: Console) -> None:
    id_ = library.find(arguments.name)
    library.delete(id_)
    console.note(f"Deleted {id_}. `magistral sessions restore {id_}` brings it back.")


def _restore(arguments: argparse.Namespace, library: Library, console: Console) -> None:
    deleted = library.deleted()
    if not deleted:
        raise SessionError(
            "No conversation was deleted", "`magistral sessions list` names those that are kept."
        )
    id_ = arguments.id or deleted[0]
    library.restore(id_)
    console.note(f"{id_} is back.")
