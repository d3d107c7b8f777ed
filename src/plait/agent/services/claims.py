"""Who has an address that several ports may have (address pairs): whoever said so last.

Rule 1: a claim is a facet of the port, so that it is announced, compiled and kept on disk like its own
addresses.
Rule 2: between hosts the order is the reach plane's: a port that was announced with an address gives it up
when another port is announced with it. What is not announced yet will come later than what stands, so it
stays.
"""

from collections.abc import Iterator

import structlog

from plait.agent.engine import Engine
from plait.agent.services.punted import Punted
from plait.model.entities import Endpoint, Port
from plait.model.facets import Change, Claim, Key
from plait.wire.announcement import decode_announcement

log = structlog.get_logger("plait.punts")


class Claims:
    """Notes claims of own ports, and takes back those that ended; nobody is answered."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rivals: dict[tuple[str, str], set[str]] = {}
        engine.on_dirty(self._look)

    def answer(self, punted: Punted) -> None:
        said = decode_announcement(punted.frame)
        view = self._engine.view
        id = view.port_at(punted.ofport)
        port = None if id is None else view.get(Port, id)
        if port is None or not _may_have(port, said.address, said.mac):
            return
        others = self._claimants(port.network, said.address) - {port.id}
        if said.address in self._claimed(port.id) and not others:
            return
        log.info("endpoint claims an address", port=port.id, address=said.address)
        # Who has it now is no news later; only another one is.
        self._rivals[(port.network, said.address)] = {
            endpoint.port
            for endpoint in view.all(Endpoint)
            if endpoint.network == port.network and said.address in endpoint.ips
        }
        self._engine.change(
            [
                *(self._without(other, {said.address}) for other in sorted(others)),
                _claim(port.id, self._claimed(port.id) | {said.address}),
            ]
        )

    def _look(self, dirty: set[Key]) -> None:
        """Claimed addresses that another host's endpoint came to have, and ports whose pairs changed."""
        if not self._engine.view.count(Claim):
            self._rivals.clear()
            return
        lost: dict[str, set[str]] = {}
        for key in dirty:
            if key.kind == "station":
                for loser, address in self._lost_to(key.id):
                    log.info("address is claimed by an endpoint elsewhere", port=loser, address=address)
                    lost.setdefault(loser, set()).add(address)
            elif key.kind == "port" and (port := self._engine.view.get(Port, key.id)) is not None:
                ended = {each for each in self._claimed(key.id) if not _may_have(port, each, None)}
                if ended:
                    lost.setdefault(key.id, set()).update(ended)
        if lost:
            self._engine.change([self._without(loser, addresses) for loser, addresses in lost.items()])

    def _lost_to(self, rival: str) -> list[tuple[str, str]]:
        """(own port, address) that an endpoint of another host was announced with after the port was."""
        view = self._engine.view
        station = view.station(rival)
        lost = []
        for port, address in self._all():
            rivals = self._rivals.setdefault((port.network, address), set())
            has_it = (
                station is not None
                and station.ofport is None
                and station.network == port.network
                and address in station.ips
            )
            if not has_it:
                rivals.discard(rival)
            elif rival not in rivals:
                rivals.add(rival)
                if self._is_announced(port.id, address):
                    lost.append((port.id, address))
        return lost

    def _all(self) -> Iterator[tuple[Port, str]]:
        """Own ports with each address that they claim."""
        view = self._engine.view
        for claim in view.all(Claim):
            if (port := view.get(Port, claim.port)) is not None:
                yield from ((port, address) for address in claim.ips)

    def _is_announced(self, port: str, address: str) -> bool:
        """Whether the plane has brought back what this host said."""
        announced = self._engine.view.get(Endpoint, port)
        return announced is not None and announced.host == self._engine.view.host and address in announced.ips

    def _claimants(self, network: str, address: str) -> set[str]:
        """Own ports that claim an address of a network."""
        return {port.id for port, claimed in self._all() if (port.network, claimed) == (network, address)}

    def _claimed(self, port: str) -> set[str]:
        claim = self._engine.view.get(Claim, port)
        return set() if claim is None else set(claim.ips)

    def _without(self, port: str, ended: set[str]) -> Change:
        return _claim(port, self._claimed(port) - ended)


def _claim(port: str, addresses: set[str]) -> Change:
    return Change(Claim, port, Claim(port, tuple(sorted(addresses))) if addresses else None)


def _may_have(port: Port, address: str, mac: str | None) -> bool:
    """Whether an address pair is this address alone, and for this MAC (None: for any)."""
    alone = f"{address}/128" if ":" in address else f"{address}/32"
    return any(pair.prefix == alone and mac in (None, pair.mac or port.mac) for pair in port.address_pairs)
