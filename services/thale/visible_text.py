"""Text in which a reader sees every character, as types of pydantic with a maximum length.

A control or invisible character makes two texts look alike, reverses the text after it, or controls a terminal. The
texts of a model card come from other people, and are shown in terminals, web pages and reviews.
"""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field

_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Control and format characters (also bidirectional overrides and zero-width ones), surrogates, private and unassigned
code points, and separators of lines and paragraphs."""
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Characters of other categories without a glyph."""


def _check_line(text: str) -> str:
    """Return a line without control and invisible characters.

    Raises:
        ValueError: If it has one. The message has its code point and position, not the text.
    """
    if text.isascii() and text.isprintable():
        return text
    for position, character in enumerate(text):
        if not _is_visible(character):
            raise ValueError(f"U+{ord(character):04X} at position {position} is a control or invisible character")
    return text


def _is_visible(character: str) -> bool:
    if unicodedata.category(character) in _FORBIDDEN_CATEGORIES or character in _BLANK_LETTERS:
        return False
    return not unicodedata.name(character, "").startswith(("VARIATION SELECTOR", "MONGOLIAN FREE VARIATION SELECTOR"))


def _check_lines(text: str) -> str:
    _check_line(text.replace("\n", " "))
    return text


Label = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_check_line)]
"""A short name in one line."""
Line = Annotated[str, Field(max_length=1024), AfterValidator(_check_line)]
"""A text in one line."""
Text = Annotated[str, Field(max_length=4096), AfterValidator(_check_lines)]
"""A text of several lines, separated by newlines."""
