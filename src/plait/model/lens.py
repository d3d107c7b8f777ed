"""A view as apps see it: every question is remembered, so that the app runs again when its answer changes."""

from typing import NamedTuple, cast

from plait.model.entities import LiveHost, Network, Port, Subnet, Transport
from plait.model.facets import Key, Number, Station, Tunnels
from plait.model.indexes import twins
from plait.model.policy import AddressEntry, Group, Rule
from plait.model.routers import Router, RouterInterface
from plait.model.topology import Route
from plait.model.view import CONJUNCTION, MULTICAST, POLICY, View


class Policy(NamedTuple):
    """What groups ports of this host are in together, and the number of that."""

    number: int
    groups: tuple[str, ...]


class Lens:
    """A view through which apps look; it remembers what they asked for in `reads`."""

    __slots__ = ("_view", "reads")

    def __init__(self, view: View) -> None:
        self._view = view
        self.reads: set[Key] = set()

    # -- endpoints and networks

    def network(self, id: str) -> Network | None:
        """A network that this host takes part in, or can reach by routers."""
        self.reads.add(Key("network", id))
        return self._view.get(Network, id)

    def host(self, name: str) -> LiveHost | None:
        """A living host; one that is not alive is None."""
        self.reads.add(Key("host", name))
        return self._view.get(LiveHost, name)

    def station(self, id: str) -> Station | None:
        """See `View.station`."""
        self.reads.add(Key("station", id))
        return self._view.station(id)

    def port(self, id: str) -> Port | None:
        """A port that is bound to this host, plugged in or not."""
        self.reads.add(Key("port", id))
        return self._view.get(Port, id)

    def port_at(self, ofport: int) -> str | None:
        """See `View.port_at`."""
        self.reads.add(Key("ofport", str(ofport)))
        return self._view.port_at(ofport)

    def subnets(self, network: str) -> tuple[Subnet, ...]:
        """The subnets of a network, sorted by id."""
        self.reads.add(Key("subnets", network))
        members = self._view.members("subnets", network)
        return tuple(each for _, each in sorted(members.items()) if isinstance(each, Subnet))

    def tunnel(self, transport: Transport) -> int | None:
        """The switch's port into tunnels of this transport."""
        self.reads.add(Key("tunnels", ""))
        tunnels = self._view.get(Tunnels, "")
        return dict(tunnels.ofports).get(transport) if tunnels else None

    def mtu_bytes(self, network: Network) -> int | None:
        """See `View.mtu_bytes`."""
        self.reads.add(Key("room", network.transport))
        return self._view.mtu_bytes(network)

    def subscribers(self, network: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """(multicast address, ids of its stations), both sorted."""
        self.reads.add(Key("subscribers", network))
        return tuple(
            (address, tuple(sorted(members)))
            for address, members in sorted(self._view.subscribers(network).items())
        )

    def group_number(self, network: str, address: str) -> int | None:
        """The OpenFlow group id of a multicast group; None until it has one."""
        return self._number(MULTICAST, f"{network}/{address}")

    def takes_part(self, network: str) -> bool:
        """Whether a port of the network is plugged in here, so that its packets can begin here."""
        self.reads.add(Key("part of network", network))
        return bool(self._view.members("plugged in", network))

    # -- routing

    def router(self, id: str) -> Router | None:
        """A router that this host routes for."""
        self.reads.add(Key("router", id))
        return self._view.get(Router, id)

    def interface(self, id: str) -> RouterInterface | None:
        """An interface of such a router."""
        self.reads.add(Key("interface", id))
        return self._view.get(RouterInterface, id)

    def routes(self, router: str) -> tuple[Route, ...]:
        """See `Topology.routes`."""
        return self._of_router(router)[0]

    def answers_for(self, router: str) -> tuple[RouterInterface, ...]:
        """See `Topology.answers_for`."""
        return self._of_router(router)[1]

    def interfaces_on(self, network: str) -> tuple[RouterInterface, ...]:
        """The interfaces of all routers on a network, sorted."""
        self.reads.add(Key("interfaces of network", network))
        members = self._view.members("interfaces of network", network)
        return tuple(each for _, each in sorted(members.items()) if isinstance(each, RouterInterface))

    def has_next_hop(self, network: str, address: str) -> bool:
        """See `View.has_next_hop`."""
        self.reads.add(Key("next hop", f"{network}/{address}"))
        return self._view.has_next_hop(network, address)

    def domain(self, network: str) -> int | None:
        """The number within which an address means one endpoint: a VNI; None while it is not known."""
        self.reads.add(Key("domain", network))
        return self._vni(cast("str | None", self._view.derived(Key("domain", network))) or network)

    def scopes(self, network: str) -> tuple[int, ...]:
        """The domains of filtered ports of this host that a packet of `network` can come to, or come from."""
        self.reads.add(Key("scopes", network))
        labels = cast("tuple[str, ...] | None", self._view.derived(Key("scopes", network))) or ()
        return tuple(vni for label in labels if (vni := self._vni(label)) is not None)

    # -- policy

    def group(self, id: str) -> Group | None:
        """A group that some port of this host is in."""
        self.reads.add(Key("group", id))
        return self._view.get(Group, id)

    def rule(self, id: str) -> Rule | None:
        """A rule of such a group."""
        self.reads.add(Key("rule", id))
        return self._view.get(Rule, id)

    def policy_number(self, policy: str) -> int | None:
        """The number of a policy (`Station.policy`); None until it has one."""
        return self._number(POLICY, policy)

    def is_policy(self, policy: str) -> bool:
        """Whether some port of this host has the policy."""
        self.reads.add(Key("policy", policy))
        return bool(self._view.members("policy", policy))

    def policies_of(self, group: str) -> tuple[Policy, ...]:
        """The policies of this host that a group is part of, sorted; those without a number are left out."""
        self.reads.add(Key("policies", group))
        policies = (
            Policy(number, tuple(policy.split(",")))
            for policy in self._view.policies_with(group)
            if (number := self.policy_number(policy)) is not None
        )
        return tuple(sorted(policies))

    def slot(self, id: str) -> tuple[Rule, ...]:
        """The rules that are about a piece of traffic (`Slot.id`), sorted."""
        self.reads.add(Key("slot", id))
        return self._rules(Key("slot", id))

    def twins(self, slot: str, rule: Rule) -> tuple[Rule, ...]:
        """The rules, `rule` too, that say the same about the same others and a piece of traffic; sorted."""
        key = twins(slot, rule)
        self.reads.add(key)
        return self._rules(key)

    def uses(self, remote: str) -> tuple[tuple[int, int], ...]:
        """(rank, conjunction id) for each rank at which rules refer to a group or address group, sorted."""
        self.reads.add(Key("ranks", remote))
        numbers = ((rank, self.conjunction(remote, rank)) for rank in sorted(self._view.ranks(remote)))
        return tuple((rank, number) for rank, number in numbers if number is not None)

    def conjunction(self, remote: str, rank: int) -> int | None:
        """The conjunction id of a set at a rank; None until it has one."""
        return self._number(CONJUNCTION, f"{remote}@{rank}")

    def address_groups_with(self, prefix: str) -> tuple[str, ...]:
        """The ids of the address groups that have this prefix, sorted."""
        self.reads.add(Key("prefix", prefix))
        entries = self._view.members("prefix", prefix).values()
        return tuple(sorted(entry.group for entry in entries if isinstance(entry, AddressEntry)))

    # -- what others are made of

    def _number(self, space: str, owner: str) -> int | None:
        self.reads.add(Key("number", f"{space}/{owner}"))
        number = self._view.get(Number, f"{space}/{owner}")
        return number.number if number else None

    def _rules(self, key: Key) -> tuple[Rule, ...]:
        members = self._view.members(*key)
        return tuple(rule for _, rule in sorted(members.items()) if isinstance(rule, Rule))

    def _vni(self, network: str) -> int | None:
        found = self.network(network)
        return found.vni if found else None

    def _of_router(self, router: str) -> tuple[tuple[Route, ...], tuple[RouterInterface, ...]]:
        self.reads.add(Key("routes", router))
        found = self._view.derived(Key("routes", router))
        return cast("tuple[tuple[Route, ...], tuple[RouterInterface, ...]]", found) if found else ((), ())
