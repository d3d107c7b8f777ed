"""Bundles: several changes that happen together or not at all. Source: OpenFlow 1.4.0, 7.3.9.

A message that the switch refuses when it is added does not fail the bundle: it would be committed without
that message. So a bundle must be discarded once any error came; `session` does this.
"""

from enum import IntEnum
from struct import Struct
from typing import Final

import msgspec

from plait.wire.openflow.framing import HEADER_BYTES, VERSION, MessageType, frame
from plait.wire.openflow.layout import decoder

ATOMIC: Final = 1
ORDERED: Final = 2

_BODY: Final = Struct("!IHH")
_ADD: Final = Struct("!BBHIIHH")


class BundleStep(IntEnum):
    """OFPBCT_*; OpenFlow 1.4.0, 7.3.9.2."""

    OPEN_REQUEST = 0
    OPEN_REPLY = 1
    CLOSE_REQUEST = 2
    CLOSE_REPLY = 3
    COMMIT_REQUEST = 4
    COMMIT_REPLY = 5
    DISCARD_REQUEST = 6
    DISCARD_REPLY = 7


class BundleControl(msgspec.Struct, frozen=True):
    """Open, close, commit or discard a bundle, or the answer to that.

    0 4 bundle id, 4 2 step, 6 2 flags (OpenFlow 1.4.0, 7.3.9.1).
    """

    bundle_id: int
    step: int
    flags: int = ATOMIC | ORDERED

    def encode(self, xid: int) -> bytes:
        return frame(MessageType.BUNDLE_CONTROL, xid, _BODY.pack(self.bundle_id, self.step, self.flags))


def bundle_add(bundle_id: int, xid: int, message: bytes, flags: int = ATOMIC | ORDERED) -> bytes:
    """Put an encoded message into a bundle; both must carry the same xid (OpenFlow 1.4.0, 7.3.9.6)."""
    length = HEADER_BYTES + _BODY.size + len(message)
    return _ADD.pack(VERSION, 34, length, xid, bundle_id, 0, flags) + message


@decoder("bundle_control")
def decode_bundle_control(body: bytes) -> BundleControl:
    """A reply of the switch; raises MalformedMessage."""
    return BundleControl(*_BODY.unpack_from(body))
