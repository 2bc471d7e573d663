"""Finds addresses in JSON text as it streams by, without parsing it.

In JSON a quotation mark that no backslash precedes, with the beginning of an address behind it, always opens a string.
So one regular expression sees all strings that begin with a base, and no state is kept but what may still become one.
What is not JSON is not noticed, and passes by.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from .bases import Base, exactly, pattern_of

LONGEST = 16_384
"""Bytes of a string that may be held back, until its end is seen. No server takes an address that is longer."""

# What follows a base. It ends there, or its path, query or fragment begins, up to the end of the string. An escaped
# blank, control character, quotation mark or backslash ends it as a plain one does: RFC 3986 has none of them.
_BEGINS = r"[/?#]|\\/|\\u(?:002[fF3]|003[fF])"
_GOES_ON = r'[^"\\\x00-\x20]++|\\/|\\u(?!00(?:[01][0-9a-fA-F]|2[02]|5[cC]))[0-9a-fA-F]{4}'
_PLAIN_REST = r'(?:[/?#][^"\\\x00-\x20]*+)?(?:"|\Z)'
_REST = rf'(?:(?:{_BEGINS})(?:{_GOES_ON})*+)?(?:"|\Z)'

_FIRST = b"hH/\\"  # bytes that an address can begin with: "https:", "//", or either with an escape
_NOT_IN_URLS = re.compile(r'[\x00-\x20"\\]')
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|/)")
_HALF_ESCAPE = re.compile(rb"\\(?:u[0-9a-fA-F]{0,3})?\Z")


class JsonAddresses:
    """Replaces bases, where a string of JSON is an address below one of them.

    Args:
        bases: where one is above another, the lower one comes first.
        replacement: an address, of ASCII without quotation marks and backslashes.
    """

    def __init__(self, bases: Sequence[Base], replacement: str) -> None:
        # What nearly all have, without any escape, is for speed alone: what that does not find, the other does.
        plain = rf"{pattern_of(bases, exactly)}(?={_PLAIN_REST})"
        spelled = rf"{pattern_of(bases, _in_json)}(?={_REST})"
        # So is that the first byte is looked at before anything else.
        pattern = rf'"(?=[hH/\\])(?<!\\")(?:{plain}|{spelled})'
        self._pattern = re.compile(pattern.encode())
        self._replacement = f'"{replacement}'.encode()
        self._spellings = tuple(sorted(set().union(*(base.spellings() for base in bases))))

    def rewritten(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Give the text again, each piece of it as far as it is decided; some may be empty."""
        held = b""
        for piece in pieces:
            text = held + piece
            decided = self._decided(text)
            held = text[decided:]
            yield self._pattern.sub(self._replacement, text[:decided])
        if held:
            yield self._pattern.sub(self._replacement, held)

    def _decided(self, text: bytes) -> int:
        """Say up to where nothing that may follow matters. A string ends at the next quotation mark, whatever it is."""
        last = text.rfind(b'"')
        if last >= 0 and text[last - 1 : last] != b"\\" and self._may_be_address(text[last + 1 : last + 2 + LONGEST]):
            return last
        return len(text) - text.endswith(b"\\")  # a quotation mark may follow

    def _may_be_address(self, begun: bytes) -> bool:
        """Whether a string that begins so, and has not ended, can become an address below a base."""
        if begun[:1] not in _FIRST or len(begun) > LONGEST:
            return False
        plain = _ESCAPE.sub(_unescaped, _HALF_ESCAPE.sub(b"", begun).decode("utf-8", "ignore")).lower()
        if _NOT_IN_URLS.search(plain):
            return False
        return plain.startswith(self._spellings) or any(each.startswith(plain) for each in self._spellings)


def _in_json(text: str, fold: bool) -> str:
    """Spell a text as JSON may have it: each of its characters may be escaped (:data:`~.bases.Spell`)."""
    return "".join(_character(character, fold) for character in text)


def _character(character: str, fold: bool) -> str:
    forms = sorted({character, character.upper()}) if fold and character.isascii() else [character]
    solidus = [r"\\/"] if character == "/" else []
    return f"(?:{'|'.join([*map(re.escape, forms), *solidus, *map(_escaped, forms)])})"


def _escaped(character: str) -> str:
    """Spell a character by the numbers of its UTF-16 units; hexadecimal digits in either case (RFC 8259, section 7)."""
    digits = character.encode("utf-16-be").hex()
    either = [f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in digits]
    return "".join(rf"\\u{''.join(either[at : at + 4])}" for at in range(0, len(either), 4))


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else "/"
