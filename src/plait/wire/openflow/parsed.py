"""What actions and instructions mean: frozen values, for the trace, for text and for tests.

Building goes straight to bytes; these values come only from decoding. Each is named after the function of
`actions` that builds its bytes, which says what it does.
"""

import msgspec

from plait.wire.openflow.nicira import Bits


class _Value(msgspec.Struct, frozen=True):
    pass


class Output(_Value, frozen=True):
    port: int
    max_len: int


class OutputReg(_Value, frozen=True):
    source: Bits
    max_len: int


class Group(_Value, frozen=True):
    number: int


class SetField(_Value, frozen=True):
    field: str
    value: int


class Load(_Value, frozen=True):
    target: Bits
    value: int


class Move(_Value, frozen=True):
    source: Bits
    target: Bits


class Resubmit(_Value, frozen=True):
    """`in_port` None: as the packet came in; `table` 0xff: the table that resubmits."""

    in_port: int | None
    table: int


class Controller(_Value, frozen=True, kw_only=True):
    max_len: int
    reason: int
    controller_id: int
    userdata: bytes
    pause: bool
    meter_id: int | None


class Nat(_Value, frozen=True, kw_only=True):
    """`direction` is "src", "dst", or None: as the connection's first packet.

    Addresses are packed, b"" if not given.
    """

    direction: str | None
    first: bytes
    last: bytes
    first_port: int | None
    last_port: int | None
    persistent: bool
    algorithm: str | None


class Ct(_Value, frozen=True, kw_only=True):
    commit: bool
    force: bool
    zone: int | Bits
    table: int | None
    alg: int
    actions: "tuple[Action, ...]"


class CtClear(_Value, frozen=True):
    pass


class LearnedPart(_Value, frozen=True):
    """`kind` is "match", "load" or "output"; `target` is None for an output."""

    kind: str
    source: int | Bits
    target: Bits | None
    bits: int


class Learn(_Value, frozen=True, kw_only=True):
    table: int
    priority: int
    cookie: int
    idle_timeout_s: int
    hard_timeout_s: int
    fin_idle_timeout_s: int
    fin_hard_timeout_s: int
    flags: int
    limit: int
    result: Bits | None
    parts: tuple[LearnedPart, ...]


class Conjunction(_Value, frozen=True):
    """`clause` counts from 1."""

    number: int
    clause: int
    n_clauses: int


class CheckPktLarger(_Value, frozen=True):
    size_bytes: int
    target: Bits


class Multipath(_Value, frozen=True):
    """`fields` and `algorithm` by their names in ovs-actions(7)."""

    fields: str
    basis: int
    algorithm: str
    n_links: int
    argument: int
    target: Bits


class DecTtl(_Value, frozen=True):
    pass


class PushVlan(_Value, frozen=True):
    ethertype: int


class PopVlan(_Value, frozen=True):
    pass


class SetQueue(_Value, frozen=True):
    number: int


class Note(_Value, frozen=True):
    data: bytes


class Clone(_Value, frozen=True):
    actions: "tuple[Action, ...]"


class UnknownAction(_Value, frozen=True):
    """A well-formed action that Plait never uses: somebody else's flow."""

    data: bytes


Action = (
    Output
    | OutputReg
    | Group
    | SetField
    | Load
    | Move
    | Resubmit
    | Controller
    | Nat
    | Ct
    | CtClear
    | Learn
    | Conjunction
    | CheckPktLarger
    | Multipath
    | DecTtl
    | PushVlan
    | PopVlan
    | SetQueue
    | Note
    | Clone
    | UnknownAction
)


class ApplyActions(_Value, frozen=True):
    actions: tuple[Action, ...]


class WriteActions(_Value, frozen=True):
    actions: tuple[Action, ...]


class ClearActions(_Value, frozen=True):
    pass


class GotoTable(_Value, frozen=True):
    table: int


class Meter(_Value, frozen=True):
    number: int


class WriteMetadata(_Value, frozen=True):
    value: int
    mask: int


class UnknownInstruction(_Value, frozen=True):
    data: bytes


Instruction = (
    ApplyActions | WriteActions | ClearActions | GotoTable | Meter | WriteMetadata | UnknownInstruction
)
