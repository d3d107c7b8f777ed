"""What a capture of the underlay shows of tenants' frames: a parser of pcap files and of three tunnels. Pure.

Sources: pcap(5) file format (draft-ietf-opsawg-pcap), VXLAN RFC 7348 section 5, Geneve RFC 8926 section 3.4,
GRE RFC 2784 and 2890, IPv6 fragment header RFC 8200 section 4.5.
"""

import ipaddress
import struct
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from plait.lab.errors import LabError
from plait.model.entities import Transport

_IPV4, _IPV6, _ARP, _TEB = 0x0800, 0x86DD, 0x0806, 0x6558
_UDP, _GRE, _FRAGMENT, _ICMPV6 = 17, 47, 44, 58
_VXLAN_PORT, _GENEVE_PORT = 4789, 6081
_ND_TYPES = range(133, 138)
_EXAMPLES = 10
_BYTE_ORDERS = {
    b"\xd4\xc3\xb2\xa1": "<",
    b"\xa1\xb2\xc3\xd4": ">",
    b"\x4d\x3c\xb2\xa1": "<",
    b"\xa1\xb2\x3c\x4d": ">",
}


class Kind(StrEnum):
    """What a tenant's frame is; the first that fits."""

    ARP = "arp"
    ND = "nd"
    BROADCAST = "broadcast"
    MULTICAST = "multicast"
    UNICAST = "unicast"


@dataclass(frozen=True, slots=True)
class Carried:
    """One tenant's frame inside a tunnel; `sender` and `receiver` are underlay addresses."""

    transport: Transport
    vni: int
    sender: str
    receiver: str
    source: str
    destination: str
    kind: Kind


@dataclass(slots=True)
class Tally:
    """Counts of what tunnels carried. `misdirected` went to a host where nobody has that MAC.

    `multicast` counts by (VNI, destination MAC, receiving host); `examples` are some of the unwanted frames.
    """

    kinds: Counter[Kind] = field(default_factory=Counter)
    transports: Counter[Transport] = field(default_factory=Counter)
    unknown_unicast: int = 0
    misdirected: int = 0
    multicast: Counter[tuple[int, str, str]] = field(default_factory=Counter)
    examples: list[Carried] = field(default_factory=list)

    @property
    def unicast(self) -> int:
        return self.kinds[Kind.UNICAST]

    @property
    def unwanted(self) -> int:
        """ARP, ND, broadcast, unknown and misdirected unicast: what never has to cross between hosts."""
        kinds = self.kinds
        floods = kinds[Kind.ARP] + kinds[Kind.ND] + kinds[Kind.BROADCAST]
        return floods + self.unknown_unicast + self.misdirected


def tally(frames: Iterable[Carried], known: Mapping[tuple[int, str], Collection[str]]) -> Tally:
    """Count `frames`. `known` has the underlay addresses at which (VNI, MAC) lived during the capture."""
    result = Tally()
    for frame in frames:
        unwanted = result.unwanted
        result.kinds[frame.kind] += 1
        result.transports[frame.transport] += 1
        if frame.kind is Kind.MULTICAST:
            result.multicast[frame.vni, frame.destination, frame.receiver] += 1
        if frame.kind is Kind.UNICAST:
            places = known.get((frame.vni, frame.destination))
            result.unknown_unicast += places is None
            result.misdirected += places is not None and frame.receiver not in places
        if result.unwanted > unwanted and len(result.examples) < _EXAMPLES:
            result.examples.append(frame)
    return result


def carried(pcap: bytes) -> Iterator[Carried]:
    """Tenants' frames in the tunnels of a capture (Ethernet). Raises LabError if it is no pcap file."""
    for frame in frames(pcap):
        found = _tunnel(frame)
        if found is not None:
            yield found


def frames(pcap: bytes) -> Iterator[bytes]:
    """The frames of a pcap file; a last one that is cut short is left out."""
    order = _BYTE_ORDERS.get(pcap[:4])
    if order is None or len(pcap) < 24:
        raise LabError(f"not a pcap file: it begins with {pcap[:4].hex() or 'nothing'}")
    if struct.unpack_from(f"{order}I", pcap, 20)[0] & 0xFFFF != 1:
        raise LabError("the capture is not of Ethernet (link type 1): capture on the underlay link itself")
    record = struct.Struct(f"{order}8xII")
    at = 24
    while at + 16 <= len(pcap):
        captured, _ = record.unpack_from(pcap, at)
        at += 16
        if at + captured > len(pcap):
            return
        yield pcap[at : at + captured]
        at += captured


def _tunnel(frame: bytes) -> Carried | None:
    outer = _ip_payload(frame)
    if outer is None:
        return None
    protocol, sender, receiver, payload = outer
    inner: tuple[Transport, int, bytes] | None = None
    if protocol == _GRE:
        inner = _gre(payload)
    elif protocol == _UDP and len(payload) >= 16:
        port = struct.unpack_from("!H", payload, 2)[0]
        if port == _VXLAN_PORT:
            inner = Transport.VXLAN, int.from_bytes(payload[12:15], "big"), payload[16:]
        elif port == _GENEVE_PORT and struct.unpack_from("!H", payload, 10)[0] == _TEB:
            options_bytes = (payload[8] & 0x3F) * 4
            inner = Transport.GENEVE, int.from_bytes(payload[12:15], "big"), payload[16 + options_bytes :]
    if inner is None or len(inner[2]) < 14:
        return None
    transport, vni, tenant = inner
    return Carried(transport, vni, sender, receiver, mac(tenant[6:12]), mac(tenant[:6]), _kind(tenant))


def _ip_payload(frame: bytes) -> tuple[int, str, str, bytes] | None:
    """Protocol, source, destination and payload of the IP packet in an Ethernet frame.

    Of a fragmented packet only the first fragment has the headers that tell what is in it.
    """
    ethertype = struct.unpack_from("!H", frame, 12)[0] if len(frame) >= 14 else 0
    if ethertype == _IPV4 and len(frame) >= 34:
        if struct.unpack_from("!H", frame, 20)[0] & 0x1FFF:
            return None
        source, destination = (str(ipaddress.IPv4Address(frame[at : at + 4])) for at in (26, 30))
        return frame[23], source, destination, frame[14 + (frame[14] & 15) * 4 :]
    if ethertype == _IPV6 and len(frame) >= 54:
        protocol, payload = frame[20], frame[54:]
        if protocol == _FRAGMENT and len(payload) >= 8:
            if struct.unpack_from("!H", payload, 2)[0] & 0xFFF8:
                return None
            protocol, payload = payload[0], payload[8:]
        source, destination = (str(ipaddress.IPv6Address(frame[at : at + 16])) for at in (22, 38))
        return protocol, source, destination, payload
    return None


def _gre(payload: bytes) -> tuple[Transport, int, bytes] | None:
    """A keyed GRE packet with an Ethernet frame; the key is the VNI."""
    if len(payload) < 8:
        return None
    flags, protocol = struct.unpack_from("!HH", payload)
    if protocol != _TEB or not flags & 0x2000:
        return None
    at = 8 if flags & 0x8000 else 4
    key = struct.unpack_from("!I", payload, at)[0] if len(payload) >= at + 4 else 0
    at += 8 if flags & 0x1000 else 4
    return Transport.GRE, key, payload[at:]


def _kind(tenant: bytes) -> Kind:
    ethertype = struct.unpack_from("!H", tenant, 12)[0]
    if ethertype == _ARP:
        return Kind.ARP
    inner = _ip_payload(tenant)
    if inner is not None and inner[0] == _ICMPV6 and inner[3] and inner[3][0] in _ND_TYPES:
        return Kind.ND
    if tenant[:6] == b"\xff" * 6:
        return Kind.BROADCAST
    return Kind.MULTICAST if tenant[0] & 1 else Kind.UNICAST


def mac(address: bytes) -> str:
    return address.hex(":")
