"""What connection tracking says of a packet: the state that it comes back with.

The simulator tracks nothing: whoever sends a packet says what it is in its connection, and every tracker on
its way says the same. So does `ofproto/trace` with `--ct-next`. Source: ovs-fields(7), "ct_state".
"""

from enum import IntFlag


class State(IntFlag):
    """The bits of `ct_state`."""

    NEW = 0x01
    ESTABLISHED = 0x02
    RELATED = 0x04
    REPLY = 0x08
    INVALID = 0x10
    TRACKED = 0x20


FIRST = State.TRACKED | State.NEW
"""The first packet of a connection."""
LATER = State.TRACKED | State.ESTABLISHED
"""One that follows it the same way."""
ANSWER = State.TRACKED | State.ESTABLISHED | State.REPLY
"""One that comes back."""

_WORDS = {
    State.TRACKED: "trk",
    State.NEW: "new",
    State.ESTABLISHED: "est",
    State.RELATED: "rel",
    State.REPLY: "rpl",
    State.INVALID: "inv",
}


def state_text(state: State) -> str:
    """As `ofproto/trace --ct-next` takes it: `trk,est,rpl`."""
    return ",".join(word for bit, word in _WORDS.items() if bit in state)
