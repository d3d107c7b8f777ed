"""The learn action: flows that make flows. Source: ovs-actions(7), "learn"."""

from struct import Struct
from typing import Final

from plait.wire.openflow.nicira import Bits, checked_header, nicira, short_header

SEND_FLOW_REM: Final = 1
DELETE_LEARNED: Final = 2
WRITE_RESULT: Final = 4

IMMEDIATE: Final = 1 << 13
TO_MATCH: Final = 0 << 11
TO_LOAD: Final = 1 << 11
TO_OUTPUT: Final = 2 << 11

_LEARN: Final = Struct("!HHHQHBxHH")
_LIMIT: Final = Struct("!IH2x")


def learn(
    *specs: bytes,
    table: int,
    priority: int = 0x8000,
    cookie: int = 0,
    idle_timeout_s: int = 0,
    hard_timeout_s: int = 0,
    fin_idle_timeout_s: int = 0,
    fin_hard_timeout_s: int = 0,
    flags: int = 0,
    limit: int = 0,
    result: Bits | None = None,
) -> bytes:
    """Add a flow to `table`, made of `specs`: learned_match, learned_load and learned_output.

    `limit` bounds the flows learned (0: no bound); `result`, one bit, says whether there was room.
    """
    extra = b""
    if result is not None:
        if result.bits != 1:
            raise ValueError(f"the result of learn() is one bit, {result.field} gives {result.bits}")
        flags |= WRITE_RESULT
        extra = _LIMIT.pack(limit, result.ofs) + short_header(result)
    elif limit:
        extra = _LIMIT.pack(limit, 0)
    head = _LEARN.pack(
        idle_timeout_s, hard_timeout_s, priority, cookie, flags, table, fin_idle_timeout_s, fin_hard_timeout_s
    )
    return nicira(45 if extra else 16, head + extra + b"".join(specs))


def learned_match(where: Bits, source: Bits | int) -> bytes:
    """The learned flow matches `where` on what `source` holds in this packet, or on a number."""
    return _spec(TO_MATCH, source, where.bits) + _place(where)


def learned_load(where: Bits, source: Bits | int) -> bytes:
    """The learned flow loads into `where` what `source` holds in this packet, or a number."""
    return _spec(TO_LOAD, source, where.bits) + _place(where)


def learned_output(source: Bits) -> bytes:
    """The learned flow outputs to the port that `source` holds in this packet."""
    return _spec(TO_OUTPUT, source, source.bits)


def _spec(target: int, source: Bits | int, bits: int) -> bytes:
    if isinstance(source, int):
        if source >> bits:
            raise ValueError(f"{source:#x} does not fit the {bits} bits that learn() gives it")
        return (target | IMMEDIATE | bits).to_bytes(2, "big") + source.to_bytes((bits + 15) // 16 * 2, "big")
    if source.bits != bits:
        raise ValueError(f"learn() copies {source.bits} bits of {source.field} into {bits}")
    return (target | bits).to_bytes(2, "big") + _place(source)


def _place(where: Bits) -> bytes:
    return checked_header(where) + where.ofs.to_bytes(2, "big")
