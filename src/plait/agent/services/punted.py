"""A packet that the switch handed over, as services see it."""

from collections.abc import Callable

import msgspec


class Punted(msgspec.Struct, frozen=True, gc=False):
    """The port that it came by, the VNI of the network that it is in, and its beginning.

    `note` is what the flow of `table` that handed it over had to say; `router` the VNI of the router that was
    at it; `out_port` where it was about to be delivered (0: not yet).
    """

    ofport: int
    vni: int
    frame: bytes
    note: bytes = b""
    router: int = 0
    table: int = 0
    out_port: int = 0


Service = Callable[[Punted], bytes | None]
"""Raises MalformedMessage for a packet that breaks its format."""
