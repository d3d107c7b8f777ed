"""Would a connection pass, and what decides? Answered from what stands, without a packet and without flows.

Little is read (`looking.py`), so it takes as long in a network of ten thousand ports as in one of two.
"""

from collections.abc import Iterable
from ipaddress import ip_address

import msgspec

from plait.intent import names
from plait.intent.errors import IntentError
from plait.intent.looking import Looking, resolve_target
from plait.intent.stored_view import Stored
from plait.intent.weighing import Passage, Weighing
from plait.model import checks
from plait.model.entities import Port
from plait.model.policy import Protocol
from plait.model.verdict import Attempt
from plait.store.api import Store

_ECHO = {4: 8, 6: 128}


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is to pass. Without addresses the first that both ends have of one IP version are taken."""

    protocol: Protocol = Protocol.ICMP
    number: int = 0
    from_address: str | None = None
    to_address: str | None = None


class NoAddress(IntentError):
    """An end does not have the address that is asked about."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `reason`: why it does not pass; `back` is of who answers, if it is known who does."""

    source: Port
    target: Port | None
    attempt: Attempt | None
    there: Passage | None
    back: Passage | None
    reason: str
    notes: tuple[str, ...]
    stored: Stored

    @property
    def passes(self) -> bool:
        return not self.reason


async def why(store: Store, project: str, source: str, target: str, question: Question) -> Answer:
    """Ask about `question` between port `source` and `target`, a port or an address.

    Raises NotFound, Invalid, NoAddress, StoreError.
    """
    sender = (await names.resolve(store, Port, project, source))[0]
    receiver, address = await resolve_target(store, project, target)
    attempt = _attempt(sender, receiver, address, question)
    looking = Looking(store)
    await looking.at([sender] if receiver is None else [sender, receiver])
    if attempt is not None:
        await looking.between(sender, attempt.source, attempt.target)
    unready = await looking.unready()
    return _answer(looking.reading.stored(), unready, sender, receiver, attempt)


def _attempt(sender: Port, receiver: Port | None, address: str, question: Question) -> Attempt | None:
    """What is tried; None if there are no two addresses of one IP version."""
    own = _chosen(sender, sender.ips, question.from_address)
    theirs = [address] if receiver is None else _chosen(receiver, receiver.ips, question.to_address)
    pairs = [(one, other) for one in own for other in theirs if (":" in one) == (":" in other)]
    if not pairs:
        return None
    is_icmp = question.protocol is Protocol.ICMP
    one, other = pairs[0]
    return Attempt(
        source=one,
        target=other,
        protocol=question.protocol,
        number=question.number,
        icmp_type=_ECHO[ip_address(other).version] if is_icmp else 0,
    )


def _chosen(port: Port, addresses: Iterable[str], wanted: str | None) -> list[str]:
    """The addresses of an end that come into question. Raises NoAddress, Invalid."""
    if wanted is None:
        return list(addresses)
    address = checks.ip(wanted)
    is_allowed = str(address) in port.ips or any(
        address in checks.prefix(pair.prefix) for pair in port.address_pairs
    )
    if not is_allowed:
        has = ", ".join(port.ips) or "none"
        raise NoAddress(f"port {port.name!r} does not have {address}", f"choose one that it has: {has}")
    return [str(address)]


def _answer(
    stored: Stored, unready: dict[str, str], sender: Port, receiver: Port | None, attempt: Attempt | None
) -> Answer:
    """Weigh both directions."""
    there, back, notes = None, None, list[str]()
    if attempt is None:
        reason = _no_common_address(sender, receiver)
    else:
        weighing = Weighing(stored, unready)
        there = weighing.request(sender, attempt)
        notes += [there.hop.note] if there.hop.note else []
        if len(there.way.hops) > 1:
            notes.append("one of several next hops, chosen by a hash: what is said holds for all of them")
        reason = there.why_not or _elsewhere(there, receiver)
        answerers = [each.port for each in there.arrivals if attempt.target in each.port.ips]
        if not reason and answerers:
            back = weighing.answer(answerers[0], attempt)
            reason = f"its answer does not come back: {back.why_not}" if not back.passes else ""
        elif not reason and not there.way.is_answered:
            notes.append("it is handed on from there; what comes back is not known")
    return Answer(
        source=sender,
        target=receiver,
        attempt=attempt,
        there=there,
        back=back,
        reason=reason,
        notes=tuple(notes),
        stored=stored,
    )


def _no_common_address(sender: Port, receiver: Port | None) -> str:
    if receiver is None:
        return f"port {sender.name!r} has no address of that IP version: give it one"
    return f"ports {sender.name!r} and {receiver.name!r} have no addresses of the same IP version"


def _elsewhere(there: Passage, receiver: Port | None) -> str:
    if receiver is None or any(each.port.id == receiver.id for each in there.arrivals):
        return ""
    others = ", ".join(repr(each.port.name) for each in there.arrivals) or "the router itself"
    return f"it reaches {others} instead of {receiver.name!r}"
