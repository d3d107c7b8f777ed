"""The pure half of the vswitch: rows in, operations out."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.model.entities import Transport
from plait.net.vswitch import (
    Attachment,
    PlugFailure,
    PlugRequest,
    PortIo,
    SwitchChange,
    SwitchConfig,
    SwitchMisconfigured,
    TunnelPort,
)
from plait.net.vswitch.index import RECORDED_IFINDEX, SwitchIndex
from plait.net.vswitch.plan import PORT_NUMBERS, PlugPlan, plan_bridge, plan_plug, plan_unplug
from plait.net.vswitch.report import Report
from plait.wire.ovsdb.replica import Row, RowChange
from plait.wire.ovsdb.values import Uuid

VXLAN = TunnelPort(Transport.VXLAN, "192.0.2.1")
CONFIG = SwitchConfig("br-int", tunnels=(VXLAN,))


class Rows:
    """A database written by hand: what a monitor would tell of it."""

    def __init__(self) -> None:
        self.index = SwitchIndex()
        self.bridges: dict[str, frozenset[Uuid]] = {}
        self.index.apply([RowChange("Open_vSwitch", Uuid("root"), None, {})])

    def bridge(self, name: str, **columns: Any) -> None:
        self.bridges[name] = frozenset()
        row = {"name": name, "datapath_type": "netdev", "datapath_id": "0000", **columns}
        self.index.apply([RowChange("Bridge", Uuid(name), None, row)])
        self.port(name, name, type="internal", ofport=65534, external_ids={})

    def port(self, bridge: str, name: str, **columns: Any) -> list[Any]:
        uuid, port = Uuid(f"i-{name}"), Uuid(f"p-{name}")
        row: Row = {"name": name, **columns}
        old = self.index.bridges[bridge][1]
        ports = self.bridges[bridge] = self.bridges[bridge] | {port}
        # The bridge first: rows of a transaction come in any order.
        return self.index.apply(
            [
                RowChange("Bridge", Uuid(bridge), old, {**old, "ports": ports}),
                RowChange("Port", port, None, {"name": name, "interfaces": uuid}),
                RowChange("Interface", uuid, None, row),
            ]
        )

    def owned(self, bridge: str, name: str, port_id: str, ofport: int, **columns: Any) -> list[Any]:
        ids = {"plait": "owned", "iface-id": port_id}
        return self.port(bridge, name, ofport=ofport, ofport_request=ofport, external_ids=ids, **columns)


@pytest.fixture
def rows() -> Rows:
    rows = Rows()
    rows.bridge("br-int", fail_mode="secure", other_config={"disable-in-band": "true"})
    return rows


def inserted(operations: Any, table: str) -> list[dict[str, Any]]:
    inserts = [operation for operation in operations if operation["op"] == "insert"]
    return [operation["row"] for operation in inserts if operation["table"] == table]


def plug(rows: Rows, *requests: PlugRequest) -> Any:
    return plan_plug(rows.index, "br-int", requests)


def bridge(rows: Rows, config: SwitchConfig = CONFIG, datapath_type: str = "netdev") -> Any:
    return plan_bridge(rows.index, config, datapath_type=datapath_type, hwaddr="02:00:00:00:00:01")


def test_a_bridge_that_is_right_needs_nothing(rows: Rows) -> None:
    rows.port(
        "br-int", "plait-vxlan", type="vxlan", options=VXLAN.options, ofport=65001, ofport_request=65001,
        external_ids={"plait": "owned"},
    )  # fmt: skip

    assert bridge(rows) == []


def test_a_bridge_of_somebody_is_corrected_but_not_claimed(rows: Rows) -> None:
    rows.bridge("br-own", protocols="OpenFlow10", other_config={"hwaddr": "x"})

    (update,) = bridge(rows, SwitchConfig("br-own"), "system")

    assert update["row"] == {
        "datapath_type": "system",
        "fail_mode": "secure",
        "protocols": ["set", update["row"]["protocols"][1]],
        "other_config": ["map", [["hwaddr", "x"], ["disable-in-band", "true"]]],
    }
    assert set(update["row"]["protocols"][1]) == {"OpenFlow10", "OpenFlow14"}


def test_a_bridge_with_a_controller_is_left_to_it(rows: Rows) -> None:
    rows.bridge("br-own", controller=Uuid("c"))

    with pytest.raises(SwitchMisconfigured, match="ovs-vsctl del-controller br-own"):
        bridge(rows, SwitchConfig("br-own"))


def test_a_tunnel_that_changed_is_corrected_and_one_that_is_not_wanted_goes(rows: Rows) -> None:
    owned = {"plait": "owned"}
    rows.port("br-int", "plait-vxlan", type="vxlan", options={"local_ip": "192.0.2.9"}, external_ids=owned)
    rows.port("br-int", "plait-gre", type="gre", options={}, external_ids=owned)

    update, mutate = bridge(rows)

    assert update["row"]["options"][1] == [["remote_ip", "flow"], ["key", "flow"], ["local_ip", "192.0.2.1"]]
    assert mutate["mutations"] == [["ports", "delete", ["set", [["uuid", "p-plait-gre"]]]]]


def test_a_tunnels_name_that_is_taken_is_named(rows: Rows) -> None:
    rows.port("br-int", "plait-vxlan", type="vxlan")

    with pytest.raises(SwitchMisconfigured, match="ovs-vsctl del-port br-int plait-vxlan"):
        bridge(rows)
    with pytest.raises(SwitchMisconfigured, match="plait-vxlan"):
        bridge(rows, SwitchConfig("br-new", tunnels=(VXLAN,)))


def test_a_bridge_can_not_have_the_name_of_a_port(rows: Rows) -> None:
    rows.port("br-int", "veth0")

    with pytest.raises(SwitchMisconfigured, match="choose another bridge name"):
        bridge(rows, SwitchConfig("veth0"))


def test_a_batch_gets_the_lowest_free_numbers_and_one_change_of_the_bridge(rows: Rows) -> None:
    rows.owned("br-int", "veth1", "a", 1)
    rows.port("br-int", "other", ofport=3)
    rows.port("br-int", "asks", ofport_request=4)

    plan = plug(rows, *(PlugRequest(f"p{number}", f"tap{number}", 1450) for number in range(3)))

    interfaces = inserted(plan.operations, "Interface")
    assert [row["ofport_request"] for row in interfaces] == [2, 5, 6]
    assert interfaces[0] == {
        "name": "tap0", "ofport_request": 2, "mtu_request": 1450,
        "external_ids": ["map", [["plait", "owned"], ["iface-id", "p0"]]],
    }  # fmt: skip
    assert [operation["op"] for operation in plan.operations].count("mutate") == 1
    assert plan.failures == ()


def test_a_full_bridge_says_so_and_attaches_what_it_can(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    space = type(PORT_NUMBERS)(1, 2)
    monkeypatch.setattr("plait.net.vswitch.plan.PORT_NUMBERS", space)

    plan = plug(rows, *(PlugRequest(f"p{number}", f"tap{number}") for number in range(4)))

    assert [row["name"] for row in inserted(plan.operations, "Interface")] == ["tap0", "tap1"]
    assert [failure.port_id for failure in plan.failures] == ["p2", "p3"]
    assert "all 2 OpenFlow port numbers of bridge 'br-int' are in use" in plan.failures[0].reason


def test_what_is_plugged_in_already_needs_nothing(rows: Rows) -> None:
    rows.owned("br-int", "veth1", "a", 1, mtu_request=1450)

    assert plug(rows, PlugRequest("a", "veth1", 1450)).operations == ()
    (update,) = plug(rows, PlugRequest("a", "veth1", 1400)).operations
    assert update["row"] == {"mtu_request": 1400}


def test_a_device_is_plugged_in_to_be_read_as_asked_and_opened_anew_only_where_that_differs(
    rows: Rows,
) -> None:
    rows.owned("br-int", "packet", "p", 1, mtu_request=1450)
    rows.owned("br-int", "afxdp", "x", 2, mtu_request=1450, type="afxdp-nonpmd")

    def asked(io: PortIo, *, mtu_bytes: int = 1450) -> Any:
        devices = {"n": "new", "p": "packet", "x": "afxdp"}
        return plug(rows, *(PlugRequest(id, device, mtu_bytes, io) for id, device in devices.items()))

    by_afxdp, by_packet = asked(PortIo.AFXDP), asked(PortIo.PACKET, mtu_bytes=1400)

    (new,) = inserted(by_afxdp.operations, "Interface")
    assert new["type"] == "afxdp-nonpmd"
    assert "type" not in inserted(by_packet.operations, "Interface")[0]
    updates = [
        [(each["where"][0][2], each["row"]) for each in plan.operations if each["op"] == "update"]
        for plan in (by_afxdp, by_packet)
    ]
    assert updates == [
        [("packet", {"type": "afxdp-nonpmd"})],
        [("packet", {"mtu_request": 1400}), ("afxdp", {"type": "", "mtu_request": 1400})],
    ]


def test_how_others_have_their_devices_read_is_left_alone(rows: Rows) -> None:
    for name, kind in (("theirs", ""), ("fast", "afxdp"), ("own", "tap")):
        rows.port("br-int", name, ofport=9, type=kind, external_ids={"iface-id": name})

    for io in PortIo:
        assert plug(rows, *(PlugRequest(name, name, 9000, io) for name in ("theirs", "fast", "own"))) == (
            PlugPlan((), ())
        )


def test_what_af_xdp_can_not_carry_is_refused_and_what_stands_stays(rows: Rows) -> None:
    rows.owned("br-int", "veth1", "a", 1, mtu_request=8950)
    rows.owned("br-int", "veth2", "b", 2, mtu_request=1450, type="afxdp-nonpmd")
    ids = {"a": "veth1", "b": "veth2", "c": "veth3"}

    too_large = plug(rows, *(PlugRequest(id, device, 3499, PortIo.AFXDP) for id, device in ids.items()))
    fits = plug(rows, PlugRequest("c", "veth3", 3498, PortIo.AFXDP))
    by_packet = plug(rows, PlugRequest("c", "veth3", 9000, PortIo.PACKET))

    assert too_large.operations == ()
    assert [failure.port_id for failure in too_large.failures] == ["a", "b", "c"]
    assert "its MTU of 3499 bytes is too large for AF_XDP" in too_large.failures[0].reason
    assert fits.failures == by_packet.failures == ()


def test_a_switch_says_whether_it_can_read_by_af_xdp(rows: Rows) -> None:
    assert not rows.index.can_read_by(PortIo.AFXDP)
    assert rows.index.can_read_by(PortIo.PACKET)

    kinds = frozenset({"internal", "afxdp", "afxdp-nonpmd"})
    rows.index.apply([RowChange("Open_vSwitch", Uuid("root"), {}, {"iface_types": kinds})])

    assert rows.index.can_read_by(PortIo.AFXDP)


@pytest.mark.parametrize("kind", ["", "afxdp-nonpmd"])
def test_a_device_that_was_exchanged_or_deleted_is_noticed_however_it_is_read(rows: Rows, kind: str) -> None:
    rows.owned("br-int", "veth1", "a", 1, type=kind, ifindex=7)
    assert rows.index.interfaces["veth1"].is_unrecorded
    port = {"name": "veth1", "interfaces": Uuid("i-veth1"), "external_ids": {RECORDED_IFINDEX: "6"}}

    rows.index.apply([RowChange("Port", Uuid("p-veth1"), None, port)])

    assert rows.index.interfaces["veth1"].is_exchanged
    rows.owned("br-int", "veth2", "b", 2, type=kind, ifindex=0)
    assert rows.index.interfaces["veth2"].is_gone


def test_a_port_that_has_another_device_now_changes_it_in_one_transaction(rows: Rows) -> None:
    rows.owned("br-int", "veth1", "a", 1)

    *_, mutate = plug(rows, PlugRequest("a", "veth2")).operations

    assert [mutation[1] for mutation in mutate["mutations"]] == ["delete", "insert"]


@pytest.mark.parametrize(
    ("port_id", "device", "words"),
    [
        ("a", "on-other", "is on bridge 'br-other'"),
        ("a", "foreign", "is on 'br-int' for something else"),
        ("b", "veth1", "is port 'a': unplug that first"),
        ("taken", "veth9", "'standard', not added by Plait, is this port already"),
        ("a", "bond0", "choose another device"),
        ("a", "a/b", "not a Linux interface name"),
        ("a", "", "not a Linux interface name"),
        ("a", "sixteen-letters-", "not a Linux interface name"),
    ],
)
def test_a_request_that_can_not_be_met_is_refused_alone(
    rows: Rows, port_id: str, device: str, words: str
) -> None:
    rows.bridge("br-other")
    rows.port("br-other", "on-other")
    rows.port("br-int", "foreign", ofport=7)
    rows.owned("br-int", "veth1", "a", 1)
    rows.port("br-int", "standard", ofport=8, external_ids={"iface-id": "taken"})
    rows.index.apply([RowChange("Port", Uuid("bond"), None, {"name": "bond0", "interfaces": frozenset()})])
    old = rows.index.bridges["br-int"][1]
    bonded = {**old, "ports": rows.bridges["br-int"] | {Uuid("bond")}}
    rows.index.apply([RowChange("Bridge", Uuid("br-int"), old, bonded)])

    plan = plug(rows, PlugRequest(port_id, device), PlugRequest("fine", "tap0"))

    assert [row["name"] for row in inserted(plan.operations, "Interface")] == ["tap0"]
    (failure,) = plan.failures
    assert (failure.port_id, failure.device) == (port_id, device)
    assert words in failure.reason


def test_the_same_device_or_port_twice_in_a_batch_is_refused_the_second_time(rows: Rows) -> None:
    plan = plug(rows, PlugRequest("a", "tap0"), PlugRequest("b", "tap0"), PlugRequest("a", "tap1"))

    assert len(inserted(plan.operations, "Interface")) == 1
    assert [type(failure) for failure in plan.failures] == [PlugFailure, PlugFailure]


def test_an_interface_that_follows_the_standard_is_an_attachment_and_never_ours(rows: Rows) -> None:
    rows.port("br-int", "docker0p", ofport=9, external_ids={"iface-id": "theirs"})

    assert plug(rows, PlugRequest("theirs", "docker0p", 1400)).operations == ()
    assert plan_unplug(rows.index, "br-int", ["theirs", "unknown"]) == []
    assert Report(rows.index, "br-int").attachments.current == {"theirs": Attachment("theirs", "docker0p", 9)}


def test_unplugging_many_is_one_change_of_the_bridge(rows: Rows) -> None:
    for number in range(1, 4):
        rows.owned("br-int", f"veth{number}", f"p{number}", number)

    (mutate,) = plan_unplug(rows.index, "br-int", ["p1", "p3", "p1"])

    assert mutate["mutations"] == [["ports", "delete", ["set", [["uuid", "p-veth1"], ["uuid", "p-veth3"]]]]]


def test_of_a_port_that_came_and_went_between_two_looks_only_the_device_is_told(rows: Rows) -> None:
    report = Report(rows.index, "br-int")
    report.next_change()
    report.take(rows.owned("br-int", "veth1", "a", 1))
    row = {"name": "veth1"}
    report.take(rows.index.apply([RowChange("Interface", Uuid("i-veth1"), row, None)]))

    assert report.next_change() == SwitchChange(released=("veth1",))


def test_a_number_that_changed_is_told_as_the_newest_only(rows: Rows) -> None:
    report = Report(rows.index, "br-int")
    first = report.next_change()
    for ofport in (5, 6):
        report.take(rows.owned("br-int", "veth1", "a", ofport))

    change = report.next_change()

    assert first is not None
    assert first.bridge is not None
    assert change is not None
    assert change.attached == (Attachment("a", "veth1", 6),)
    assert report.next_change() is None


def test_two_interfaces_that_claim_one_port_are_a_problem_of_the_second(rows: Rows) -> None:
    rows.owned("br-int", "veth1", "a", 1)
    rows.port("br-int", "veth0", ofport=-1, external_ids={"iface-id": "a"})

    change = Report(rows.index, "br-int").next_change()

    assert change is not None
    assert change.attached == (Attachment("a", "veth1", 1),)
    assert [(problem.device, problem.port_id) for problem in change.problems] == [("veth0", "a")]


def test_an_interface_that_moves_to_a_port_of_another_bridge_is_found_there(rows: Rows) -> None:
    rows.bridge("br-other")
    rows.owned("br-int", "veth1", "a", 1)
    rows.port("br-other", "bond0", ofport=2)
    report = Report(rows.index, "br-int")
    report.next_change()
    moved, own = Uuid("i-veth1"), Uuid("i-bond0")
    before = {"name": "bond0", "interfaces": own}
    changes = [
        RowChange("Port", Uuid("p-bond0"), before, {**before, "interfaces": frozenset({moved, own})}),
        RowChange("Port", Uuid("p-veth1"), {"name": "veth1", "interfaces": moved}, None),
    ]

    report.take(rows.index.apply(changes))

    change = report.next_change()
    assert change is not None
    assert change.detached == ("a",)
    assert rows.index.interfaces["veth1"].bridge == "br-other"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["veth1", "veth2"]),
        st.sampled_from(["a", "b", None]),
        st.sampled_from([None, -1, 1, 2]),
        st.sampled_from([None, "no such device"]),
        st.booleans(),
    ),
    max_size=12,
)


@given(STEPS)
def test_what_is_told_adds_up_to_what_is(steps: list[Any]) -> None:
    rows = Rows()
    rows.bridge("br-int")
    report = Report(rows.index, "br-int")
    told: dict[str, Attachment] = {}
    for name, port_id, ofport, error, is_looked_at in steps:
        ids = {} if port_id is None else {"iface-id": port_id}
        columns = {"ofport": ofport, "error": error, "external_ids": ids}
        given_columns = {key: value for key, value in columns.items() if value is not None}
        report.take(rows.port("br-int", name, **given_columns))
        if is_looked_at:
            apply(told, report.next_change())
    apply(told, report.next_change())

    assert told == report.attachments.current == Report(rows.index, "br-int").attachments.current
    assert report.problems.current == Report(rows.index, "br-int").problems.current


def apply(told: dict[str, Attachment], change: SwitchChange | None) -> None:
    for port_id in change.detached if change else ():
        del told[port_id]
    for attachment in change.attached if change else ():
        told[attachment.port_id] = attachment
