"""What frontends call: wishes checked, claimed and written whole, whoever else is writing."""

from plait.intent.audit import audit
from plait.intent.errors import Full, IntentError, InUse, NotFound, NotUp, Stale, Taken
from plait.intent.intent import Intent
from plait.intent.port_spec import PortSpec
from plait.intent.surroundings import Clash

__all__ = [
    "Clash",
    "Full",
    "InUse",
    "Intent",
    "IntentError",
    "NotFound",
    "NotUp",
    "PortSpec",
    "Stale",
    "Taken",
    "audit",
]
