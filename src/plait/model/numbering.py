"""Numbers of this host's own for what its view holds: what is new gets one, what is gone gives its back.

Compiling allocates nothing, so whoever changes a view calls `renumber` and applies what it says.
The same view and the same numbers before give the same numbers after.
"""

from collections.abc import Iterable, Iterator

from plait.model.facets import Change, Key, Number
from plait.model.numbers import Space, assign
from plait.model.view import CONJUNCTION, MULTICAST, POLICY, View

MULTICAST_GROUPS = Space(1, 0xFFFFFEFF)
"""OpenFlow group ids (OFPG_MAX)."""
POLICIES = Space(1, 0xFFFF)
CONJUNCTIONS = Space(1, 0xFFFFFFFE)


def renumber(view: View, dirty: Iterable[Key], *, is_complete: bool = True) -> list[Change]:
    """The numbers that change with what is dirty, those given back first. Raises SpaceFull.

    While the view is not complete nothing is given back: what has a number from before a restart may be yet
    to come, and gets the same one then. Who completes it calls `give_back`.
    """
    networks: set[str] = set()
    kinds: set[str] = set()
    for key in dirty:
        kinds.add(key.kind)
        if key.kind == "subscribers":
            networks.add(key.id)
    changes: list[Change] = []
    if networks:
        numbers = _of_space(view, MULTICAST)
        elsewhere = {owner for owner in numbers if owner.split("/", 1)[0] not in networks}
        wanted = {*elsewhere, *view.groups_wanted(networks), *(() if is_complete else numbers)}
        changes += _reassign(MULTICAST, MULTICAST_GROUPS, numbers, wanted, "OpenFlow group id")
    if "policy" in kinds:
        numbers = _of_space(view, POLICY)
        wanted = {*view.policies_wanted(), *(() if is_complete else numbers)}
        changes += _reassign(POLICY, POLICIES, numbers, wanted, "policy number")
    if "uses" in kinds:
        numbers = _of_space(view, CONJUNCTION)
        wanted = {*view.conjunctions_wanted(), *(() if is_complete else numbers)}
        changes += _reassign(CONJUNCTION, CONJUNCTIONS, numbers, wanted, "conjunction id")
    return changes


def give_back(view: View) -> list[Change]:
    """The numbers that nothing needs, in a view that has become complete."""
    networks = {owner.split("/", 1)[0] for owner in _of_space(view, MULTICAST)}
    subscribers = {Key("subscribers", network) for network in networks}
    return renumber(view, {Key("policy", ""), Key("uses", ""), *subscribers})


def _of_space(view: View, space: str) -> dict[str, int]:
    return {each.owner: each.number for each in view.all(Number) if each.space == space}


def _reassign(
    space: str, numbers: Space, current: dict[str, int], wanted: set[str], what: str
) -> Iterator[Change]:
    if current.keys() == wanted:
        return
    assigned = assign(numbers, current, wanted, what=what)
    for owner in sorted(current.keys() - wanted):
        yield Change(Number, f"{space}/{owner}", None)
    for owner in sorted(wanted - current.keys()):
        number = Number(space, owner, assigned[owner])
        yield Change(Number, number.id, number)
