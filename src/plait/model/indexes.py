"""Sets that a view keeps beside its facets, so that a question costs what its answer weighs.

A set has a key, like everything that can be read; a change of a member dirties the sets that it was
in and is in.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from plait.model.entities import Endpoint, Port, Subnet
from plait.model.facets import Attachment, Facet, Key, Station
from plait.model.policy import AddressEntry, Rule
from plait.model.routers import Peering, RouterInterface
from plait.model.slots import other_side, slots_of

Members = Mapping[str, Facet | Station]


def _of_port(port: Port) -> Iterator[Key]:
    yield Key("ports of network", port.network)
    for group in port.groups:
        yield Key("ports of group", group)


def _of_endpoint(endpoint: Endpoint) -> Iterator[Key]:
    yield Key("endpoints", endpoint.network)


def _of_interface(interface: RouterInterface) -> Iterator[Key]:
    yield Key("interfaces", interface.router)
    yield Key("interfaces of network", interface.network)


def _of_subnet(subnet: Subnet) -> Iterator[Key]:
    yield Key("subnets", subnet.network)


def _of_rule(rule: Rule) -> Iterator[Key]:
    yield Key("rules", rule.group)
    if rule.remote_set is not None:
        yield Key("uses", rule.remote_set)
    for slot in slots_of(rule):
        yield Key("slot", slot.id)
        yield twins(slot.id, rule)
    if rule.address_group is not None:
        yield Key("rules by address group", rule.address_group)


def twins(slot: str, rule: Rule) -> Key:
    """The set of the rules that say the same of the same others: a slot and who the other side is."""
    return Key("twins", f"{slot} {other_side(rule) or ''}")


def _of_entry(entry: AddressEntry) -> Iterator[Key]:
    yield Key("entries", entry.group)
    yield Key("prefix", entry.prefix)


def _of_attachment(attachment: Attachment) -> Iterator[Key]:
    yield Key("ofport", str(attachment.ofport))


def _of_peering(peering: Peering) -> Iterator[Key]:
    yield Key("peerings", peering.router)


def of_station(station: Station) -> Iterator[Key]:
    """The sets that an endpoint is in."""
    if station.ofport is not None:
        yield Key("plugged in", station.network)
    if station.multicast:
        yield Key("subscribers", station.network)
    if station.policy:
        yield Key("policy", station.policy)
        yield Key("filtered", station.network)


SETS_OF: Mapping[type[Facet], Callable[..., Iterator[Key]]] = {
    Port: _of_port,
    Endpoint: _of_endpoint,
    RouterInterface: _of_interface,
    Subnet: _of_subnet,
    Rule: _of_rule,
    AddressEntry: _of_entry,
    Attachment: _of_attachment,
    Peering: _of_peering,
}


class Indexes:
    """Sets of members by id, by kind and id of the set."""

    def __init__(self) -> None:
        self._sets: dict[str, dict[str, dict[str, Facet | Station]]] = {}

    def members(self, key: Key) -> Members:
        """What is in a set; nothing is in a set that does not exist."""
        return self._sets.get(key.kind, {}).get(key.id, {})

    def of_kind(self, kind: str) -> Iterable[str]:
        """The ids of the sets of a kind that are not empty."""
        return self._sets.get(kind, {}).keys()

    def move(
        self,
        id: str,
        before: Facet | Station | None,
        after: Facet | Station | None,
        sets_of: Callable[..., Iterator[Key]],
        dirty: set[Key],
    ) -> None:
        """A member became another one (None: there was, or is, none)."""
        old = set() if before is None else set(sets_of(before))
        new = set() if after is None else set(sets_of(after))
        for kind, set_id in old - new:
            sets = self._sets[kind]
            del sets[set_id][id]
            if not sets[set_id]:
                del sets[set_id]
        if after is not None:
            for kind, set_id in new:
                self._sets.setdefault(kind, {}).setdefault(set_id, {})[id] = after
        dirty |= old
        dirty |= new
