"""Numbers of a host's own: given to what is new, given back by what is gone, kept by what stays."""

from plait.model.entities import FixedAddress, Port
from plait.model.facets import Attachment, Change, Number
from plait.model.numbering import give_back, renumber
from plait.model.policy import Action, Direction, Rule
from plait.model.view import CONJUNCTION, MULTICAST, POLICY, View


def port(id: str, groups: tuple[str, ...] = (), multicast: tuple[str, ...] = ()) -> list[Change]:
    value = Port(
        id=id,
        name=id,
        network="n",
        mac="02:00:00:00:00:01",
        addresses=(FixedAddress("s", "10.0.0.1"),),
        host="h1",
        groups=groups,
        multicast=multicast,
    )
    ofport = int(id.removeprefix("p"))
    return [Change(Port, id, value), Change(Attachment, id, Attachment(id, ofport))]


def rule(id: str, remote: str, priority: int = 0, action: Action = Action.ALLOW) -> Change:
    value = Rule(
        id=id,
        name=id,
        group="g",
        direction=Direction.INGRESS,
        remote_group=remote,
        priority=priority,
        action=action,
    )
    return Change(Rule, id, value)


def numbers(view: View, space: str) -> dict[str, int]:
    return {each.owner: each.number for each in view.all(Number) if each.space == space}


def hear(view: View, *changes: Change) -> None:
    view.apply(renumber(view, view.apply(changes)))


def test_ports_with_the_same_groups_share_a_policy_and_the_last_one_gives_its_number_back() -> None:
    view = View("h1")
    hear(view, *port("p1", ("a", "b")), *port("p2", ("a", "b")), *port("p3", ("a",)), *port("p4"))
    assert numbers(view, POLICY) == {"a": 1, "a,b": 2}
    hear(view, Change(Attachment, "p3", None))
    assert numbers(view, POLICY) == {"a,b": 2}
    hear(view, Change(Port, "p1", None), *port("p5", ("c",)))
    assert numbers(view, POLICY) == {"a,b": 2, "c": 1}


def test_rules_of_one_rank_share_the_conjunction_of_a_set() -> None:
    view = View("h1")
    hear(view, rule("r1", "web"), rule("r2", "web"), rule("r3", "web", 7), rule("r4", "web", 7, Action.DENY))
    assert numbers(view, CONJUNCTION) == {"web@0": 1, "web@14": 2, "web@15": 3}
    hear(view, Change(Rule, "r1", None), Change(Rule, "r3", None))
    assert numbers(view, CONJUNCTION) == {"web@0": 1, "web@15": 3}


def test_multicast_groups_of_other_networks_keep_their_numbers() -> None:
    view = View("h1")
    view.apply([Change(Number, "multicast/m/239.0.0.9", Number(MULTICAST, "m/239.0.0.9", 1))])
    hear(view, *port("p1", multicast=("239.0.0.1",)))
    assert numbers(view, MULTICAST) == {"m/239.0.0.9": 1, "n/239.0.0.1": 2}


def test_an_incomplete_view_gives_nothing_back_until_it_is_complete() -> None:
    view = View("h1")
    before = [
        Number(POLICY, "a", 1),
        Number(POLICY, "b", 2),
        Number(POLICY, "gone", 3),
        Number(MULTICAST, "n/239.0.0.1", 1),
        Number(MULTICAST, "n/239.0.0.2", 2),
        Number(CONJUNCTION, "web@0", 7),
    ]
    view.apply(Change(Number, each.id, each) for each in before)
    for changes in (port("p1", ("b",), ("239.0.0.2",)), port("p2", ("a",)), [rule("r1", "db")]):
        view.apply(renumber(view, view.apply(changes), is_complete=False))
    assert numbers(view, POLICY) == {"a": 1, "b": 2, "gone": 3}
    assert numbers(view, MULTICAST) == {"n/239.0.0.1": 1, "n/239.0.0.2": 2}
    assert numbers(view, CONJUNCTION) == {"web@0": 7, "db@0": 1}
    view.apply(give_back(view))
    assert numbers(view, POLICY) == {"a": 1, "b": 2}
    assert numbers(view, MULTICAST) == {"n/239.0.0.2": 2}
    assert numbers(view, CONJUNCTION) == {"db@0": 1}


def test_nothing_changes_where_nothing_is_new() -> None:
    view = View("h1")
    hear(view, *port("p1", ("a",)), rule("r1", "web"))
    assert renumber(view, view.apply(port("p6", ("a",)))) == []
