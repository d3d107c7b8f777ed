"""Records of the store as facets: what can't be read is said once, and leaves what stood before."""

import structlog

from plait.model.checks import Invalid
from plait.model.codec import decode
from plait.model.entities import Network, Port, Subnet
from plait.model.facets import Change
from plait.model.policy import AddressEntry, Group, Rule
from plait.model.routers import Peering, Router, RouterInterface

log = structlog.get_logger("plait.intent")

Recorded = Port | Network | Subnet | Router | RouterInterface | Peering | Group | Rule | AddressEntry


class Records:
    """Decodes records; `refused` says which of them stand in the store unread, and why."""

    def __init__(self) -> None:
        self.refused: dict[str, str] = {}

    def change(self, kind: type[Recorded], id: str, value: bytes | None) -> Change | None:
        """What follows for the view from the record of that id; None: nothing."""
        if value is None:
            self.forget(kind, id)
            return Change(kind, id, None)
        name = f"{kind.kind} {id}"
        try:
            entity = decode(kind, value)
            if entity.id != id:
                raise Invalid(f"it speaks of {kind.kind} {entity.id!r}: write it under its own key")
        except Invalid as error:
            if self.refused.get(name) != str(error):
                self.refused[name] = str(error)
                log.error("record refused, what stood before is kept", record=name, reason=str(error))
            return None
        self.refused.pop(name, None)
        return Change(kind, id, entity)

    def forget(self, kind: type[Recorded], id: str) -> None:
        """The record is gone, or of no interest any more; what was wrong with it is said no longer."""
        self.refused.pop(f"{kind.kind} {id}", None)
