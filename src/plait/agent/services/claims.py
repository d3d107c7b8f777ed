"""Who has an address that several ports may have (address pairs): whoever said so last.

Rule 1: a claim is a facet of the port, so that it is announced, compiled and kept on disk like its own
addresses.
Rule 2: between hosts the order is the reach plane's: who finds another port announced with the address after
itself was, gives it up. What is not announced yet will come later than what stands, so it stays.
"""

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
        self._holders: dict[str, frozenset[str]] = {}
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
        self._engine.change(
            [
                *(self._without(other, {said.address}) for other in sorted(others)),
                _claim(port.id, self._claimed(port.id) | {said.address}),
            ]
        )

    def _look(self, dirty: set[Key]) -> None:
        """Addresses that got another holder, and ports whose pairs changed."""
        changes = []
        for key in dirty:
            if key.kind == "address":
                changes += self._lost(key.id)
            elif key.kind == "port" and (claimed := self._claimed(key.id)):
                port = self._engine.view.get(Port, key.id)
                ended = {each for each in claimed if port is None or not _may_have(port, each, None)}
                if ended:
                    changes.append(self._without(key.id, ended))
        if changes:
            self._engine.change(changes)

    def _lost(self, at: str) -> list[Change]:
        """Claims that end, because somebody on another host was announced with the address later."""
        view = self._engine.view
        holders = frozenset(view.members("address", at))
        before = self._holders.get(at, frozenset())
        if holders:
            self._holders[at] = holders
        else:
            self._holders.pop(at, None)
        network, _, address = at.partition("/")
        if all(view.get(Port, id) is not None for id in holders - before):
            return []
        lost = []
        for id in self._claimants(network, address):
            announced = view.get(Endpoint, id)
            if announced is not None and announced.host == view.host and address in announced.ips:
                log.info("address is claimed by an endpoint elsewhere", port=id, address=address)
                lost.append(self._without(id, {address}))
        return lost

    def _claimants(self, network: str, address: str) -> set[str]:
        """Own ports that claim an address of a network."""
        members = self._engine.view.members("address", f"{network}/{address}")
        return {id for id in members if address in self._claimed(id)}

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
