"""OVN's two containers behind a router; see `frame.crossing`.

Nothing of it is measured while it is made, so it is made by `ovn-nbctl`, as operators do.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from frame.crossing import GROUP, PORT, SIDES, Crossing, gateways, set_out
from peers.ovn import MTU_BYTES, Ovn, ovn
from plait.lab.endpoint import Endpoint
from plait.net.vswitch import PortIo

ROUTER = "middle"


@contextmanager
def ovn_crossing(lab_name: str, io: PortIo) -> Iterator[Crossing]:
    """OVN, whose containers and underlay are read by `io`, which OVN itself knows nothing of."""
    with ovn(lab_name, underlay_io=io) as peer:
        peer.nbctl("lr-add", ROUTER, "--", "pg-add", GROUP)
        for side, name in enumerate(SIDES):
            _join(peer, side, name)
        _filter(peer)
        ends = [_end(peer, side, io) for side in range(len(SIDES))]
        peer.confirmed()
        by_hand = ", afxdp by hand" if io is PortIo.AFXDP else ""
        crossing = Crossing(peer.name + by_hand, peer.lab, *ends)
        set_out(crossing)
        yield crossing


def _join(peer: Ovn, side: int, name: str) -> None:
    """A switch, and the router on it."""
    v4, v6 = gateways(side)
    mac = f"0a:00:00:00:00:f{side}"
    peer.nbctl(
        "ls-add", name, "--", "lrp-add", ROUTER, f"to-{name}", mac, f"{v4}/16", f"{v6}/64",
        "--", "lsp-add", name, f"of-{name}", "--", "lsp-set-type", f"of-{name}", "router",
        "--", "lsp-set-addresses", f"of-{name}", "router",
        "--", "lsp-set-options", f"of-{name}", f"router-port=to-{name}",
    )  # fmt: skip


def _filter(peer: Ovn) -> None:
    """The rules of `frame.crossing`; what leaves is tracked, too."""
    into, out_of = f"outport == @{GROUP}", f"inport == @{GROUP}"
    peer.nbctl("acl-add", GROUP, "to-lport", "1002", f"{into} && tcp.dst == {PORT}", "allow-related")
    peer.nbctl("acl-add", GROUP, "to-lport", "1002", f"{into} && (icmp4 || icmp6)", "allow-related")
    peer.nbctl("acl-add", GROUP, "to-lport", "1001", f"{into} && ip", "drop")
    peer.nbctl("acl-add", GROUP, "from-lport", "1002", f"{out_of} && ip", "allow-related")


def _end(peer: Ovn, side: int, io: PortIo) -> Endpoint:
    """The container of a side, plugged in."""
    name, host = ("client", "server")[side], f"h{side + 1}"
    end = peer.lab.plain_endpoint(
        name,
        host,
        mac=f"0a:00:00:00:00:0{side + 1}",
        addresses=(f"10.{side + 1}.0.11/16", f"fd00:{side + 1}::11/64"),
        mtu_bytes=MTU_BYTES,
    )
    place = f"{end.mac} {end.v4} {end.v6}"
    peer.nbctl(
        "lsp-add", SIDES[side], name, "--", "lsp-set-addresses", name, place,
        "--", "lsp-set-port-security", name, place,
        "--", "--id=@p", "get", "logical_switch_port", name, "--", "add", "port_group", GROUP, "ports", "@p",
    )  # fmt: skip
    peer.plug([end], host)
    if io.interface_type:
        end.host.switch.vsctl("set", "interface", end.device, f"type={io.interface_type}")
    return end
