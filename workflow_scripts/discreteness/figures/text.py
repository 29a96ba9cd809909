"""Text in figures: only characters that the fonts have, and no line wider than its place."""

from functools import cache

import matplotlib
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.textpath import text_to_path

UNSHOWABLE = "□"
WHITE_SPACE = {" ": "␣", "\n": "⏎", "\r": "␍", "\t": "⇥", "\u00a0": "␣", "\u3000": "␣"}
WORD_STARTS = "Ġ▁"  # how byte-level BPE and SentencePiece write the space that begins a word
SPECIAL_NAMES = {
    "endoftext": "eos",
    "end_of_text": "eos",
    "/s": "eos",
    "sep": "eos",
    "eot_id": "eot",
    "im_end": "eot",
    "end_of_turn": "eot",
}


@cache
def _glyphs(family: tuple[str, ...]) -> frozenset[int]:
    """Code points that the style's fonts can draw."""
    fonts = (get_font(findfont(FontProperties(family=name))) for name in family)
    return frozenset().union(*(font.get_charmap() for font in fonts))


def printable(text: str) -> str:
    """The text with □ for every character that the fonts cannot draw."""
    glyphs = _glyphs(tuple(matplotlib.rcParams["font.sans-serif"]))
    return "".join(c if c.isprintable() and ord(c) in glyphs else UNSHOWABLE for c in text)


def token_label(text: str, special: bool = False) -> str:
    """A token as a label: without the space that begins most words; a token of white space alone as ␣, ⏎ or ⇥.

    A special token is written as `⟨eos⟩`.
    """
    if special:
        name = text.strip().strip("<>|[]").strip("|").lower() or "special"
        return printable(f"⟨{SPECIAL_NAMES.get(name, name)}⟩")
    if text[:1] in WORD_STARTS and text:
        text = " " + text[1:]
    body = text.strip() or text
    return printable("".join(WHITE_SPACE.get(c, c) for c in body)) or "∅"


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Width of a line of text in points, the same with every backend."""
    font = FontProperties(family=matplotlib.rcParams["font.sans-serif"], size=size, weight=weight)
    return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]


def fit_text(text: str, width: float, size: float, weight: str = "normal") -> str:
    """The text as `printable`, cut with … where it would be wider than `width` points."""
    text = printable(text)

    def fits(candidate: str) -> bool:
        return text_width(candidate, size, weight) <= width

    if fits(text):
        return text
    low, high = 0, len(text)  # bisection for the longest beginning that fits
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(text[:middle] + "…") else (low, middle - 1)
    return text[:low].rstrip() + "…"


def wrap_text(text: str, width: float, size: float, lines: int) -> list[str]:
    """The text in at most `lines` lines of `width` points, broken at spaces; the last may end with …"""
    # No line holds 400 characters, and measuring a whole book would take long.
    words = printable(" ".join(text.split())[: 400 * lines]).split(" ")
    wrapped: list[str] = []
    while words and len(wrapped) < lines - 1:
        line = words.pop(0)
        while words and text_width(f"{line} {words[0]}", size) <= width:
            line += " " + words.pop(0)
        wrapped.append(fit_text(line, width, size))
    return [*wrapped, fit_text(" ".join(words), width, size)] if words else wrapped
