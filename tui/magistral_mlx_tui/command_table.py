"""One table of commands; keys, slash commands, palette and help come from it."""

import difflib
import re
from dataclasses import dataclass
from typing import Literal

from textual.binding import Binding

Group = Literal["Asking", "During an answer", "Conversations", "View", "The app"]


@dataclass(frozen=True)
class Command:
    """A command.

    `name` is its id in the table of verbs and in a key map, and (with dashes) the slash command. `argument`
    names the argument of the slash command; empty: it takes none.
    """

    name: str
    title: str
    help: str
    group: Group
    key: str = ""
    key_label: str = ""
    footer: bool = False
    slash: bool = True
    argument: str = ""
    priority: bool = False

    @property
    def slash_name(self) -> str:
        """The slash command without its argument; empty: there is none."""
        return f"/{self.name.replace('_', '-')}" if self.slash else ""

    @property
    def usage(self) -> str:
        """The slash command as it is typed."""
        return f"{self.slash_name} {self.argument}".strip()


COMMANDS: tuple[Command, ...] = (
    Command(
        "send",
        "Send",
        "Send the question; it is queued while an answer runs.",
        "Asking",
        "enter",
        slash=False,
    ),
    Command(
        "newline",
        "New line",
        "Start a new line (Shift+Enter where the terminal sends it).",
        "Asking",
        "ctrl+j",
        slash=False,
    ),
    Command(
        "stop",
        "Stop",
        "Stop the answer; everything so far is kept.",
        "Asking",
        "escape",
        "esc",
        footer=True,
    ),
    Command(
        "image",
        "Attach",
        "Attach an image by its path, or drop or paste the path.",
        "Asking",
        "ctrl+o",
        footer=True,
        argument="PATH",
    ),
    Command(
        "remove_image",
        "Remove image",
        "Remove the last attached image (or Backspace in an empty prompt).",
        "Asking",
        "f8",
    ),
    Command(
        "paste_image",
        "Paste image",
        "Attach the image on the clipboard.",
        "Asking",
        "ctrl+v",
        priority=True,
    ),
    Command(
        "images",
        "Images",
        "Review, reorder and remove the attached images.",
        "Asking",
        "f7",
        priority=True,
    ),
    Command(
        "answer_now",
        "Answer now",
        "Stop thinking and answer now; after a reply that was cut off, continue it.",
        "During an answer",
        "f12",
    ),
    Command(
        "pause",
        "Pause",
        "Pause; resume with a hint that is added to the reasoning.",
        "During an answer",
        "f11",
        argument="[HINT]",
    ),
    Command(
        "continue",
        "Continue",
        "Continue a reply that was cut off or stopped, without a new prefill.",
        "During an answer",
    ),
    Command(
        "thinking",
        "Thinking",
        "Turn thinking on or off for the next questions, or set a token limit.",
        "Asking",
        argument="[on|off|TOKENS]",
    ),
    Command("again", "Ask again", "Ask the last question again; both answers stay.", "Asking"),
    Command(
        "edit",
        "Edit",
        "Change the last question and ask it again; the first version stays.",
        "Asking",
        "f2",
        argument="[QUESTION]",
    ),
    Command(
        "branch",
        "Other versions",
        "Show the next version of this turn.",
        "Conversations",
        "ctrl+l",
    ),
    Command(
        "sessions",
        "Conversations",
        "Search, open, rename, delete, restore and export conversations.",
        "Conversations",
        "ctrl+s",
        footer=True,
        argument="[WORDS]",
    ),
    Command(
        "resume",
        "Resume",
        "Open a conversation by its id or title, or the last one.",
        "Conversations",
        argument="[NAME]",
    ),
    Command("title", "Title", "Name this conversation.", "Conversations", argument="[TITLE]"),
    Command(
        "export",
        "Export",
        "Save this conversation as Markdown, HTML or JSON (by the file's extension), "
        "with or “without reasoning”.",
        "Conversations",
        argument="[FILE] [without reasoning]",
    ),
    Command("new", "New", "Start a new conversation.", "Conversations", "ctrl+n", footer=True),
    Command("copy", "Copy answer", "Copy the last answer to the clipboard.", "View", "ctrl+y", priority=True),
    Command("copy_code", "Copy code", "Copy a code block from the last answer.", "View", argument="[NUMBER]"),
    Command(
        "copy_latex",
        "Copy LaTeX",
        "Copy the LaTeX of a formula in the last answer.",
        "View",
        argument="[NUMBER]",
    ),
    Command(
        "reasoning",
        "Reasoning",
        "Show, fold or hide the reasoning; on a narrow screen, switch panes.",
        "View",
        "ctrl+t",
        footer=True,
        argument="[show|fold|hide]",
    ),
    Command("layout", "Layout", "Switch between side by side and stacked.", "View", "f6", priority=True),
    Command(
        "zoom",
        "Zoom",
        "Enlarge one pane, then the other, then show both.",
        "View",
        "f4",
        priority=True,
    ),
    Command(
        "source",
        "Source",
        "Switch between the raw text and the rendered text.",
        "View",
        "f5",
        priority=True,
    ),
    Command(
        "find",
        "Find",
        "Search reasoning and answer; Enter goes to the next match, Shift+Enter back.",
        "View",
        "ctrl+f",
        argument="[WORDS]",
        priority=True,
    ),
    Command("find_next", "Next match", "Go to the next match.", "View", "ctrl+g", priority=True),
    Command("find_previous", "Previous match", "Go to the previous match.", "View"),
    Command("page_up", "Page up", "Scroll both panes up.", "View", "pageup", priority=True),
    Command("page_down", "Page down", "Scroll both panes down.", "View", "pagedown", priority=True),
    Command(
        "follow",
        "Follow",
        "Go to the end of both panes and follow new text.",
        "View",
        "ctrl+end",
        priority=True,
    ),
    Command(
        "theme",
        "Theme",
        "Switch the theme: dark, light, the terminal's own colours.",
        "View",
        "f9",
        argument="[dark|light|ansi]",
    ),
    Command("models", "Models", "Pick another model, or convert one.", "The app", "f3"),
    Command("settings", "Settings", "Change the settings.", "The app", "f10"),
    Command("restart", "Restart", "Restart the engine and reload this conversation.", "The app", "ctrl+r"),
    Command("help", "Help", "Show all keys and commands.", "The app", "f1", footer=True),
    Command("quit", "Quit", "Quit; everything is kept.", "The app", "ctrl+q", footer=True, priority=True),
)

_OLD_NAMES = {
    "picture": "image",
    "pictures": "images",
    "remove_picture": "remove_image",
    "paste_picture": "paste_image",
}
"""Names of commands in earlier versions."""


def current_name(name: str) -> str:
    """Turn the name of a command in an earlier version into the present one."""
    return _OLD_NAMES.get(name, name)


_SLASH = re.compile(r"/(?P<name>[a-z][a-z-]*)(?:\s+(?P<argument>.*))?", re.DOTALL)


def bindings() -> list[Binding]:
    """The chat screen's key bindings; ids are the commands' names, for key maps."""
    return [
        Binding(
            command.key,
            f"obey('{command.name}')",
            command.title,
            show=command.footer,
            key_display=command.key_label or None,
            tooltip=command.help,
            id=command.name,
            priority=command.priority,
        )
        for command in COMMANDS
        if command.key and command.name not in ("send", "newline")  # the prompt handles these
    ]


def parse_slash(text: str) -> tuple[Command | None, str, str] | None:
    """Parse a slash command into (command, argument, name as typed); None if `text` is no command.

    The command is None if the name is unknown. A path such as `/tmp/x.png` is not a command.
    """
    match = _SLASH.fullmatch(text.strip())
    if match is None:
        return None
    name = match["name"]
    wanted = current_name(name.replace("-", "_"))
    command = next((each for each in COMMANDS if each.slash and each.name == wanted), None)
    return command, (match["argument"] or "").strip(), name


def no_such_command(name: str, *, otherwise: str) -> str:
    """Say that there is no slash command `name`.

    Args:
        name: as typed.
        otherwise: advice if no command has a similar name.
    """
    known = [each.name.replace("_", "-") for each in COMMANDS if each.slash]
    near = difflib.get_close_matches(name, known, n=1)
    return f"There is no command /{name}; {f'did you mean /{near[0]}?' if near else otherwise}"
