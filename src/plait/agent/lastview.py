"""The last view, on disk and back: which facets are kept, and as what.

Kept is what others said (intent and reach) and what this host numbered or was told by its endpoints. Not kept
is what the switch says of itself, because the switch is always asked anew.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec
import structlog

from plait.model import codec
from plait.model.checks import Invalid
from plait.model.entities import Endpoint, Entity, LiveHost, Network, Port, Subnet
from plait.model.facets import Change, Claim, Facet, Number, Subscription
from plait.model.policy import AddressEntry, Group, Rule
from plait.model.routers import Peering, Router, RouterInterface

log = structlog.get_logger("plait.lastview")

_KINDS: dict[str, type[Facet]] = {
    "port": Port,
    "endpoint": Endpoint,
    "network": Network,
    "subnet": Subnet,
    "host": LiveHost,
    "router": Router,
    "interface": RouterInterface,
    "peering": Peering,
    "group": Group,
    "rule": Rule,
    "address": AddressEntry,
    "number": Number,
    "subscription": Subscription,
    "claim": Claim,
}
_PREFIXES = {kind: prefix for prefix, kind in _KINDS.items()}


def to_disk(changes: Iterable[Change]) -> Iterator[tuple[str, bytes | None]]:
    """The records of those changes that are kept."""
    for change in changes:
        if (prefix := _PREFIXES.get(change.facet)) is not None:
            yield f"{prefix}/{change.id}", None if change.value is None else _encode(change.value)


def from_disk(records: Mapping[str, bytes]) -> Iterator[Change]:
    """The changes that bring a fresh view to where it was; what can't be read is left out, and said."""
    for key, value in records.items():
        prefix, _, id = key.partition("/")
        try:
            if prefix not in _KINDS:
                raise Invalid(f"no facet is called {prefix!r}")
            yield Change(_KINDS[prefix], id, _decode(_KINDS[prefix], value))
        except (Invalid, msgspec.DecodeError) as error:
            log.warning("record of the last view is unreadable and left out", record=key, reason=str(error))


def _encode(facet: Facet) -> bytes:
    return codec.encode(facet) if isinstance(facet, Entity) else msgspec.json.encode(facet)


def _decode(kind: type[Facet], data: bytes) -> Facet:
    if issubclass(kind, Entity):
        return codec.decode(kind, data)
    return msgspec.json.decode(data, type=kind)
