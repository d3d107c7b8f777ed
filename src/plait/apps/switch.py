"""What every switch has, whatever is plugged into it: misses, answers to ARP and ND, and the way out.

What all routers have in common is in `router_rules.py`.
"""

from collections.abc import Iterator

from plait.apps import router_rules
from plait.flows.address_numbers import ALL_NODES, ALL_NODES_MAC
from plait.flows.flow import Flow, flow
from plait.flows.pipeline import Table
from plait.flows.punt import Punt, punt
from plait.flows.registers import (
    FROM_TUNNEL,
    OUT_PORT,
    OVERSIZE,
    ROUTER,
    SCRATCH,
    SCRATCH_MAC,
    TUNNEL_PORT,
)
from plait.model.lens import Lens
from plait.wire.internet import (
    ARP_REPLY,
    ETH_ARP,
    ETH_IPV4,
    ETH_IPV6,
    MLD_DONE,
    MLD_REPORT,
    MLD_V2_REPORT,
    ND_NEIGHBOUR_ADVERTISEMENT,
    ND_NEIGHBOUR_SOLICITATION,
    ND_REDIRECT,
    ND_ROUTER_ADVERTISEMENT,
    ND_ROUTER_SOLICITATION,
    PROTO_ICMPV6,
    PROTO_IGMP,
    PROTO_UDP,
)
from plait.wire.openflow.actions import (
    IN_PORT,
    WHOLE_PACKET,
    apply,
    goto,
    instructions,
    move,
    output,
    output_reg,
    set_field,
)
from plait.wire.openflow.oxm import match

_ND = {"eth_type": ETH_IPV6, "ip_proto": PROTO_ICMPV6}
_FROM_ROUTER, _SOLICITED, _OVERRIDE = 0x80000000, 0x40000000, 0x20000000
_TARGET_LINK_LAYER_ADDRESS = 2


def switch(lens: Lens, id: str) -> Iterator[Flow]:
    """The same on every host."""
    yield from _FLOWS


def _misses() -> Iterator[Flow]:
    """Explicit, so that drops are counted by table."""
    leads_on = {
        **router_rules.MISSES,
        Table.RESOLVE: goto(Table.EGRESS),
        Table.EGRESS_ADMIT: goto(Table.GATEWAY),
        Table.GATEWAY: goto(Table.L2),
        Table.INGRESS_ADMIT: goto(Table.DELIVER),
        Table.ENCAPSULATE: apply(output_reg(TUNNEL_PORT.field, 0, 16)),
        Table.DELIVER: apply(output_reg(OUT_PORT.field, 0, 16)),
    }
    for table in Table:
        yield flow(table, 0, match(), leads_on.get(table, b""))


def _refused_of_endpoints() -> Iterator[Flow]:
    """What no endpoint may say: it is neither a router nor a DHCP server.

    Advertisements are dropped whole, since nobody needs them where solicitations are answered on the sender's
    host.
    Source: RFC 6105 (RA guard), RFC 7610 (DHCPv6 shield).
    """
    for icmpv6_type in (ND_ROUTER_ADVERTISEMENT, ND_REDIRECT, ND_NEIGHBOUR_ADVERTISEMENT):
        yield flow(Table.PORT_SECURITY, 200, match(**_ND, icmpv6_type=icmpv6_type), b"")
    dhcp = {"eth_type": ETH_IPV4, "ip_proto": PROTO_UDP, "udp_src": 67, "udp_dst": 68}
    dhcpv6 = {"eth_type": ETH_IPV6, "ip_proto": PROTO_UDP, "udp_src": 547, "udp_dst": 546}
    yield flow(Table.PORT_SECURITY, 200, match(**dhcp), b"")
    yield flow(Table.PORT_SECURITY, 200, match(**dhcpv6), b"")


def _unanswered() -> Iterator[Flow]:
    """A question about an address that nobody has stops in RESOLVE."""
    yield flow(Table.RESOLVE, 50, match(eth_type=ETH_ARP), b"")
    for icmpv6_type in (ND_NEIGHBOUR_SOLICITATION, ND_ROUTER_SOLICITATION):
        yield flow(Table.RESOLVE, 50, match(**_ND, icmpv6_type=icmpv6_type), b"")


def _memberships() -> Iterator[Flow]:
    """Who wants which multicast group is told to the agent (IGMP; RFC 2710 and RFC 3810 for MLD)."""
    tell = apply(punt(Punt.MEMBERSHIP, WHOLE_PACKET))
    yield flow(Table.RESOLVE, 60, match(eth_type=ETH_IPV4, ip_proto=PROTO_IGMP), tell)
    for icmpv6_type in (MLD_REPORT, MLD_DONE, MLD_V2_REPORT):
        yield flow(Table.RESOLVE, 60, match(**_ND, icmpv6_type=icmpv6_type), tell)


def _answers() -> Iterator[Flow]:
    """Turn a request around. RESOLVE has put the MAC asked for into eth_dst."""
    yield _arp_reply()
    yield from _solicitations_turned()
    yield from _advertisements()


def _arp_reply() -> Flow:
    """Source: RFC 826."""
    return flow(
        Table.ANSWER,
        100,
        match(eth_type=ETH_ARP),
        apply(
            move("arp_sha", "arp_tha", 48),
            move("eth_dst", "arp_sha", 48),
            move("arp_tha", "eth_dst", 48),
            move("arp_sha", "eth_src", 48),
            move("arp_spa", SCRATCH.field, 32),
            move("arp_tpa", "arp_spa", 32),
            move(SCRATCH.field, "arp_tpa", 32),
            set_field("arp_op", ARP_REPLY),
            output(IN_PORT),
        ),
    )


def _solicitations_turned() -> Iterator[Flow]:
    """A solicitation from :: is answered to all nodes. Source: RFC 4861, 7.2.4."""
    become_advertisement = (
        move("nd_target", "ipv6_src", 128),
        set_field("icmpv6_type", ND_NEIGHBOUR_ADVERTISEMENT),
    )
    solicitation = {**_ND, "icmpv6_type": ND_NEIGHBOUR_SOLICITATION}
    yield flow(
        Table.ANSWER,
        100,
        match(**solicitation),
        instructions(
            apply(
                move("eth_src", SCRATCH_MAC.field, 48),
                move("eth_dst", "eth_src", 48),
                move(SCRATCH_MAC.field, "eth_dst", 48),
                move("ipv6_src", "ipv6_dst", 128),
                *become_advertisement,
            ),
            goto(Table.ANSWER_ND),
        ),
    )
    yield flow(
        Table.ANSWER,
        110,
        match(**solicitation, ipv6_src=0),
        instructions(
            apply(
                move("eth_dst", "eth_src", 48),
                set_field("eth_dst", ALL_NODES_MAC),
                set_field("ipv6_dst", ALL_NODES),
                *become_advertisement,
            ),
            goto(Table.ANSWER_ND),
        ),
    )


def _advertisements() -> Iterator[Flow]:
    """What only an advertisement has; one to all nodes was not solicited (RFC 4861, 7.2.4)."""
    advertisement = {**_ND, "icmpv6_type": ND_NEIGHBOUR_ADVERTISEMENT}
    not_a_router = ROUTER.is_(0)
    # A router that does not say that it is one is no default router any more (RFC 4861, 7.2.5).
    for priority, more, flags in (
        (100, {}, _FROM_ROUTER | _SOLICITED | _OVERRIDE),
        (105, not_a_router, _SOLICITED | _OVERRIDE),
        (110, {"ipv6_dst": ALL_NODES}, _FROM_ROUTER | _OVERRIDE),
        (115, {**not_a_router, "ipv6_dst": ALL_NODES}, _OVERRIDE),
    ):
        yield flow(
            Table.ANSWER_ND,
            priority,
            match(**advertisement, **more),
            apply(
                set_field("nd_reserved", flags),
                set_field("nd_options_type", _TARGET_LINK_LAYER_ADDRESS),
                move("eth_src", "nd_tll", 48),
                output(IN_PORT),
            ),
        )


def _no_way_out() -> Iterator[Flow]:
    """What came from another host never leaves for one; what is larger than the network's MTU stays here.

    Its sender is told, as by a router, so that path MTU discovery works where an MTU was set wrong.
    """
    yield flow(Table.TRANSPORT, 200, match(**FROM_TUNNEL.is_(1)), b"")
    yield flow(Table.ENCAPSULATE, 100, match(**OVERSIZE.is_(1)), b"")
    for eth_type, quoted_bytes in router_rules.QUOTED_BYTES.items():
        yield flow(
            Table.ENCAPSULATE,
            110,
            match(**OVERSIZE.is_(1), eth_type=eth_type),
            apply(punt(Punt.TOO_BIG, quoted_bytes)),
        )


_FLOWS: tuple[Flow, ...] = (
    *_misses(),
    *_refused_of_endpoints(),
    *_unanswered(),
    *_memberships(),
    *_answers(),
    *_no_way_out(),
    *router_rules.flows(),
)
