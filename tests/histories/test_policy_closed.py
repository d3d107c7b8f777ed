"""Whatever is known in whatever order: nothing leads around the policy of a filtered port."""

from hypothesis import given, settings
from hypothesis import strategies as st

from plait.compile import compile_all
from plait.flows.flow import Flow
from plait.flows.pipeline import Table
from plait.flows.registers import POLICY
from plait.model.entities import Network, Port
from plait.model.facets import Attachment, Change, Key, Number
from plait.model.policy import Group
from plait.model.routers import RouterInterface
from plait.model.view import POLICY as POLICIES
from plait.model.view import View
from plait.wire.openflow.actions import decode_actions, decode_instructions
from plait.wire.openflow.mods import BUCKET
from plait.wire.openflow.oxm import decode_match
from plait.wire.openflow.parsed import Action, ApplyActions, Ct, Output, SetField

from .worlds import ME, full_world, histories


def heard(history: list[list[Change]], *, begins_full: bool) -> View:
    view = View(ME)
    for batch in [full_world(), *history] if begins_full else history:
        view.apply(batch)
    return view


def filtered(view: View) -> dict[int, set[str]]:
    """What is known of the ports at each number: the number of their policy, or that it is not whole."""
    policies: dict[int, set[str]] = {}
    for port in view.all(Port):
        station = view.station(port.id)
        if station is not None and station.ofport is not None:
            is_known = all(view.get(Group, group) for group in port.groups)
            number = view.get(Number, f"{POLICIES}/{station.policy}")
            known = str(number.number) if is_known and number is not None else "closed"
            policies.setdefault(station.ofport, set()).add(known if station.policy else "open")
    return policies


def actions_of(instructions: bytes) -> list[Action]:
    return [
        action
        for part in decode_instructions(instructions)
        if isinstance(part, ApplyActions)
        for action in part.actions
    ]


def policy_set(actions: list[Action]) -> str:
    """The number of the policy that these lead to."""
    numbers = [
        str(each.value) for each in actions if isinstance(each, SetField) and each.field == POLICY.field
    ]
    return numbers[-1] if numbers else "open"


@settings(max_examples=200, deadline=None)
@given(st.booleans(), histories)
def test_what_leads_in_and_out_of_a_port_leads_through_its_policy(
    begins_full: bool, history: list[list[Change]]
) -> None:
    view = heard(history, begins_full=begins_full)
    compiler = compile_all(view)
    policies = filtered(view)
    for key, entry in compiler.flows.items():
        flow = Flow(key, entry.instructions)
        actions = actions_of(flow.instructions)
        if flow.table == Table.CLASSIFY and entry.owner.kind == "station":
            attachment = view.get(Attachment, entry.owner.id)
            assert attachment is not None
            assert decode_match(flow.match)["in_port"] == attachment.ofport
            assert policy_set(actions) in policies[attachment.ofport], flow
        ofport = _out_port(actions)
        if flow.table == Table.L2 and ofport is not None:
            assert (policy_set(actions) if _is_tracked(actions) else "open") in policies[ofport], flow
    for entry in compiler.groups.values():
        for actions in _buckets(entry.group.buckets):
            outputs = [each.port for each in actions if isinstance(each, Output)]
            ofport = _out_port(actions)
            if outputs:
                assert "open" in policies[outputs[0]], entry
            elif ofport is not None:
                assert _is_tracked(actions)
                assert policy_set(actions) in policies[ofport], entry


def _out_port(actions: list[Action]) -> int | None:
    ports = [each.value for each in actions if isinstance(each, SetField) and each.field == "reg1"]
    return ports[-1] if ports else None


def _is_tracked(actions: list[Action]) -> bool:
    return any(isinstance(each, Ct) and each.table == Table.INGRESS_RULES for each in actions)


def _buckets(data: bytes) -> list[list[Action]]:
    buckets, offset = [], 0
    while offset < len(data):
        length = int.from_bytes(data[offset : offset + 2], "big")
        buckets.append(list(decode_actions(data[offset + BUCKET.size : offset + length])))
        offset += length
    return buckets


def test_a_network_that_is_joined_and_not_known_yet_closes_no_port() -> None:
    """Its id comes first, so that one day it gives its name to all that it is joined with."""
    view = View(ME)
    view.apply(full_world())
    ways = [flow for flow in compile_all(view).flows if flow[0] in (Table.CLASSIFY, Table.L2)]
    interface = RouterInterface(
        router="r1",
        network="a-first-one",
        subnet="s9",
        prefix="10.9.0.0/24",
        address="10.9.0.1",
        mac="02:00:00:00:09:01",
    )
    view.apply([Change(RouterInterface, interface.id, interface)])
    assert set(ways) <= compile_all(view).flows.keys()
    before = view.derived(Key("domain", "n1"))
    view.apply([Change(Network, "a-first-one", Network(id="a-first-one", name="a", vni=9))])
    assert (before, view.derived(Key("domain", "n1"))) == ("n1", "a-first-one")
    assert set(ways) <= compile_all(view).flows.keys()
