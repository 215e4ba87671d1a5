"""Write a picture of flat colours and text small: Chromium writes it quickly instead.

Colours are kept as they are when a palette of 256 has them all, else those that are used least go to their
nearest neighbour. https://www.w3.org/TR/png-3/ describes the format.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOURS = 256
_COMMENT = b"Comment\0"


def smaller(picture: bytes, comment: str) -> bytes:
    """The same picture with a palette, and a `comment` in ASCII that nobody sees.

    Raises ValueError for another kind of PNG than Chromium writes: 8 bits a colour, no interlacing.
    """
    chunks = list(_chunks(picture))
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    if depth != 8 or kind not in (2, 6) or interlaced:
        raise ValueError(f"not a picture as Chromium makes it: depth {depth}, colour type {kind}")
    size = 3 if kind == 2 else 4
    data = zlib.decompress(b"".join(body for name, body in chunks if name == b"IDAT"))
    rows = list(_rows(data, width * size, size))
    pixels = [[tuple(row[at : at + 3]) for at in range(0, len(row), size)] for row in rows]
    used = Counter(pixel for row in pixels for pixel in row)
    palette = [colour for colour, _ in used.most_common(_COLOURS)]
    place = {colour: number for number, colour in enumerate(palette)}
    for colour in used:
        if colour not in place:
            place[colour] = min(range(len(palette)), key=lambda n: _apart(palette[n], colour))
    lines = b"".join(b"\0" + bytes(place[pixel] for pixel in row) for row in pixels)
    return _SIGNATURE + b"".join(
        (
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", bytes(part for colour in palette for part in colour)),
            _chunk(b"tEXt", _COMMENT + comment.encode("ascii")),
            _chunk(b"IDAT", zlib.compress(lines, 9)),
            _chunk(b"IEND", b""),
        )
    )


def comment(picture: bytes) -> str:
    """The one that `smaller` was given; empty if there is none."""
    found = (body for name, body in _chunks(picture) if name == b"tEXt" and body.startswith(_COMMENT))
    return next(found, _COMMENT).removeprefix(_COMMENT).decode("ascii")


def _apart(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at < len(picture):
        (size,) = struct.unpack(">I", picture[at : at + 4])
        yield picture[at + 4 : at + 8], picture[at + 8 : at + 8 + size]
        at += size + 12


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _rows(data: bytes, length: int, size: int) -> Iterator[bytes]:
    """Each line of pixels, its filter undone; `size` is a pixel's, in bytes."""
    above = bytes(length)
    for start in range(0, len(data), length + 1):
        kind, line = data[start], bytearray(data[start + 1 : start + 1 + length])
        for at in range(length):
            left = line[at - size] if at >= size else 0
            corner = above[at - size] if at >= size else 0
            line[at] = (line[at] + _guess(kind, left, above[at], corner)) & 255
        above = bytes(line)
        yield above


def _guess(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 4:  # Paeth's
        near = left + up - corner
        return min((left, up, corner), key=lambda each: abs(near - each))
    return (0, left, up, (left + up) // 2)[kind]
