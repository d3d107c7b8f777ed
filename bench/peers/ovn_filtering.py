"""OVN with one port group of all ports; see `frame.filtering`.

Rules come as a management system makes them, over the connection that is open: no command is started.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from frame.filtering import GROUP
from peers.ovn import Ovn
from peers.rows import Operation, add, insert, named, take
from plait.lab.lab import Lab


class FilteringOvn(Ovn):
    """See `frame.filtering.Filtering`.

    A rule that names the group is, on each host, a flow for each member in each network that the host has:
    more than 100,000 with 1,000 members in 100 networks, which takes seconds; 10,000 would make a million.
    """

    most_members = 1000

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab, monitor_all=False)
        self._rules: dict[int, Any] = {}
        self.nbctl("pg-add", GROUP)
        self.nbctl("acl-add", GROUP, "to-lport", "1001", f"outport == @{GROUP} && ip", "drop")
        self.nbctl("acl-add", GROUP, "from-lport", "1002", f"inport == @{GROUP} && ip", "allow-related")

    def joins(self, members: Mapping[str, Sequence[Any]]) -> list[Operation]:
        ports = [port for of in members.values() for port in of]
        return [*super().joins(members), add("Port_Group", [["name", "==", GROUP]], "ports", ports)]

    def permit(self, port: int, *, from_group: bool) -> None:
        remote = f" && ip4.src == ${GROUP}_ip4" if from_group else ""
        acl = {
            "priority": 1002,
            "direction": "to-lport",
            "match": f"outport == @{GROUP} && ip4{remote} && udp.dst == {port}",
            "action": "allow-related",
        }
        made, _ = self.nb.transact(
            insert("ACL", acl, "acl"), add("Port_Group", [["name", "==", GROUP]], "acls", [named("acl")])
        )
        self._rules[port] = made["uuid"]

    def withdraw(self, port: int) -> None:
        self.nb.transact(take("Port_Group", [["name", "==", GROUP]], "acls", [self._rules.pop(port)]))


@contextmanager
def filtering_ovn(lab_name: str) -> Iterator[FilteringOvn]:
    """As `ovn`, with a port group of all ports."""
    with Lab.up(lab_name, hosts=2) as lab:
        peer = FilteringOvn(lab)
        try:
            yield peer
        finally:
            peer.close()
