"""Two questions to the Linux kernel: is its Open vSwitch there, and which device has an address.

Plain netlink (netlink(7), rtnetlink(7)): both work without privileges and answer for the network namespace of
the calling process, which /sys and /proc do not when the process has changed its namespace.
"""

import errno
import fcntl
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # nlattr: length, type
_GENERIC = struct.Struct("=BBH")  # genlmsghdr: command, version, reserved
_ADDRESS = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, interface index

_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NETLINK_GENERIC = 16
_GENL_ID_CTRL, _CTRL_CMD_GETFAMILY, _CTRL_ATTR_FAMILY_NAME = 0x10, 3, 2
_RTM_NEWADDR, _RTM_GETADDR = 20, 22
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_SIOCGIFMTU = 0x8921


def has_kernel_datapath() -> bool:
    """Whether the kernel has Open vSwitch's datapath, loading its module if it has not been loaded yet.

    Asks for the generic netlink family "ovs_datapath", as ovs-vswitchd does when it starts. The question
    itself makes the kernel load the module that provides the family, so "no" means: none to load. Neither
    `datapath_types` in the database (it names what ovs-vswitchd was built with, always "system" too) nor
    /proc/modules (silent where the datapath is built in, absent without module support) tells this.
    """
    name = b"ovs_datapath\0"
    attribute = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(name), _CTRL_ATTR_FAMILY_NAME) + _padded(name)
    try:
        question = _GENERIC.pack(_CTRL_CMD_GETFAMILY, 1, 0) + attribute
        for kind, _ in _ask(_NETLINK_GENERIC, _GENL_ID_CTRL, 0, question):
            return kind == _GENL_ID_CTRL
    except OSError:  # ENOENT: no such family; others: no generic netlink at all
        return False
    return False


def device_with_address(address: str) -> str | None:
    """The device that has this IPv4 or IPv6 address, or None. Raises OSError if the kernel refuses."""
    wanted = ipaddress.ip_address(address)
    family = socket.AF_INET if wanted.version == 4 else socket.AF_INET6
    request = _ADDRESS.pack(family, 0, 0, 0, 0)
    for kind, body in _ask(socket.NETLINK_ROUTE, _RTM_GETADDR, _NLM_F_DUMP, request):
        if kind != _RTM_NEWADDR:
            continue
        attributes = dict(_attributes(body[_ADDRESS.size :]))
        # Point-to-point: IFA_ADDRESS is the far end, IFA_LOCAL ours. IPv6 may have only the former.
        if attributes.get(_IFA_LOCAL, attributes.get(_IFA_ADDRESS)) == wanted.packed:
            return socket.if_indextoname(_ADDRESS.unpack_from(body)[4])
    return None


def device_mtu_bytes(device: str) -> int:
    """The device's MTU. Raises OSError (ENODEV) if there is no such device."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        answer = fcntl.ioctl(control, _SIOCGIFMTU, struct.pack("16si12x", device.encode(), 0))
    return int(struct.unpack_from("i", answer, 16)[0])


def _ask(protocol: int, kind: int, flags: int, body: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, body) of the messages of the answer, until the kernel says that it is complete."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol) as kernel:
        kernel.bind((0, 0))
        kernel.send(_HEADER.pack(_HEADER.size + len(body), kind, _NLM_F_REQUEST | flags, 1, 0) + body)
        while True:
            data = kernel.recv(256 * 1024)
            for answer, payload in _messages(data):
                if answer == _NLMSG_DONE:
                    return
                if answer == _NLMSG_ERROR:
                    code = -struct.unpack_from("=i", payload)[0]
                    if code:
                        raise OSError(code, os.strerror(code))
                    return
                yield answer, payload
            if not data:
                raise OSError(errno.EIO, "netlink ended in the middle of an answer")


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(data)
        yield kind, data[_HEADER.size : length]
        data = data[max(_aligned(length), _HEADER.size) :]


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        yield kind, data[_ATTRIBUTE.size : length]
        data = data[max(_aligned(length), _ATTRIBUTE.size) :]


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _padded(data: bytes) -> bytes:
    return data.ljust(_aligned(len(data)), b"\0")
