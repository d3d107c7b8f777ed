"""What a benchmark asks of a network, Plait's or a peer's."""

from typing import Protocol

from plait.lab.endpoint import Endpoint
from plait.lab.lab import Lab


class Contender(Protocol):
    """A network in a lab of its own with two hosts."""

    name: str
    lab: Lab

    def grow(self, ports: int) -> None:
        """Have so many background ports, confirmed by both hosts; the first call also makes the networks."""
        ...

    def create(self, first: int, ports: int) -> None:
        """Say that background ports `first` ... exist and where they live."""
        ...

    def confirmed(self, ports: int) -> None:
        """Return once both hosts' switches have all that follows from `ports` background ports."""
        ...

    def attach(self, endpoint: Endpoint) -> None:
        """Create the port of a container and plug it in; returns without waiting for any effect."""
        ...

    def attach_all(self, endpoints: list[Endpoint]) -> None:
        """As `attach`, for many at once; returns when all hosts have confirmed them."""
        ...

    def detach(self, endpoint: Endpoint) -> None:
        """Unplug it and delete its port."""
        ...

    def restart(self, host: str) -> None:
        """Kill what runs the network on `host` and start it again; returns when it says that it is done."""
        ...
