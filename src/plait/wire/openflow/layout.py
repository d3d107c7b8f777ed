"""Layouts that several messages share: a match with its header, and lists of properties."""

from collections.abc import Callable, Iterator
from functools import wraps
from struct import Struct
from struct import error as StructError  # noqa: N812 - a class of that name
from typing import Final, TypeVar

from plait.wire.errors import MalformedMessage

T = TypeVar("T")

PADDING: Final = tuple(b"\0" * (-n % 8) for n in range(8))
"""Zeros up to the next multiple of 8, by the last 3 bits of a length."""

PAIR: Final = Struct("!HH")
OXM_MATCH: Final = 1


def put_match(match: bytes) -> bytes:
    """The TLVs as an ofp_match: type, length without padding, TLVs, zeros up to a multiple of 8."""
    length = 4 + len(match)
    return PAIR.pack(OXM_MATCH, length) + match + PADDING[length & 7]


def take_match(data: bytes, offset: int, end: int) -> tuple[bytes, int]:
    """The TLVs of the match at `offset`, and the offset after its padding, both at most `end`."""
    kind, length = PAIR.unpack_from(data, offset)
    after = offset + (length + 7 & ~7)
    if kind != OXM_MATCH or length < 4 or after > end:
        raise MalformedMessage(
            "match", offset, f"type {kind}, length {length}, with {end - offset} bytes left"
        )
    return data[offset + 4 : offset + length], after


def put_property(kind: int, value: bytes) -> bytes:
    """Type, length without padding, value, zeros to a multiple of 8."""
    length = 4 + len(value)
    return PAIR.pack(kind, length) + value + PADDING[length & 7]


def take_properties(data: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    """Type and value of each property from `offset` to the end."""
    end = len(data)
    while offset < end:
        if end - offset < 4:
            raise MalformedMessage("property", offset, f"{end - offset} bytes left, a header has 4")
        kind, length = PAIR.unpack_from(data, offset)
        if length < 4 or offset + length > end:
            raise MalformedMessage("property", offset, f"length {length} with {end - offset} bytes left")
        yield kind, data[offset + 4 : offset + length]
        offset += length + 7 & ~7


def decoder(name: str) -> Callable[[Callable[[bytes], T]], Callable[[bytes], T]]:
    """Make a function of bytes raise MalformedMessage, naming `name`, where its bytes end too early."""

    def decorate(decode: Callable[[bytes], T]) -> Callable[[bytes], T]:
        @wraps(decode)
        def checked(body: bytes) -> T:
            try:
                return decode(body)
            except StructError as error:
                raise MalformedMessage(name, len(body), f"{len(body)} bytes are too few: {error}") from None

        return checked

    return decorate
