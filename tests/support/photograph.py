"""A screen of the running app as an image: the same SVG every time, and a bitmap of it to be looked at."""

import asyncio
import html
import re
import shutil
import subprocess
from pathlib import Path

from rich.cells import cell_len
from textual.widgets import Input

from support.terminal_app import Driven

_TEXT = re.compile(
    r'(?P<head><text class="[^"]*" )x="(?P<x>[\d.]+)" y="(?P<y>[\d.]+)" textLength="(?P<length>[\d.]+)"'
    r"(?P<rest>[^>]*)>(?P<shown>[^<]*)</text>"
)


async def photograph(driven: Driven) -> str:
    """The image, once no frame is due and nothing changes any more; no cursor blinks in it."""
    for line in driven.app.screen.query(Input):
        line.cursor_blink = False
    before = ""
    async with asyncio.timeout(120):
        while True:
            await driven.until(lambda: not driven.screen._clock.waiting)
            driven.screen.draw_figures()
            await driven.pilot.pause()
            now = _same_every_time(driven.app.export_screenshot(title="magistral"))
            if now == before:
                return now
            before = now


def _same_every_time(svg: str) -> str:
    return re.sub(r"terminal-\d+-", "terminal-", svg).replace("\u00a0", "&#160;").strip() + "\n"


def write_bitmap(svg: str, file: Path) -> None:
    """Convert, without blanks at the ends of texts: the converter would drop them and shift the rest."""
    file.parent.mkdir(parents=True, exist_ok=True)
    converter = shutil.which("rsvg-convert") or "rsvg-convert"
    subprocess.run([converter, "-o", str(file)], input=_TEXT.sub(_without_blanks, svg).encode(), check=True)


def _without_blanks(text: re.Match[str]) -> str:
    shown = html.unescape(text["shown"])
    cell = float(text["length"]) / max(1, cell_len(shown))
    inked = shown.strip("\u00a0 ")
    x = float(text["x"]) + cell * (len(shown) - len(shown.lstrip("\u00a0 ")))
    length = cell * cell_len(inked)
    place = f'x="{x:.1f}" y="{text["y"]}" textLength="{length:.1f}"'
    return f"{text['head']}{place}{text['rest']}>{html.escape(inked)}</text>"
