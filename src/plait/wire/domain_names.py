"""Domain names as DNS, DHCP and router advertisements carry them.

Source: RFC 1035, sections 3.1 and 4.1.4: compression, which RFC 3397 allows, but not RFC 8106 and RFC 8415.
"""

from collections.abc import Iterable

_POINTER = 0xC000
_MAX_POINTER = 0x3FFF


def encode_names(names: Iterable[str]) -> bytes:
    """Each name as labels with their lengths, ended by an empty label.

    Raises ValueError for an empty label or one of more than 63 bytes, and for names of more than 255.
    """
    return b"".join(_encoded(_labels(name)) for name in names)


def encode_compressed_names(names: Iterable[str]) -> bytes:
    """The same, where an ending that stands before is pointed to. Raises ValueError."""
    known: dict[tuple[bytes, ...], int] = {}
    encoded = bytearray()
    for name in names:
        labels = _labels(name)
        for position, label in enumerate(labels):
            ending = labels[position:]
            if ending in known:
                encoded += (_POINTER | known[ending]).to_bytes(2, "big")
                break
            if len(encoded) <= _MAX_POINTER:
                known[ending] = len(encoded)
            encoded += bytes((len(label),)) + label
        else:
            encoded += b"\0"
    return bytes(encoded)


def _labels(name: str) -> tuple[bytes, ...]:
    labels = tuple(label.encode() for label in name.removesuffix(".").split("."))
    if not all(1 <= len(label) <= 63 for label in labels) or len(_encoded(labels)) > 255:
        raise ValueError(f"{name!r} is not a domain name: use labels of 1 to 63 bytes, 253 in all")
    return labels


def _encoded(labels: tuple[bytes, ...]) -> bytes:
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
