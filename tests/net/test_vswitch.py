"""The vswitch against a real Open vSwitch on the userspace datapath."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from plait.model.entities import Transport
from plait.net.appctl import AppctlError, appctl, control_socket
from plait.net.netlink import has_kernel_datapath
from plait.net.stream import Unreachable
from plait.net.vswitch import (
    Attachment,
    InterfaceProblem,
    PlugRequest,
    SwitchChange,
    SwitchConfig,
    SwitchMisconfigured,
    SwitchNotResponding,
    TunnelPort,
    UnderlayUnusable,
    Vswitch,
)

pytestmark = pytest.mark.lab

TUNNELS = tuple(TunnelPort(transport, "192.0.2.1") for transport in Transport)
CONFIG = SwitchConfig("br-int", datapath_type="netdev", tunnels=TUNNELS)


@pytest.fixture
async def vswitch(switch: Any) -> AsyncIterator[Vswitch]:
    vswitch = await Vswitch.connect(switch.target)
    await vswitch.ensure_bridge(CONFIG)
    yield vswitch
    await vswitch.close()


async def until(changes: AsyncIterator[SwitchChange], condition: Callable[[], bool]) -> None:
    """Follow the changes until the condition holds; what hangs fails."""
    async with asyncio.timeout(20):
        while not condition():
            await anext(changes)


async def change_with(
    changes: AsyncIterator[SwitchChange], condition: Callable[[SwitchChange], object]
) -> SwitchChange:
    """The next change that meets the condition."""
    async with asyncio.timeout(20):
        while not condition(change := await anext(changes)):
            pass
    return change


def mtus(vswitch: Vswitch, *names: str) -> list[int | None]:
    found = [vswitch._index.interfaces.get(name) for name in names]
    return [None if interface is None else interface.mtu_bytes for interface in found]


async def follow(changes: AsyncIterator[SwitchChange]) -> None:
    async for _ in changes:
        pass


def column(switch: Any, table: str, name: str, column: str) -> Any:
    """A column as Python, by the eyes of ovs-vsctl."""
    found = switch.vsctl("-f", "json", f"--columns={column}", "find", table, f"name={name}")
    return json.loads(found)["data"][0][0]


def commits(switch: Any) -> int:
    """Transactions that the database has taken."""
    return sum(line.startswith("OVSDB JSON") for line in (switch.rundir / "conf.db").read_text().splitlines())


async def test_an_empty_database_becomes_a_bridge_with_tunnels(switch: Any) -> None:
    vswitch = await Vswitch.connect(switch.target)

    info = await vswitch.ensure_bridge(CONFIG)

    assert (info.name, info.datapath_type, len(info.datapath_id)) == ("br-int", "netdev", 16)
    assert vswitch.bridge() == info
    assert vswitch.tunnel_ofports() == {Transport.VXLAN: 65001, Transport.GENEVE: 65002, Transport.GRE: 65003}
    assert column(switch, "bridge", "br-int", "fail_mode") == "secure"
    assert column(switch, "interface", "plait-vxlan", "options") == [
        "map", [["key", "flow"], ["local_ip", "192.0.2.1"], ["remote_ip", "flow"]],
    ]  # fmt: skip
    await vswitch.close()


async def test_the_datapath_that_works_here_is_chosen(switch: Any) -> None:
    vswitch = await Vswitch.connect(switch.target)

    info = await vswitch.ensure_bridge(SwitchConfig("br-int"))

    assert info.datapath_type == ("system" if has_kernel_datapath() else "netdev")
    await vswitch.close()


@pytest.mark.skipif(has_kernel_datapath(), reason="this kernel has the datapath whose absence is tested")
async def test_a_kernel_datapath_that_does_not_come_up_is_left_for_the_userspace_one(
    switch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plait.net.netlink.has_kernel_datapath", lambda: True)
    vswitch = await Vswitch.connect(switch.target)
    with pytest.raises(SwitchMisconfigured, match=r"datapath system: .*modprobe openvswitch"):
        await vswitch.ensure_bridge(SwitchConfig("br-int", datapath_type="system"))

    info = await vswitch.ensure_bridge(SwitchConfig("br-int"))

    assert info.datapath_type == "netdev"
    await vswitch.close()


async def test_what_is_there_is_not_written_again(switch: Any, vswitch: Vswitch) -> None:
    switch.add_veths("va")
    await vswitch.plug([PlugRequest("a", "va", 1400)])
    await until(vswitch.changes(), lambda: "a" in vswitch.attachments())
    before = commits(switch)

    again = await Vswitch.connect(switch.target)
    info = await again.ensure_bridge(CONFIG)
    await again.plug([PlugRequest("a", "va", 1400)])
    await again.unplug(["unknown"])

    assert info == vswitch.bridge()
    assert again.attachments() == {"a": Attachment("a", "va", 1)}
    # Nobody has written since, but for ovs-vswitchd, which may have added what it knows of the link.
    assert commits(switch) <= before + 1
    await again.close()


async def test_forty_devices_are_one_transaction_and_freed_numbers_are_used_again(
    switch: Any, vswitch: Vswitch
) -> None:
    names = [f"v{number}" for number in range(40)]
    switch.add_veths(*names)
    changes = vswitch.changes()

    assert await vswitch.plug([PlugRequest(f"p-{name}", name, 1400) for name in names]) == ()
    await until(changes, lambda: len(vswitch.attachments()) == 40)
    assert sorted(attachment.ofport for attachment in vswitch.attachments().values()) == list(range(1, 41))
    await until(changes, lambda: all(link.mtu_bytes == 1400 for link in vswitch.links().values()))

    await vswitch.unplug(["p-v3", "p-v7"])
    await until(changes, lambda: len(vswitch.attachments()) == 38)
    await vswitch.plug([PlugRequest("new-3", "v7"), PlugRequest("new-7", "v3")])
    await until(changes, lambda: len(vswitch.attachments()) == 40)

    assert vswitch.attachments()["new-3"] == Attachment("new-3", "v7", 4)
    assert vswitch.attachments()["new-7"] == Attachment("new-7", "v3", 8)
    assert vswitch.owned_port_ids() == vswitch.attachments().keys()


async def test_what_others_attach_is_seen_and_left_alone(switch: Any, vswitch: Vswitch) -> None:
    switch.add_veths("vx", "vy", "vz")
    changes = vswitch.changes()
    switch.vsctl("add-port", "br-int", "vx", "--", "set", "interface", "vx", "external_ids:iface-id=x")
    await until(changes, lambda: "x" in vswitch.attachments())
    switch.vsctl("add-port", "br-int", "vy")
    switch.vsctl("add-br", "br-other", "--", "set", "bridge", "br-other", "datapath_type=netdev")
    switch.vsctl("add-port", "br-other", "vz", "--", "set", "interface", "vz", "external_ids:iface-id=z")

    requests = [PlugRequest("y", "vy"), PlugRequest("z", "vz"), PlugRequest("x", "vx", 1300)]
    failures = await vswitch.plug(requests)
    await vswitch.unplug(["x", "y", "z"])

    assert {failure.port_id for failure in failures} == {"y", "z"}
    assert "ovs-vsctl del-port br-other vz" in failures[1].reason
    assert set(switch.vsctl("list-ports", "br-int").split()) >= {"vx", "vy"}
    assert column(switch, "interface", "vx", "mtu_request") == ["set", []]
    assert set(vswitch.attachments()) == {"x"}

    switch.vsctl("del-port", "br-int", "vx")
    await until(changes, lambda: not vswitch.attachments())


async def test_a_name_that_somebody_takes_in_between_fails_that_port_alone(
    switch: Any, vswitch: Vswitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch.add_veths("va", "vb")
    transact, rivals = vswitch._database.transact, ["va"]

    async def take_the_name_first(*operations: Any) -> Any:
        while rivals:
            switch.vsctl("add-port", "br-int", rivals.pop())
        return await transact(*operations)

    monkeypatch.setattr(vswitch._database, "transact", take_the_name_first)
    failures = await vswitch.plug([PlugRequest("a", "va"), PlugRequest("b", "vb")])

    assert [failure.port_id for failure in failures] == ["a"]
    await until(vswitch.changes(), lambda: set(vswitch.attachments()) == {"b"})


async def test_a_device_that_is_missing_is_a_problem_until_it_comes(switch: Any, vswitch: Vswitch) -> None:
    changes = vswitch.changes()
    await anext(changes)

    assert await vswitch.plug([PlugRequest("a", "va")]) == ()
    change = await change_with(changes, lambda change: change.problems)
    (problem,) = change.problems
    assert isinstance(problem, InterfaceProblem)
    assert (problem.port_id, problem.device) == ("a", "va")
    assert "No such device" in problem.reason
    assert vswitch.attachments() == {}

    switch.add_veths("va")
    await until(changes, lambda: "a" in vswitch.attachments())
    assert vswitch.problems() == ()

    switch.ip("link", "del", "va")
    await until(changes, lambda: bool(vswitch.problems()))
    assert vswitch.attachments() == {}
    assert "was deleted" in vswitch.problems()[0].reason


async def test_a_device_exchanged_for_one_of_the_same_name_carries_packets(
    switch: Any, vswitch: Vswitch
) -> None:
    switch.ofctl("add-flow", "br-int", "actions=NORMAL")
    switch.ip("address", "add", "192.0.2.1/24", "dev", "br-int")
    switch.ip("link", "set", "br-int", "up")
    following = asyncio.create_task(follow(vswitch.changes()))
    await vswitch.plug([PlugRequest("a", "va", 1400)])

    for _ in range(3):
        with switch.endpoint("va", "192.0.2.2/24") as endpoint:
            await asyncio.to_thread(endpoint.ping, "192.0.2.1")

    await vswitch.close()
    await following
    with switch.endpoint("va", "192.0.2.2/24") as endpoint:  # exchanged while nobody looked
        again = await Vswitch.connect(switch.target, bridge="br-int")
        following = asyncio.create_task(follow(again.changes()))
        await asyncio.to_thread(endpoint.ping, "192.0.2.1")
        await again.close()
        await following


async def test_links_tell_mtu_and_carrier(switch: Any, vswitch: Vswitch) -> None:
    switch.add_veths("va")
    changes = vswitch.changes()
    await vswitch.plug([PlugRequest("a", "va", 1400)])
    await until(changes, lambda: "a" in vswitch.links())

    switch.ip("link", "set", "va", "up")
    switch.ip("link", "set", "vap", "up")
    await until(changes, lambda: vswitch.links()["a"].is_up)
    await vswitch.plug([PlugRequest("a", "va", 1300)])
    await until(changes, lambda: vswitch.links()["a"].mtu_bytes == 1300)

    assert "mtu 1300" in switch.ip("link", "show", "va")


async def test_a_bridge_that_somebody_deletes_is_told_and_made_again(switch: Any, vswitch: Vswitch) -> None:
    changes = vswitch.changes()
    await anext(changes)

    switch.vsctl("del-br", "br-int")

    await change_with(changes, lambda change: change.is_bridge_lost)
    assert vswitch.bridge() is None
    with pytest.raises(SwitchMisconfigured, match="ensure_bridge comes first"):
        await vswitch.plug([PlugRequest("a", "va")])
    info = await vswitch.ensure_bridge(CONFIG)
    assert len(vswitch.tunnel_ofports()) == 3
    assert (await change_with(changes, lambda change: change.bridge)).bridge == info


async def test_a_restarted_database_ends_the_changes_and_a_new_connection_sees_the_same(switch: Any) -> None:
    switch.add_veths("va")
    vswitch = await Vswitch.connect(switch.target)
    await vswitch.ensure_bridge(CONFIG)
    await vswitch.plug([PlugRequest("a", "va")])
    changes = vswitch.changes()
    await until(changes, lambda: "a" in vswitch.attachments())

    switch.kill()
    with contextlib.suppress(StopAsyncIteration):
        while True:
            await anext(changes)
    assert vswitch.lost_reason is not None
    await vswitch.close()
    with pytest.raises(Unreachable):
        await Vswitch.connect(switch.target)

    switch.start()
    again = await Vswitch.connect(switch.target, bridge="br-int")
    changes = again.changes()
    await until(changes, lambda: "a" in again.attachments() and again.bridge() is not None)
    assert await again.ensure_bridge(CONFIG) == again.bridge()
    assert again.attachments() == vswitch.attachments()
    await again.close()


async def test_a_daemon_that_does_not_run_is_said(switch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plait.net.vswitch.connection.SETTLE_TIMEOUT_S", 0.1)
    switch.kill_vswitchd()
    vswitch = await Vswitch.connect(switch.target)

    with pytest.raises(SwitchNotResponding, match="is it running"):
        await vswitch.ensure_bridge(CONFIG)

    monkeypatch.undo()
    switch.start_vswitchd()
    assert (await vswitch.ensure_bridge(CONFIG)).datapath_type == "netdev"
    await vswitch.close()


async def test_numbers_survive_a_restart_of_the_daemon(switch: Any, vswitch: Vswitch) -> None:
    switch.add_veths("va", "vb", "vc")
    changes = vswitch.changes()
    await vswitch.plug([PlugRequest(name, name) for name in ("va", "vb", "vc")])
    await until(changes, lambda: len(vswitch.attachments()) == 3)
    await vswitch.unplug(["va"])
    await until(changes, lambda: len(vswitch.attachments()) == 2)
    before = vswitch.attachments(), vswitch.tunnel_ofports()

    switch.kill_vswitchd()
    switch.start_vswitchd()
    switch.add_veths("vd")
    await vswitch.plug([PlugRequest("vd", "vd")])
    await until(changes, lambda: "vd" in vswitch.attachments())

    attachments = vswitch.attachments()
    assert attachments.pop("vd").ofport == 1
    assert (attachments, vswitch.tunnel_ofports()) == before


async def test_the_underlay_is_a_bridge_of_the_userspace_datapath(switch: Any, vswitch: Vswitch) -> None:
    switch.add_veths("nic", "plain")
    switch.ip("link", "set", "nic", "mtu", "1480")
    switch.vsctl("add-br", "br-ex", "--", "set", "bridge", "br-ex", "datapath_type=netdev")
    switch.vsctl("add-port", "br-ex", "nic", "--", "set", "interface", "br-ex", "mtu_request=9000")
    switch.ip("address", "add", "192.0.2.9/24", "dev", "plain")
    # Not our bridge, so nothing is told of it: look until the database has it.
    async with asyncio.timeout(20):
        while mtus(vswitch, "br-ex", "nic") != [9000, 1480]:
            await vswitch._database.call("list_dbs")
    for address in ("192.0.2.1/24", "2001:db8::1/64"):
        switch.ip("address", "add", address, "dev", "br-ex")

    with switch.inside():
        v4, v6 = vswitch.underlay("192.0.2.1"), vswitch.underlay("2001:db8::1")
        assert (v4.device, v4.mtu_bytes, v4.version) == ("br-ex", 1480, 4)
        assert (v6.device, v6.version) == ("br-ex", 6)
        for address, words in [
            ("192.0.2.9", "it is on device 'plain'.*ovs-vsctl add-br br-ex"),
            ("192.0.2.77", "no device of this host has it"),
            ("elsewhere", "not an IP address"),
        ]:
            with pytest.raises(UnderlayUnusable, match=words):
                vswitch.underlay(address)


async def test_the_daemon_answers_by_its_control_socket(switch: Any, vswitch: Vswitch) -> None:
    traced = await appctl(switch.rundir, "ofproto/trace", "br-int", "in_port=1")

    assert "Datapath actions: drop" in traced
    assert await appctl(control_socket(switch.rundir), "tnl/neigh/show")
    with pytest.raises(AppctlError, match=r"nonsense: .*not a valid command"):
        await appctl(switch.rundir, "nonsense")
    with pytest.raises(Unreachable, match="is ovs-nothing running"):
        control_socket(switch.rundir, "ovs-nothing")
