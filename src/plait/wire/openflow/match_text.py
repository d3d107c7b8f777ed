"""Matches and values of fields as ovs-ofctl prints them."""

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from plait.wire.openflow.fields import FIELDS
from plait.wire.openflow.oxm import decode_match

Masked = tuple[int, int]


def _names(words: str) -> tuple[str, ...]:
    return tuple(words.split())


_CT_FLAGS: Final = ("new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat")
_TCP_FLAGS: Final = ("fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns", "[200]", "[400]", "[800]")
_FRAGMENTS: Final = {
    (0, 3): "no",
    (1, 3): "first",
    (3, 3): "later",
    (1, 1): "yes",
    (0, 1): "no",
    (2, 2): "later",
    (0, 2): "not_later",
}

_PROTOCOLS: Final = {
    (0x0800, None): "ip",
    (0x0800, 1): "icmp",
    (0x0800, 6): "tcp",
    (0x0800, 17): "udp",
    (0x0800, 132): "sctp",
    (0x86DD, None): "ipv6",
    (0x86DD, 6): "tcp6",
    (0x86DD, 17): "udp6",
    (0x86DD, 58): "icmp6",
    (0x86DD, 132): "sctp6",
    (0x0806, None): "arp",
    (0x8035, None): "rarp",
    (0x8847, None): "mpls",
    (0x8848, None): "mplsm",
}

_HEX: Final = frozenset(
    (
        *_names("metadata tun_id pkt_mark ct_mark ct_label tun_gbp_flags vlan_tci eth_type ipv6_label"),
        *_names("nsh_spi nsh_c1 nsh_c2 nsh_c3 nsh_c4 nsh_flags"),
        *(name for name in FIELDS if "reg" in name),
    )
)
_MAC: Final = frozenset(("eth_src", "eth_dst", "arp_sha", "arp_tha", "nd_sll", "nd_tll"))
_IPV4: Final = frozenset(
    ("ipv4_src", "ipv4_dst", "arp_spa", "arp_tpa", "tun_src", "tun_dst", "ct_nw_src", "ct_nw_dst")
)
_IPV6: Final = frozenset(
    ("ipv6_src", "ipv6_dst", "nd_target", "tun_ipv6_src", "tun_ipv6_dst", "ct_ipv6_src", "ct_ipv6_dst")
)
_FLAGS: Final = {"ct_state": _CT_FLAGS, "tcp_flags": _TCP_FLAGS, "tun_flags": ("oam",)}

_OTHER_NAMES: Final = {
    "eth_src": "dl_src",
    "eth_dst": "dl_dst",
    "ipv4_src": "nw_src",
    "ipv4_dst": "nw_dst",
    "ip_proto": "nw_proto",
    "ip_ecn": "nw_ecn",
    "ip_frag": "nw_frag",
    "icmpv4_type": "icmp_type",
    "icmpv4_code": "icmp_code",
    "icmpv6_type": "icmp_type",
    "icmpv6_code": "icmp_code",
    **{f"{protocol}_{side}": f"tp_{side}" for protocol in ("tcp", "udp", "sctp") for side in ("src", "dst")},
}

_BEFORE_PROTOCOL: Final = _names(
    "pkt_mark conj_id actset_output ct_state ct_zone ct_mark ct_label ct_nw_src ct_ipv6_src ct_nw_dst "
    "ct_ipv6_dst ct_nw_proto ct_tp_src ct_tp_dst"
)
_BEFORE_VLAN: Final = (
    *(f"reg{i}" for i in range(16)),
    *_names(
        "tun_id tun_src tun_dst tun_ipv6_src tun_ipv6_dst tun_gbp_id tun_gbp_flags tun_flags metadata in_port"
    ),
)
_AFTER_VLAN: Final = _names(
    "eth_src eth_dst eth_type ipv4_src ipv4_dst ipv6_src ipv6_dst ipv6_label arp_spa arp_tpa ip_proto arp_op "
    "arp_sha arp_tha ip_dscp ip_ecn nw_ttl mpls_label mpls_tc mpls_ttl mpls_bos nsh_flags nsh_ttl nsh_mdtype "
    "nsh_np nsh_spi nsh_si nsh_c1 nsh_c2 nsh_c3 nsh_c4 ip_frag icmpv4_type icmpv4_code icmpv6_type "
    "icmpv6_code tcp_src tcp_dst udp_src udp_dst sctp_src sctp_dst tcp_flags nd_target nd_sll nd_tll "
    "nd_reserved nd_options_type"
)
_ORDERED: Final = frozenset((*_BEFORE_PROTOCOL, *_BEFORE_VLAN, *_AFTER_VLAN, "vlan_vid", "vlan_pcp"))


def match_text(match: bytes) -> str:
    """The match, in the words and the order of ovs-ofctl; empty for one that everything meets."""
    fields = {
        name: value if isinstance(value, tuple) else (value, FIELDS[name].ones if name in FIELDS else -1)
        for name, value in decode_match(match).items()
    }
    return ",".join(_parts(fields))


def value_text(name: str, value: int) -> str:
    """A value as ovs-ofctl writes it where it sets a field."""
    if name in _FLAGS:
        return _flags_text(_FLAGS[name], value, None)
    return _formatter(name)(value)


def port_text(number: int) -> str:
    """A port as a match names it; only ANY has a name there."""
    return "ANY" if number == 0xFFFFFFFF else str(number)


def _parts(fields: dict[str, Masked]) -> Iterator[str]:
    yield from (_field_text(name, fields[name]) for name in _BEFORE_PROTOCOL if name in fields)
    shown, protocol = _protocol(fields)
    if protocol:
        yield protocol
    yield from (_field_text(name, fields[name]) for name in _BEFORE_VLAN if name in fields)
    yield from _vlan_parts(fields.get("vlan_vid", (0, 0)), fields.get("vlan_pcp", (0, 0)))
    yield from (
        _field_text(name, fields[name]) for name in _AFTER_VLAN if name in fields and name not in shown
    )
    yield from (f"{name}={value:#x}" for name, (value, _) in fields.items() if name not in _ORDERED)


def _protocol(fields: dict[str, Masked]) -> tuple[tuple[str, ...], str]:
    """The fields that one word says, and the word."""
    if "eth_type" not in fields:
        return (), ""
    eth_type = fields["eth_type"][0]
    both = _PROTOCOLS.get((eth_type, fields["ip_proto"][0])) if "ip_proto" in fields else None
    if both is not None:
        return ("eth_type", "ip_proto"), both
    word = _PROTOCOLS.get((eth_type, None), "")
    return (("eth_type",) if word else ()), word


def _vlan_parts(vid: Masked, pcp: Masked) -> Iterator[str]:
    """Where the tag is known to be there, its id and priority; otherwise the bits of the tag."""
    value, mask = vid[0] | pcp[0] << 13, vid[1] | pcp[1] << 13
    if not mask:
        return
    if value & mask & 0x1000 and mask & 0xFFF in (0, 0xFFF) and mask & 0xEFFF:
        if mask & 0xFFF:
            yield f"dl_vlan={value & 0xFFF}"
        if pcp[1]:
            yield f"dl_vlan_pcp={pcp[0]}"
        return
    yield f"vlan_tci={value:#06x}" if mask == 0xFFFF else f"vlan_tci={value:#06x}/{mask:#06x}"


def _field_text(name: str, masked: Masked) -> str:
    value, mask = masked
    shown = _OTHER_NAMES.get(name, name)
    is_exact = mask == FIELDS[name].ones
    if name == "eth_type":
        return f"dl_type={value:#06x}"
    if name == "ip_dscp":
        return f"nw_tos={value << 2}"
    if name == "ip_frag":
        return f"{shown}={_FRAGMENTS.get(masked, f'{value:#x}/{mask:#x}')}"
    if name in _FLAGS:
        # Of the tunnel's flags there is one, and ovs-ofctl always writes it with its sign.
        return (
            f"{shown}={_flags_text(_FLAGS[name], value, None if is_exact and name != 'tun_flags' else mask)}"
        )
    if name == "tun_gbp_flags":
        return f"{shown}={value:#x}" if value else f"{shown}=0"
    if is_exact:
        return f"{shown}={port_text(value) if name == 'actset_output' else _match_value(name, value)}"
    if name in _IPV4 or name in _IPV6:
        return f"{shown}={_formatter(name)(value)}/{_prefix_text(name, mask)}"
    if name in _MAC or name == "ipv6_label":
        return f"{shown}={_match_value(name, value)}/{_match_value(name, mask)}"
    if name == "nsh_flags":
        return f"{shown}={value:#04x}/{mask:#04x}"
    zero = "0x0" if FIELDS[name].bits == 16 else "0"
    return f"{shown}={hex(value) if value else zero}/{mask:#x}"


def _match_value(name: str, value: int) -> str:
    if name == "ipv6_label":
        return f"{value:#07x}"
    return str(value) if name == "nsh_flags" else _formatter(name)(value)


def _prefix_text(name: str, mask: int) -> str:
    bits = FIELDS[name].bits
    inverse = mask ^ FIELDS[name].ones
    if inverse & inverse + 1:
        return _formatter(name)(mask)
    return str(bits - inverse.bit_length())


def _flags_text(names: tuple[str, ...], value: int, mask: int | None) -> str:
    if mask is None:
        return "|".join(flag for i, flag in enumerate(names) if value >> i & 1) or "0"
    return "".join(("+" if value >> i & 1 else "-") + flag for i, flag in enumerate(names) if mask >> i & 1)


def _formatter(name: str) -> Callable[[int], str]:
    if name in _MAC:
        return lambda value: value.to_bytes(6, "big").hex(":")
    if name in _IPV4:
        return lambda value: str(IPv4Address(value))
    if name in _IPV6:
        return lambda value: str(IPv6Address(value))
    if name in _HEX:
        return lambda value: hex(value) if value else "0"
    return str
