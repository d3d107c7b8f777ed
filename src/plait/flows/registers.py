"""Every register bit that a packet carries through the pipeline, by name.

reg0           NETWORK      VNI of the network that the packet is in; routing changes it
reg1           OUT_PORT     OpenFlow port that DELIVER puts it out of
reg2 bit 0     FROM_TUNNEL  it came from another host, so it must not leave for one
reg2 bit 1     OVERSIZE     it is larger than the network's MTU
reg3           TUNNEL_PORT  OpenFlow port that ENCAPSULATE puts it out of
reg4           SCRATCH      free inside one table
reg5           POLICY       number of the policy that it has to pass: the sender's, then the receiver's
reg6, reg7     SCRATCH_MAC  free inside one table, 48 bits of xreg3
reg8           DOMAIN       VNI that names the networks within which an address means one endpoint
reg9           ROUTER       VNI of the router that routes it, or answers; 0: none does
reg10          NEXT_HOP     IPv4 address that it goes to next
reg11          LINK         which of a route's next hops
reg12 - reg15  NEXT_HOP_V6  IPv6 address that it goes to next, xxreg3
"""

import msgspec

from plait.wire.openflow import actions


class Register(msgspec.Struct, frozen=True, gc=False):
    """Some bits of a register: `bits` of `field`, from bit `offset` on (0 is the lowest)."""

    field: str
    offset: int = 0
    bits: int = 32

    @property
    def _is_whole(self) -> bool:
        return self.bits == 32 or self.field.startswith("x")

    def is_(self, value: int) -> dict[str, int | tuple[int, int]]:
        """The keyword of `match` that asks for this value; a match has room for one of a register's parts."""
        if self._is_whole:
            return {self.field: value}
        return {self.field: (value << self.offset, ((1 << self.bits) - 1) << self.offset)}

    def set(self, value: int) -> bytes:
        """The action that writes `value`."""
        if self._is_whole:
            return actions.set_field(self.field, value)
        return actions.set_field(self.field, value << self.offset, ((1 << self.bits) - 1) << self.offset)


NETWORK = Register("reg0")
OUT_PORT = Register("reg1")
FROM_TUNNEL = Register("reg2", 0, 1)
OVERSIZE = Register("reg2", 1, 1)
TUNNEL_PORT = Register("reg3")
SCRATCH = Register("reg4")
SCRATCH_MAC = Register("xreg3", 0, 48)
POLICY = Register("reg5")
DOMAIN = Register("reg8")
ROUTER = Register("reg9")
NEXT_HOP = Register("reg10")
LINK = Register("reg11")
NEXT_HOP_V6 = Register("xxreg3", 0, 128)
