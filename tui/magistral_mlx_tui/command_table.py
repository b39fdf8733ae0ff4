"""Everything the app can be told to do, in one table: keys, slash commands, palette and help come from it."""

import difflib
import re
from dataclasses import dataclass
from typing import Literal

from textual.binding import Binding

Group = Literal["Asking", "While it answers", "Conversations", "Looking", "The app"]


@dataclass(frozen=True)
class Command:
    """One thing to do.

    `name` is the action on the chat screen (`action_<name>`), the id in a key map, and (with dashes) the
    slash command. `argument` names what stands behind the slash command, if anything.
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
        """The slash command without its argument; empty where there is none."""
        return f"/{self.name.replace('_', '-')}" if self.slash else ""

    @property
    def usage(self) -> str:
        """The slash command as it is typed."""
        return f"{self.slash_name} {self.argument}".strip()


COMMANDS: tuple[Command, ...] = (
    Command(
        "send",
        "Send",
        "Send the question; it waits its turn while something runs.",
        "Asking",
        "enter",
        slash=False,
    ),
    Command(
        "newline",
        "New line",
        "Begin a new line in the question (shift+enter where the terminal sends it).",
        "Asking",
        "ctrl+j",
        slash=False,
    ),
    Command(
        "stop",
        "Stop",
        "Stop the answer and keep everything that came.",
        "Asking",
        "escape",
        "esc",
        footer=True,
    ),
    Command(
        "image",
        "Attach",
        "Attach an image by its path. Dropping or pasting a path does the same.",
        "Asking",
        "ctrl+o",
        footer=True,
        argument="PATH",
    ),
    Command(
        "remove_image",
        "Remove image",
        "Remove the last attached image (or backspace in an empty prompt).",
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
        "Look at the attached images, change their order, take one away.",
        "Asking",
        "f7",
        priority=True,
    ),
    Command(
        "answer_now",
        "Answer now",
        "Close the running thought and have the answer; afterwards: go on with a reply that was cut off.",
        "While it answers",
        "f12",
    ),
    Command(
        "pause",
        "Pause",
        "Pause; go on with a hint that is written into the thought.",
        "While it answers",
        "f11",
        argument="[HINT]",
    ),
    Command(
        "continue",
        "Continue",
        "Go on with a reply that was cut off or stopped, reading nothing again.",
        "While it answers",
    ),
    Command(
        "thinking",
        "Thinking",
        "Thinking off and on for the next questions, or at most so many tokens of it.",
        "Asking",
        argument="[on|off|TOKENS]",
    ),
    Command("again", "Ask again", "Ask the last question once more; both answers stay.", "Asking"),
    Command(
        "edit",
        "Edit",
        "Change the last question and ask it anew; the first one stays.",
        "Asking",
        "f2",
        argument="[QUESTION]",
    ),
    Command(
        "branch",
        "Other branch",
        "Show the next of the questions or answers that stand in the same place.",
        "Conversations",
        "ctrl+l",
    ),
    Command(
        "sessions",
        "Conversations",
        "Search the kept conversations, go on with one, rename, delete, bring back, export.",
        "Conversations",
        "ctrl+s",
        footer=True,
        argument="[WORDS]",
    ),
    Command(
        "resume",
        "Go on with",
        "Go on with a kept conversation: its id, its title, or the last one.",
        "Conversations",
        argument="[NAME]",
    ),
    Command("title", "Title", "Name this conversation.", "Conversations", argument="[TITLE]"),
    Command(
        "export",
        "Export",
        "Write this conversation as Markdown, HTML or JSON (by the end of the file's name), "
        "with or “without reasoning”.",
        "Conversations",
        argument="[FILE] [without reasoning]",
    ),
    Command("new", "New", "Begin a new conversation.", "Conversations", "ctrl+n", footer=True),
    Command(
        "copy", "Copy answer", "Copy the last answer to the clipboard.", "Looking", "ctrl+y", priority=True
    ),
    Command(
        "copy_code", "Copy code", "Copy a code block of the last answer.", "Looking", argument="[NUMBER]"
    ),
    Command(
        "copy_latex",
        "Copy LaTeX",
        "Copy the source of a formula of the last answer.",
        "Looking",
        argument="[NUMBER]",
    ),
    Command(
        "reasoning",
        "Reasoning",
        "Show, fold or hide the reasoning; on a narrow screen, switch between the panes.",
        "Looking",
        "ctrl+t",
        footer=True,
        argument="[show|fold|hide]",
    ),
    Command("layout", "Layout", "Side by side or stacked.", "Looking", "f6", priority=True),
    Command(
        "zoom",
        "Zoom",
        "One pane takes all the room, then the other one, then both are back.",
        "Looking",
        "f4",
        priority=True,
    ),
    Command(
        "source",
        "Source",
        "What the model wrote, with all marks and LaTeX, or as it is meant to be read.",
        "Looking",
        "f5",
        priority=True,
    ),
    Command(
        "find",
        "Find",
        "Search in reasoning and answer; enter goes on, shift+enter back.",
        "Looking",
        "ctrl+f",
        argument="[WORDS]",
        priority=True,
    ),
    Command("find_next", "Next hit", "To the next hit.", "Looking", "ctrl+g", priority=True),
    Command("find_previous", "Previous hit", "To the hit before.", "Looking"),
    Command("page_up", "Scroll back", "Scroll both panes back.", "Looking", "pageup", priority=True),
    Command("page_down", "Scroll on", "Scroll both panes on.", "Looking", "pagedown", priority=True),
    Command(
        "follow", "Follow", "Go to the end of both panes and follow it.", "Looking", "ctrl+end", priority=True
    ),
    Command(
        "theme",
        "Theme",
        "Next theme: dark, light, the terminal's own colours.",
        "Looking",
        "f9",
        argument="[dark|light|ansi]",
    ),
    Command("models", "Models", "Choose another model, or convert one.", "The app", "f3"),
    Command("settings", "Settings", "All settings; changes are kept.", "The app", "f10"),
    Command(
        "restart", "Restart", "Start the engine again; it is told what is on the screen.", "The app", "ctrl+r"
    ),
    Command("help", "Help", "All keys and commands.", "The app", "f1", footer=True),
    Command("quit", "Quit", "End the engine and leave.", "The app", "ctrl+q", footer=True, priority=True),
)

_SLASH = re.compile(r"/(?P<name>[a-z][a-z-]*)(?:\s+(?P<argument>.*))?", re.DOTALL)


def bindings() -> list[Binding]:
    """The chat screen's key bindings; ids are the commands' names, so that a key map can change them."""
    return [
        Binding(
            command.key,
            command.name,
            command.title,
            show=command.footer,
            key_display=command.key_label or None,
            tooltip=command.help,
            id=command.name,
            priority=command.priority,
        )
        for command in COMMANDS
        if command.key and command.name not in ("send", "newline")  # those two belong to the prompt
    ]


def parse_slash(text: str) -> tuple[Command | None, str, str] | None:
    """A typed slash command as (command, its argument, the name as typed); None if `text` is no command.

    The command is None when there is none of that name. A path such as `/tmp/x.png` is not a command.
    """
    match = _SLASH.fullmatch(text.strip())
    if match is None:
        return None
    name = match["name"]
    command = next((each for each in COMMANDS if each.slash and each.name == name.replace("-", "_")), None)
    return command, (match["argument"] or "").strip(), name


def no_such_command(name: str, *, otherwise: str) -> str:
    """What people read when they typed the slash command `name`, which there is not.

    Args:
        name: as typed.
        otherwise: what to do if no command is named alike.
    """
    known = [each.name.replace("_", "-") for each in COMMANDS if each.slash]
    near = difflib.get_close_matches(name, known, n=1)
    return f"There is no command /{name}; {f'did you mean /{near[0]}?' if near else otherwise}"
