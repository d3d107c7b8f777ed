"""The contract of a reach plane: it carries (network, MAC, IPs) -> host from the owner to those that care.

Rule 1: the owner of an endpoint is the only writer of its record.
Rule 2: two owners of one port: the higher `sequence` wins, at equal sequence the host with the greater name.
Rule 3: a host that is declared dead has its endpoints withdrawn; one that returns has them back.
Rule 4: `InSync` comes once everything that stood at the time of asking has been told; nobody deletes before.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Protocol

import msgspec

from plait.model.entities import Endpoint


class Announced(msgspec.Struct, frozen=True, gc=False):
    """`endpoint` now lives at `endpoint.host`; replaces what was said of this port before."""

    endpoint: Endpoint


class Withdrawn(msgspec.Struct, frozen=True, gc=False):
    """The port lives nowhere that is known."""

    network: str
    port: str


class InSync(msgspec.Struct, frozen=True, gc=False):
    """All that was known of `network` has been told."""

    network: str


class Left(msgspec.Struct, frozen=True, gc=False):
    """`network` is not followed any more: all that was told of it is void.

    Should it be followed again, all of it is told again.
    """

    network: str


ReachEvent = Announced | Withdrawn | InSync | Left


class Interest:
    """The networks whose endpoints a host wants to hear of; written by the agent, followed by planes."""

    def __init__(self) -> None:
        self._networks: frozenset[str] = frozenset()
        self._changed = asyncio.Event()

    @property
    def networks(self) -> frozenset[str]:
        """Ids, as last set."""
        return self._networks

    def set(self, networks: frozenset[str]) -> None:
        """These and no others from now on."""
        if networks != self._networks:
            self._networks = networks
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()

    async def changed_from(self, seen: frozenset[str]) -> frozenset[str]:
        """Wait until the networks differ from `seen`, and return them."""
        while self._networks == seen:
            await self._changed.wait()
        return self._networks


class Reach(Protocol):
    """A plane. Its methods may raise `ReachUnavailable`; the caller asserts again what it announced."""

    async def announce(self, endpoint: Endpoint) -> None:
        """Tell that `endpoint` lives on this host. Announcing again what stands already costs nothing."""
        ...

    async def withdraw(self, endpoint: Endpoint) -> None:
        """Tell that `endpoint` no longer lives on this host; other hosts' records are not touched."""
        ...

    def events(self, interest: Interest) -> AsyncGenerator[ReachEvent, None]:
        """What is known of the networks of `interest`, then every change; leave it by `contextlib.aclosing`.

        For a network that leaves `interest` one `Left` comes, and then nothing of it: a listener that goes
        by this event, and not by `interest`, is right however often a network leaves and returns. A plane
        that can regain its carrier by itself does so: meanwhile all that was told stands, and afterwards only
        what differs is told. Raises `ReachUnavailable` when it can't go on; ask again then.
        """
        ...


class ReachUnavailable(Exception):
    """The plane has no connection to its carrier; the message names it."""
