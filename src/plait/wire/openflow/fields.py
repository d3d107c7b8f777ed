"""The fields that OpenFlow can match and set: one table, in Open vSwitch's order.

The order of the rows below is the order in which Open vSwitch 3.1 prints matches in OpenFlow 1.4 flow
statistics. It was read off a running switch and is checked against one by the tests. Source of names,
numbers and widths: ovs-fields(7).

Left out, because the switch does not print them back as they came: tunnel metadata (needs a TLV map),
ERSPAN, GTP-U and `packet_type` (which vanishes beside Ethernet fields); and `dp_hash`, `recirc_id` and
`skb_priority`, which it does not let a controller match.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypedDict, Unpack

import msgspec

Prerequisites = tuple[tuple[str, tuple[int, ...]], ...]

_VLAN: Prerequisites = (("vlan_vid", ()),)
_MPLS: Prerequisites = (("eth_type", (0x8847, 0x8848)),)
_IP4: Prerequisites = (("eth_type", (0x0800,)),)
_IP6: Prerequisites = (("eth_type", (0x86DD,)),)
_IP: Prerequisites = (("eth_type", (0x0800, 0x86DD)),)
_ARP: Prerequisites = (("eth_type", (0x0806, 0x8035)),)
_NSH: Prerequisites = (("eth_type", (0x894F,)),)
_TCP: Prerequisites = (*_IP, ("ip_proto", (6,)))
_UDP: Prerequisites = (*_IP, ("ip_proto", (17,)))
_SCTP: Prerequisites = (*_IP, ("ip_proto", (132,)))
_ICMP4: Prerequisites = (*_IP4, ("ip_proto", (1,)))
_ICMP6: Prerequisites = (*_IP6, ("ip_proto", (58,)))
_ND: Prerequisites = (*_ICMP6, ("icmpv6_type", (135, 136)))
_NS: Prerequisites = (*_ICMP6, ("icmpv6_type", (135,)))
_NA: Prerequisites = (*_ICMP6, ("icmpv6_type", (136,)))
_CT: Prerequisites = (("ct_state", ()),)
_CT_TP: Prerequisites = (*_CT, *_IP, ("ct_nw_proto", (6, 17, 132)))


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field.

    `bits` is how many bits a match may use, `size` the bytes of its value on the wire; `action_bits` is its
    width for actions that address bits (load, move, learn), where it differs. `header` is the OXM header (4
    bytes, or 8 with an experimenter) that the switch prints in matches and set-field, unmasked;
    `action_header` the one that it prints in Nicira actions. `rank` is its place in a match, or None for a
    field that only actions know. `prerequisites` are the fields that a match must have too, each with the
    values allowed (none given: any).
    """

    name: str
    bits: int
    size: int
    header: bytes
    action_header: bytes
    action_bits: int
    rank: int | None
    is_maskable: bool
    is_always_masked: bool
    prerequisites: Prerequisites

    @property
    def masked_header(self) -> bytes:
        """The header with the mask bit set and the length of value and mask."""
        head = bytearray(self.header)
        head[2] |= 1
        head[3] += self.size
        return bytes(head)

    @property
    def ones(self) -> int:
        """The mask of an exact match."""
        return (1 << self.bits) - 1


_NXM_OF, _NXM_NX, _OXM, _PKT_REG, _ERIC = 0x0000, 0x0001, 0x8000, 0x8001, 0x1000
_ONF, _NSH_VENDOR = 0x4F4E4600, 0x005AD650


def _oxm(oxm_class: int, number: int, size: int) -> bytes:
    return (oxm_class << 16 | number << 9 | size).to_bytes(4, "big")


def _experimenter(vendor: int, number: int, size: int) -> bytes:
    return _oxm(0xFFFF, number, size + 4) + vendor.to_bytes(4, "big")


_fields: dict[str, Field] = {}


def _add(
    name: str,
    bits: int,
    header: bytes,
    prerequisites: Prerequisites = (),
    *,
    nxm: bytes = b"",
    mask: str = "any",
    action_bits: int = 0,
    matchable: bool = True,
) -> None:
    size = header[3] - (4 if header[:2] == b"\xff\xff" else 0)
    _fields[name] = Field(
        name=name,
        bits=bits,
        size=size,
        header=header,
        action_header=nxm or header,
        action_bits=action_bits or bits,
        rank=len(_fields) if matchable else None,
        is_maskable=mask != "none",
        is_always_masked=mask == "always",
        prerequisites=prerequisites,
    )


class _Options(TypedDict, total=False):
    nxm: bytes
    mask: str
    action_bits: int
    matchable: bool


def _of(
    name: str, bits: int, number: int, prerequisites: Prerequisites = (), **options: Unpack[_Options]
) -> None:
    """A field of the OpenFlow class, whole bytes wide."""
    _add(name, bits, _oxm(_OXM, number, (bits + 7) // 8), prerequisites, **options)


def _nx(
    name: str, bits: int, number: int, prerequisites: Prerequisites = (), **options: Unpack[_Options]
) -> None:
    """A field of Nicira's class, whole bytes wide."""
    _add(name, bits, _oxm(_NXM_NX, number, (bits + 7) // 8), prerequisites, **options)


_nx("conj_id", 32, 37, mask="none")
_of("in_port", 32, 0, mask="none", nxm=_oxm(_NXM_OF, 0, 2), action_bits=16)
_add("actset_output", 32, _experimenter(_ONF, 43, 4), mask="none")
_of("eth_src", 48, 4, nxm=_oxm(_NXM_OF, 2, 6))
_of("eth_dst", 48, 3, nxm=_oxm(_NXM_OF, 1, 6))
_of("eth_type", 16, 5, mask="none", nxm=_oxm(_NXM_OF, 3, 2))
# 13 bits in a match: the 12 of the VLAN and 0x1000, "there is a tag". Actions count 12.
_of("vlan_vid", 13, 6, action_bits=12)
_of("vlan_pcp", 3, 7, _VLAN, mask="none")
_of("mpls_tc", 3, 35, _MPLS, mask="none")
_of("mpls_bos", 1, 36, _MPLS, mask="none")
_nx("mpls_ttl", 8, 30, _MPLS, mask="none")
_add("mpls_label", 20, _oxm(_OXM, 34, 4), _MPLS, mask="none")
_of("ipv4_src", 32, 11, _IP4, nxm=_oxm(_NXM_OF, 7, 4))
_of("ipv4_dst", 32, 12, _IP4, nxm=_oxm(_NXM_OF, 8, 4))
_of("ipv6_src", 128, 26, _IP6, nxm=_oxm(_NXM_NX, 19, 16))
_of("ipv6_dst", 128, 27, _IP6, nxm=_oxm(_NXM_NX, 20, 16))
_nx("ip_frag", 2, 26, _IP)
_of("ip_dscp", 6, 8, _IP, mask="none")
_of("ip_ecn", 2, 9, _IP, mask="none", nxm=_oxm(_NXM_NX, 28, 1))
_nx("nw_ttl", 8, 29, _IP, mask="none")
_add("ipv6_label", 20, _oxm(_OXM, 28, 4), _IP6, nxm=_oxm(_NXM_NX, 27, 4))
_of("ip_proto", 8, 10, _IP, mask="none", nxm=_oxm(_NXM_OF, 6, 1))
_of("tcp_src", 16, 13, _TCP, nxm=_oxm(_NXM_OF, 9, 2))
_of("tcp_dst", 16, 14, _TCP, nxm=_oxm(_NXM_OF, 10, 2))
_add("tcp_flags", 12, _experimenter(_ONF, 42, 2), _TCP, nxm=_oxm(_NXM_NX, 34, 2))
_of("udp_src", 16, 15, _UDP, nxm=_oxm(_NXM_OF, 11, 2))
_of("udp_dst", 16, 16, _UDP, nxm=_oxm(_NXM_OF, 12, 2))
_of("sctp_src", 16, 17, _SCTP)
_of("sctp_dst", 16, 18, _SCTP)
_of("icmpv4_type", 8, 19, _ICMP4, mask="none", nxm=_oxm(_NXM_OF, 13, 1))
_of("icmpv4_code", 8, 20, _ICMP4, mask="none", nxm=_oxm(_NXM_OF, 14, 1))
_of("icmpv6_type", 8, 29, _ICMP6, mask="none", nxm=_oxm(_NXM_NX, 21, 1))
_of("icmpv6_code", 8, 30, _ICMP6, mask="none", nxm=_oxm(_NXM_NX, 22, 1))
_add("nd_reserved", 32, _oxm(_ERIC, 1, 4), _ND, mask="none")
_of("nd_target", 128, 31, _ND, nxm=_oxm(_NXM_NX, 23, 16))
_add("nd_options_type", 8, _oxm(_ERIC, 2, 1), _ND, mask="none")
_of("nd_sll", 48, 32, _NS, nxm=_oxm(_NXM_NX, 24, 6))
_of("nd_tll", 48, 33, _NA, nxm=_oxm(_NXM_NX, 25, 6))
_of("arp_op", 16, 21, _ARP, mask="none", nxm=_oxm(_NXM_OF, 15, 2))
_of("arp_spa", 32, 22, _ARP, nxm=_oxm(_NXM_OF, 16, 4))
_of("arp_tpa", 32, 23, _ARP, nxm=_oxm(_NXM_OF, 17, 4))
_of("arp_sha", 48, 24, _ARP, nxm=_oxm(_NXM_NX, 17, 6))
_of("arp_tha", 48, 25, _ARP, nxm=_oxm(_NXM_NX, 18, 6))
_add("nsh_flags", 8, _experimenter(_NSH_VENDOR, 1, 1), _NSH)
_add("nsh_ttl", 6, _experimenter(_NSH_VENDOR, 10, 1), _NSH, mask="none")
_add("nsh_mdtype", 4, _experimenter(_NSH_VENDOR, 2, 1), _NSH, mask="none")
_add("nsh_np", 8, _experimenter(_NSH_VENDOR, 3, 1), _NSH, mask="none")
_add("nsh_spi", 24, _experimenter(_NSH_VENDOR, 4, 4), _NSH, mask="none")
_add("nsh_si", 8, _experimenter(_NSH_VENDOR, 5, 1), _NSH, mask="none")
for _i in range(1, 5):
    _add(f"nsh_c{_i}", 32, _experimenter(_NSH_VENDOR, 5 + _i, 4), _NSH)
_of("tun_id", 64, 38, nxm=_oxm(_NXM_NX, 16, 8))
_add("tun_flags", 1, _oxm(_NXM_NX, 104, 2), mask="always")
_nx("tun_src", 32, 31)
_nx("tun_dst", 32, 32)
_nx("tun_ipv6_src", 128, 109)
_nx("tun_ipv6_dst", 128, 110)
_nx("tun_gbp_id", 16, 38)
_nx("tun_gbp_flags", 8, 39)
for _i in range(16):
    _nx(f"reg{_i}", 32, _i)
_nx("pkt_mark", 32, 33)
_add("ct_state", 8, _oxm(_NXM_NX, 105, 4), mask="always")
_nx("ct_zone", 16, 106, mask="none")
_nx("ct_mark", 32, 107)
_nx("ct_label", 128, 108)
_nx("ct_nw_src", 32, 120, (*_CT, *_IP4))
_nx("ct_nw_dst", 32, 121, (*_CT, *_IP4))
_nx("ct_ipv6_src", 128, 122, (*_CT, *_IP6))
_nx("ct_ipv6_dst", 128, 123, (*_CT, *_IP6))
_nx("ct_nw_proto", 8, 119, (*_CT, *_IP), mask="none")
_nx("ct_tp_src", 16, 124, _CT_TP)
_nx("ct_tp_dst", 16, 125, _CT_TP)
_of("metadata", 64, 2)

# In a match these stand for 32-bit registers, and the switch prints those; actions address them as they are.
for _i in range(8):
    _add(f"xreg{_i}", 64, _oxm(_PKT_REG, _i, 8), matchable=False)
for _i in range(4):
    _nx(f"xxreg{_i}", 128, 111 + _i, matchable=False)
# The switch turns matches on these into vlan_vid and vlan_pcp, ip_dscp, in_port.
_add("vlan_tci", 16, _oxm(_NXM_OF, 4, 2), matchable=False)
_add("nw_tos", 8, _oxm(_NXM_OF, 5, 1), _IP, matchable=False)
_add("in_port_oxm", 32, _oxm(_OXM, 0, 4), mask="none", matchable=False)

FIELDS: Mapping[str, Field] = MappingProxyType(_fields)
"""Every field by its name."""

CLASS_NAMES = {_NXM_OF: "NXM_OF", _NXM_NX: "NXM_NX", _OXM: "OXM_OF", _PKT_REG: "OXM_OF", _ERIC: "ERICOXM_OF"}
