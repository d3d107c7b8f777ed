"""Groups and rules of tests, in force when they are returned, gone after the test."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import pytest

from plait.intent import IntentError
from plait.lab.lab import Lab
from plait.lab.waiting import wait_until
from plait.model.policy import Action, AddressGroup, Direction, Group, Rule

_numbers = count(1)

MakeGroup = Callable[..., Group]
MakeRule = Callable[..., Rule]
MakeAddressGroup = Callable[..., AddressGroup]


@pytest.fixture(params=(4, 6), ids=["v4", "v6"])
def family(request: pytest.FixtureRequest) -> int:
    """Each test that asks for it runs once for IPv4 and once for IPv6."""
    return int(request.param)


@pytest.fixture
def group(lab: Lab) -> Iterator[MakeGroup]:
    """Makes groups whose members do not reach each other by a rule of their own; removed after the test."""
    made: list[Group] = []

    def make(ingress: Action = Action.DENY, egress: Action = Action.ALLOW, *, isolated: bool = True) -> Group:
        name = f"group-{next(_numbers)}"
        made.append(
            lab.frontend.run(
                lambda intent: intent.groups.create(name, isolated=isolated, ingress=ingress, egress=egress)
            )
        )
        return made[-1]

    yield make
    # They refer to each other by rules: those go first.
    for each in made:
        for rule in lab.frontend.run(lambda intent, ref=each.id: intent.rules.list(ref)):
            with suppress(IntentError):
                lab.frontend.run(lambda intent, of=each.id, ref=rule.id: intent.rules.remove(of, ref))
    for each in made:
        with suppress(IntentError):
            lab.frontend.run(lambda intent, ref=each.id: intent.groups.delete(ref))


@pytest.fixture
def addresses(lab: Lab) -> Iterator[MakeAddressGroup]:
    """Makes address groups; removed after the test."""
    made: list[AddressGroup] = []

    def make(*prefixes: str) -> AddressGroup:
        name = f"addresses-{next(_numbers)}"
        made.append(lab.frontend.run(lambda intent: intent.address_groups.create(name, prefixes)))
        return made[-1]

    yield make
    for each in made:
        with suppress(IntentError):
            lab.frontend.run(lambda intent, ref=each.id: intent.address_groups.delete(ref))


@pytest.fixture
def rule(lab: Lab, addresses: MakeAddressGroup, group: MakeGroup) -> MakeRule:
    """Makes rules; one that is returned is in force on the hosts `on`."""

    def make(of: Group, direction: Direction, *, on: tuple[str, ...] = ("h1",), **words: Any) -> Rule:
        made = lab.frontend.run(lambda intent: intent.rules.add(of.id, direction, **words))
        in_force(lab, made, *on)
        return made

    return make


def in_force(lab: Lab, rule: Rule, *hosts: str) -> None:
    """Wait until the switches of these hosts have a rule."""
    for host in hosts:
        wait_until(lambda host=host: _has(lab, host, rule), f"{host} has rule {rule.name}")
        obeyed(lab, host)


def removed(lab: Lab, rule: Rule, *hosts: str) -> None:
    """Remove a rule, and wait until the switches of these hosts have it no more."""
    lab.frontend.run(lambda intent: intent.rules.remove(rule.group, rule.id))
    for host in hosts:
        wait_until(lambda host=host: _lacks(lab, host, rule), f"{host} has rule {rule.name} no more")
        obeyed(lab, host)


def settled(lab: Lab, host: str) -> bool:
    """Whether the switch of a host has all that its agent wants."""
    return lab.host(host).ask("status")["pending"] == 0


def obeyed(lab: Lab, host: str) -> None:
    """Wait until packets obey the flows that the switch has.

    What it keeps of older ones it goes through after it has confirmed a change (its revalidators).
    """
    lab.host(host).switch.appctl("revalidator/wait")


def _has(lab: Lab, host: str, rule: Rule) -> bool:
    return rule.id in lab.host(host).ask("rule_counters")["rules"] and settled(lab, host)


def _lacks(lab: Lab, host: str, rule: Rule) -> bool:
    return rule.id not in lab.host(host).ask("rule_counters")["rules"] and settled(lab, host)
