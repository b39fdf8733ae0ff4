"""Where JSON text stands: inside a string, a number or between values, byte by byte."""

import json


class JsonPosition:
    """Follows JSON text that is valid so far."""

    def __init__(self) -> None:
        self.inside = False
        """Whether the next byte belongs to a string."""
        self.escaped = False
        """Whether the last byte was a backslash inside a string."""
        self.is_key = False
        """Whether the string is the name of a property."""
        self.brackets = ""
        """The brackets that are open, the outermost first."""
        self.commas: tuple[int, ...] = ()
        """How many commas each open bracket holds so far."""
        self._raw = bytearray()
        self._number = bytearray()
        self._last = 0

    def copy(self) -> "JsonPosition":
        """Return the same position, to go on from."""
        copy = JsonPosition()
        copy.inside, copy.escaped, copy.is_key = self.inside, self.escaped, self.is_key
        copy.brackets, copy.commas, copy._last = self.brackets, self.commas, self._last
        copy._raw, copy._number = bytearray(self._raw), bytearray(self._number)
        return copy

    @property
    def content(self) -> str | None:
        """The string so far, unescaped; None outside of strings and within a character or an escape."""
        if not self.inside or self.escaped:
            return None
        try:
            return str(json.loads(b'"' + bytes(self._raw) + b'"'))
        except ValueError:
            return None

    @property
    def number(self) -> str:
        """The number so far; empty outside of numbers."""
        return self._number.decode("ascii")

    def push(self, text: bytes) -> None:
        """Take the next bytes of the text."""
        for byte in text:
            if self.inside:
                self._inside(byte)
            else:
                self._outside(byte)

    def _inside(self, byte: int) -> None:
        if not self.escaped and byte == ord('"'):
            self.inside, self._last = False, byte
            return
        self._raw.append(byte)
        self.escaped = not self.escaped and byte == ord("\\")

    def _outside(self, byte: int) -> None:
        if byte in b"+-.0123456789eE" and (self._number or byte in b"-0123456789"):
            self._number.append(byte)
        else:
            self._number.clear()
        if byte == ord('"'):
            self.inside, self.escaped = True, False
            self.is_key = self.brackets.endswith("{") and self._last in b"{,"
            self._raw.clear()
        elif byte in b"{[":
            self.brackets, self.commas = self.brackets + chr(byte), (*self.commas, 0)
        elif byte in b"}]":
            self.brackets, self.commas = self.brackets[:-1], self.commas[:-1]
        elif byte == ord(",") and self.commas:
            self.commas = (*self.commas[:-1], self.commas[-1] + 1)
        if byte != ord(" "):
            self._last = byte
