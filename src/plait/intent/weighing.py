"""Would a connection come about? Weighed by what stands, without flows and without a packet. Pure.

out of the sender   its groups' rules and defaults (egress)
way                 what the endpoint does with it, then routers, to a network and an address there
into the receiver   its groups' rules and defaults (ingress)
answer              the same way back; rules let answers pass where they let pass what is answered
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from plait.intent.stored_view import Stored
from plait.model.entities import Port
from plait.model.policy import Direction
from plait.model.topology import Topology
from plait.model.verdict import Attempt, Judgement, Sets, judge
from plait.model.way import FirstHop, Way, first_hop, way


class Arrival(msgspec.Struct, frozen=True):
    """A port where it ends, and what its groups say; `reason`: why it does not get in."""

    port: Port
    judgement: Judgement
    reason: str = ""


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """One direction. Where several ways are possible there are several arrivals.

    `reason`: why it does not get as far as its arrivals; "" when it does.
    """

    sender: Port
    outward: Judgement
    hop: FirstHop = FirstHop()
    way: Way = Way()
    arrivals: tuple[Arrival, ...] = ()
    reason: str = ""

    @property
    def passes(self) -> bool:
        """Whether it gets in wherever it may end."""
        if self.reason:
            return False
        return self.way.is_answered or (
            bool(self.arrivals) and not any(arrival.reason for arrival in self.arrivals)
        )

    @property
    def why_not(self) -> str:
        """In words; "" when it passes."""
        return self.reason or next((each.reason for each in self.arrivals if each.reason), "")


class Weighing:
    """Everything that was read. `unready`: why ports can't be reached that can't, by id."""

    def __init__(self, stored: Stored, unready: Mapping[str, str]) -> None:
        self._stored = stored
        self._unready = unready
        self._topology = Topology(stored.routers, stored.interfaces, stored.peerings)
        prefixes: dict[str, list[str]] = {}
        for entry in stored.entries:
            prefixes.setdefault(entry.group, []).append(entry.prefix)
        self._prefixes = {group: frozenset(entries) for group, entries in prefixes.items()}
        self._names = {
            **{id: stored.name_of("group", id) for id in _groups_named(stored)},
            **{id: group.name for id, group in stored.address_groups.items()},
        }

    def request(self, sender: Port, attempt: Attempt) -> Passage:
        """What becomes of the first packet."""
        return self._weigh(sender, attempt, attempt.source, attempt.target, Direction.EGRESS)

    def answer(self, answerer: Port, attempt: Attempt) -> Passage:
        """What becomes of what `answerer` sends back."""
        return self._weigh(answerer, attempt, attempt.target, attempt.source, Direction.INGRESS)

    def places(self, sender: Port, source: str, target: str) -> tuple[FirstHop, Way]:
        """Where a packet goes, whatever policy says."""
        hop = first_hop(
            sender,
            source,
            target,
            subnets=(each for each in self._stored.subnets.values() if each.network == sender.network),
            interfaces=self._topology.interfaces_on(sender.network),
            is_neighbour=any(True for _ in self._holders(sender.network, target)),
        )
        if hop.reason:
            return hop, Way(reason=hop.reason)
        return hop, way(self._topology, self._stored.networks, sender, hop.gateway, target)

    def holders(self, places: Iterable[tuple[str, str]]) -> list[Port]:
        """The ports that have one of these (network, address)."""
        found = {port.id: port for place in places for port in self._holders(*place)}
        return list(found.values())

    def _weigh(self, sender: Port, attempt: Attempt, source: str, target: str, outward: Direction) -> Passage:
        said = self._judge(sender, outward, attempt)
        hop, taken = self.places(sender, source, target)
        passage = Passage(sender=sender, outward=said, hop=hop, way=taken)
        reason = self._unready.get(sender.id) or self.denied(said) or taken.reason
        if reason or taken.is_answered:
            return msgspec.structs.replace(passage, reason=reason)
        inward = Direction.INGRESS if outward is Direction.EGRESS else Direction.EGRESS
        holders = self.holders(taken.hops)
        ready = [port for port in holders if port.id not in self._unready]
        if not ready:
            return msgspec.structs.replace(passage, reason=self._nobody(taken, holders))
        arrivals = (self._arrive(sender, port, inward, attempt) for port in ready)
        return msgspec.structs.replace(passage, arrivals=tuple(arrivals))

    def _arrive(self, sender: Port, port: Port, inward: Direction, attempt: Attempt) -> Arrival:
        said = self._judge(port, inward, attempt)
        reason = self.denied(said)
        if not reason and port.id == sender.id:
            reason = f"it would come back to its sender {port.name!r}"
        return Arrival(port, said, reason)

    def _nobody(self, taken: Way, unready: list[Port]) -> str:
        if unready:
            return self._unready[unready[0].id]
        places = [
            f"{address} in network {self._stored.name_of('network', net)!r}" for net, address in taken.hops
        ]
        return f"no port has the address {' or '.join(places)}"

    def _holders(self, network: str, address: str) -> Iterator[Port]:
        """The ports of a network that have an address, or say that they have it (address pairs)."""
        said = {
            claim.port for claim in self._stored.claims if claim.network == network and address in claim.ips
        }
        for port in self._stored.ports.values():
            if port.network == network and (address in port.ips or port.id in said):
                yield port

    def _judge(self, port: Port, direction: Direction, attempt: Attempt) -> Judgement:
        other = attempt.other(direction)
        members: set[str] = set()
        for network in self._topology.joined(port.network):
            for holder in self._holders(network, other):
                if holder.id not in self._unready:
                    members.update(holder.groups)
        return judge(
            port,
            direction,
            attempt,
            groups=self._stored.groups.values(),
            rules=self._stored.rules.values(),
            sets=Sets({other: frozenset(members)}, self._prefixes, self._names),
        )

    def denied(self, said: Judgement) -> str:
        """Who denies it, in words; "" when it is allowed."""
        if said.is_allowed:
            return ""
        where = f"{'into' if said.direction is Direction.INGRESS else 'out of'} {said.port.name!r}"
        if said.rule is None:
            group = said.group.id if said.group is not None else said.port.groups[0]
            name = self._stored.name_of("group", group)
            return f"group {name!r} denies by default what goes {where}, and no rule allows it"
        group = self._stored.name_of("group", said.rule.group)
        return f"rule {said.rule.name!r} (priority {said.rule.priority}) of group {group!r} denies it {where}"


def _groups_named(stored: Stored) -> set[str]:
    rules = stored.rules.values()
    return {*stored.groups, *(rule.remote_group for rule in rules if rule.remote_group is not None)}
