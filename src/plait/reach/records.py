"""What hosts say of where endpoints live, and what follows from it. Pure; every plane uses it.

Rule 1: of the records of one port the highest `sequence` wins, at equal sequence the greater host name.
Rule 2: only records of hosts that are alive count; those of a dead one are kept, for its return.
Rule 3: an event is told when the answer to "where does this port live" becomes another one, and never else.

The order of what one host says of one port is the carrier's business: the last word given here stands.
"""

from collections.abc import Iterable, Iterator

from plait.model.entities import Endpoint
from plait.reach.api import Announced, Withdrawn

Verdict = Announced | Withdrawn


def outranks(one: Endpoint, other: Endpoint) -> bool:
    """Whether `one` is believed rather than `other`, when both hosts are alive."""
    return (one.sequence, one.host) > (other.sequence, other.host)


class Records:
    """All records of some networks, and which hosts are alive; see the rules above.

    Every method that changes something returns the events that follow from it, which the caller has to
    pass on.
    """

    def __init__(self) -> None:
        self._claims: dict[str, dict[str, tuple[Endpoint, ...]]] = {}
        self._places: dict[str, dict[str, set[str]]] = {}
        self._alive: set[str] = set()

    def __len__(self) -> int:
        """How many records there are, of living and of dead hosts."""
        return sum(len(ports) for networks in self._places.values() for ports in networks.values())

    def winner(self, network: str, port: str) -> Endpoint | None:
        """Where the port lives; None when no living host says that it has it."""
        claims = self._claims.get(network, {}).get(port, ())
        return next((claim for claim in claims if claim.host in self._alive), None)

    def winners(self, network: str) -> Iterator[Endpoint]:
        """Every endpoint of `network` that lives somewhere."""
        for port in self._claims.get(network, ()):
            if (endpoint := self.winner(network, port)) is not None:
                yield endpoint

    def put(self, endpoint: Endpoint) -> list[Verdict]:
        """`endpoint.host` says this of the port, in place of what it said before."""
        network, port, host = endpoint.network, endpoint.port, endpoint.host
        before = self.winner(network, port)
        ports = self._claims.setdefault(network, {})
        others = [claim for claim in ports.get(port, ()) if claim.host != host]
        rank = sum(outranks(other, endpoint) for other in others)
        ports[port] = (*others[:rank], endpoint, *others[rank:])
        self._places.setdefault(host, {}).setdefault(network, set()).add(port)
        return self._verdict(network, port, before)

    def remove(self, network: str, port: str, host: str) -> list[Verdict]:
        """`host` no longer says anything of the port; that it never did is no error."""
        if port not in self._places.get(host, {}).get(network, ()):
            return []
        before = self.winner(network, port)
        ports = self._claims[network]
        remaining = tuple(claim for claim in ports[port] if claim.host != host)
        if remaining:
            ports[port] = remaining
        else:
            del ports[port]
        if not ports:
            del self._claims[network]
        self._leave(host, network, port)
        return self._verdict(network, port, before)

    def host_up(self, host: str) -> list[Verdict]:
        """The host is alive: what it said counts again."""
        if host in self._alive:
            return []
        before = list(self._contested(host))
        self._alive.add(host)
        return self._verdicts(before)

    def host_down(self, host: str) -> list[Verdict]:
        """The host is dead: what it said counts no more, but is kept."""
        if host not in self._alive:
            return []
        before = list(self._contested(host))
        self._alive.discard(host)
        return self._verdicts(before)

    def forget(self, network: str) -> None:
        """Drop a network that nobody asks for any more; no events."""
        for port, claims in self._claims.pop(network, {}).items():
            for claim in claims:
                self._leave(claim.host, network, port)

    def _leave(self, host: str, network: str, port: str) -> None:
        networks = self._places[host]
        networks[network].discard(port)
        if not networks[network]:
            del networks[network]
        if not networks:
            del self._places[host]

    def _contested(self, host: str) -> Iterator[tuple[str, str, Endpoint | None]]:
        """Every port that the host claims, with who has it now."""
        for network, ports in self._places.get(host, {}).items():
            for port in sorted(ports):
                yield network, port, self.winner(network, port)

    def _verdicts(self, before: Iterable[tuple[str, str, Endpoint | None]]) -> list[Verdict]:
        return [event for network, port, had in before for event in self._verdict(network, port, had)]

    def _verdict(self, network: str, port: str, before: Endpoint | None) -> list[Verdict]:
        after = self.winner(network, port)
        if after == before:
            return []
        return [Withdrawn(network, port) if after is None else Announced(after)]
