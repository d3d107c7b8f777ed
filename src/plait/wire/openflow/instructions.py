"""Instructions as bytes, in the order in which Open vSwitch 3.1 prints them.

Source: OpenFlow 1.4.0, 7.2.4.
"""

from typing import Final

GOTO_TABLE: Final = 1
WRITE_METADATA: Final = 2
WRITE_ACTIONS: Final = 3
APPLY_ACTIONS: Final = 4
CLEAR_ACTIONS: Final = 5
METER: Final = 6

_ORDER: Final = {
    METER: 0,
    APPLY_ACTIONS: 1,
    CLEAR_ACTIONS: 2,
    WRITE_ACTIONS: 3,
    WRITE_METADATA: 4,
    GOTO_TABLE: 5,
}


def apply(*actions: bytes) -> bytes:
    """Do these actions now, in this order. None at all is no instruction: the switch prints none."""
    return _with_actions(APPLY_ACTIONS, actions)


def write_actions(*actions: bytes) -> bytes:
    """Put these actions into the action set, which runs after the last table."""
    return _with_actions(WRITE_ACTIONS, actions)


def clear_actions() -> bytes:
    """Empty the action set."""
    return b"\x00\x05\x00\x08\x00\x00\x00\x00"


def goto(table: int) -> bytes:
    """Continue in a later table, 0-253."""
    return b"\x00\x01\x00\x08" + table.to_bytes(1, "big") + b"\x00\x00\x00"


def meter(number: int) -> bytes:
    """Let a meter drop what is above its rate."""
    return b"\x00\x06\x00\x08" + number.to_bytes(4, "big")


def write_metadata(value: int, mask: int = 0xFFFFFFFFFFFFFFFF) -> bytes:
    """Set the bits of the metadata register that `mask` names."""
    return b"\x00\x02\x00\x18\x00\x00\x00\x00" + (value & mask).to_bytes(8, "big") + mask.to_bytes(8, "big")


def instructions(*parts: bytes) -> bytes:
    """The instructions of a flow in the switch's order; raises ValueError when one comes twice."""
    places = [_ORDER[part[1]] for part in parts if part]
    if len(set(places)) != len(places):
        raise ValueError("an instruction comes twice: a flow has at most one of each kind")
    if places != sorted(places):
        parts = tuple(sorted(filter(None, parts), key=_place))
    return b"".join(parts)


def _place(part: bytes) -> int:
    return _ORDER[part[1]]


def _with_actions(kind: int, actions: tuple[bytes, ...]) -> bytes:
    if not actions:
        return b""
    body = b"".join(actions)
    return (kind << 48 | len(body) + 8 << 32).to_bytes(8, "big") + body
