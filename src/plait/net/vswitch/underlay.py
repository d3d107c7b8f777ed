"""Where tunnels leave the host."""

import ipaddress

from plait.net import netlink
from plait.net.vswitch.index import SwitchIndex
from plait.net.vswitch.types import (
    AFXDP_MTU_BYTES,
    USERSPACE,
    BridgeInfo,
    PortIo,
    Underlay,
    UnderlayUnusable,
)

_WITHOUT_WIRE = ("internal", "patch", "vxlan", "geneve", "gre")


def find_underlay(index: SwitchIndex, bridge: BridgeInfo, address: str) -> Underlay:
    """The device of this host that has `address`, with its MTU in bytes.

    On the userspace datapath that must be the internal port of a netdev bridge, since tunnels leave only
    through one; the MTU is then the lowest of the bridge and its ports. Raises UnderlayUnusable.
    """
    try:
        version = ipaddress.ip_address(address).version
        device = netlink.device_with_address(address)
        if device is None:
            raise UnderlayUnusable(address, "no device of this host has it: add it, or choose another")
        mtu_bytes = netlink.device_mtu_bytes(device)
    except ValueError:
        reason = "not an IP address: write one like 192.0.2.1 or 2001:db8::1"
        raise UnderlayUnusable(address, reason) from None
    except OSError as error:
        raise UnderlayUnusable(address, f"the kernel does not say where it is: {error}") from None
    if bridge.datapath_type == USERSPACE:
        mtu_bytes = min([mtu_bytes, *_userspace_mtus(index, address, device)])
    return Underlay(address, device, mtu_bytes, version)


def _userspace_mtus(index: SwitchIndex, address: str, device: str) -> list[int]:
    interface = index.interfaces.get(device)
    if interface is None or interface.bridge is None or interface.type != "internal":
        raise UnderlayUnusable(
            address,
            f"it is on device {device!r}, and the userspace datapath sends tunnels only from its bridges: "
            f"ovs-vsctl add-br br-ex -- set bridge br-ex datapath_type=netdev -- add-port br-ex {device}, "
            f"then move the address to br-ex and set that up",
        )
    info = index.bridge_info(interface.bridge)
    if info is None or info.datapath_type != USERSPACE:
        kind = "does not run" if info is None else f"is on the {info.datapath_type} datapath"
        raise UnderlayUnusable(
            address,
            f"it is on bridge {interface.bridge!r}, which {kind}: "
            f"ovs-vsctl set bridge {interface.bridge} datapath_type=netdev",
        )
    ports = list(index.on_bridge(interface.bridge))
    for port in ports:
        if port.io is PortIo.AFXDP and (port.mtu_bytes or 0) > AFXDP_MTU_BYTES:
            raise UnderlayUnusable(
                address,
                f"{port.name!r} is read by AF_XDP, which carries {AFXDP_MTU_BYTES} bytes, and its MTU is "
                f"{port.mtu_bytes}: ip link set {port.name} mtu {AFXDP_MTU_BYTES}, "
                f"or ovs-vsctl set interface {port.name} type=system",
            )
    return [port.mtu_bytes for port in ports if port.mtu_bytes and port.type not in _WITHOUT_WIRE]
