"""The last view, on disk and back: which facets are kept, and as what.

Kept is what others said (intent and reach) and what this host numbered or was told by its endpoints. Not kept
is what the switch says of itself, because the switch is always asked anew.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec
import structlog

from plait.model import codec
from plait.model.checks import Invalid
from plait.model.entities import Endpoint, Entity, LiveHost, Network, Port
from plait.model.view import Change, Facet, GroupNumber, Subscription

log = structlog.get_logger("plait.lastview")

_ENTITIES: dict[str, type[Port] | type[Endpoint] | type[Network] | type[LiveHost]] = {
    "port": Port,
    "endpoint": Endpoint,
    "network": Network,
    "host": LiveHost,
}
_PREFIXES: dict[type[Facet], str] = {kind: prefix for prefix, kind in _ENTITIES.items()}
_OWN: dict[str, type[GroupNumber] | type[Subscription]] = {"group": GroupNumber, "subscription": Subscription}
_OWN_PREFIXES: dict[type[Facet], str] = {kind: prefix for prefix, kind in _OWN.items()}


def to_disk(changes: Iterable[Change]) -> Iterator[tuple[str, bytes | None]]:
    """The records of those changes that are kept."""
    for change in changes:
        if (own := _OWN_PREFIXES.get(change.facet)) is not None:
            yield f"{own}/{change.id}", None if change.value is None else msgspec.json.encode(change.value)
        elif (prefix := _PREFIXES.get(change.facet)) is not None:
            yield (
                f"{prefix}/{change.id}",
                codec.encode(change.value) if isinstance(change.value, Entity) else None,
            )


def from_disk(records: Mapping[str, bytes]) -> Iterator[Change]:
    """The changes that bring a fresh view to where it was; what can't be read is left out, and said."""
    for key, value in records.items():
        prefix, _, id = key.partition("/")
        try:
            if prefix in _OWN:
                yield Change(_OWN[prefix], id, msgspec.json.decode(value, type=_OWN[prefix]))
            elif prefix in _ENTITIES:
                yield Change(_ENTITIES[prefix], id, codec.decode(_ENTITIES[prefix], value))
            else:
                raise Invalid(f"no facet is called {prefix!r}")
        except (Invalid, msgspec.DecodeError) as error:
            log.warning("record of the last view is unreadable and left out", record=key, reason=str(error))
