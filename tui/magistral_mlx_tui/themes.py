"""The app's colours: a warm dark default, a light one, and the terminal's own sixteen."""

from textual.theme import Theme

DARK = Theme(
    name="magistral-dark",
    primary="#FF8205",
    secondary="#FFB938",
    accent="#FA500F",
    warning="#FFD24A",
    error="#F2545B",
    success="#8CCB7A",
    foreground="#EEE7DE",
    background="#14110F",
    surface="#1B1715",
    panel="#2A2420",
    dark=True,
    variables={
        "quiet": "#8E8277",
        "segment-system": "#7FB4C9",
        "segment-images": "#8CCB7A",
        "segment-history": "#8E8277",
        "border": "#3B332D",
        "border-blurred": "#3B332D",
        "footer-key-foreground": "#FF8205",
        "footer-description-foreground": "#A79B8F",
        "footer-background": "#14110F",
        "input-cursor-background": "#FF8205",
        "scrollbar": "#4A4039",
        "scrollbar-background": "#1B1715",
        "scrollbar-hover": "#6B5C51",
        "scrollbar-active": "#FF8205",
    },
)
LIGHT = Theme(
    name="magistral-light",
    primary="#C24E00",
    secondary="#8A5A00",
    accent="#C43C00",
    warning="#8F6400",
    error="#B3232B",
    success="#2F7D32",
    foreground="#2A2420",
    background="#FBF7F1",
    surface="#FFFDF9",
    panel="#EFE7DB",
    dark=False,
    variables={
        "quiet": "#7D7164",
        "segment-system": "#2F6F8F",
        "segment-images": "#2F7D32",
        "segment-history": "#A39684",
        "border": "#D5C8B8",
        "border-blurred": "#D5C8B8",
        "footer-key-foreground": "#C24E00",
        "footer-description-foreground": "#6E6257",
        "footer-background": "#FBF7F1",
        "scrollbar": "#CDBFAE",
        "scrollbar-background": "#FFFDF9",
        "scrollbar-hover": "#A89884",
        "scrollbar-active": "#C24E00",
    },
)

DEFAULTS: dict[str, str] = {
    "quiet": "ansi_bright_black",
    "segment-system": "ansi_magenta",
    "segment-images": "ansi_green",
    "segment-history": "ansi_bright_black",
}
"""Variables of our own, for themes that lack them. What is laid over a part of a line must be a colour by
itself: Textual can't mix one that depends on what is below it."""

THEMES: dict[str, str] = {"dark": DARK.name, "light": LIGHT.name, "ansi": "ansi-dark"}
"""What people call a theme, and Textual's name of it."""


def next_theme(current: str) -> str:
    """The name (Textual's) of the theme after `current`."""
    names = list(THEMES.values())
    return names[(names.index(current) + 1) % len(names)] if current in names else names[0]
