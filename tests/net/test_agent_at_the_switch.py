"""Programming and plugging at a real Open vSwitch, while somebody else reaches in."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from plait.agent.engine import Engine
from plait.agent.plugging import Plugging
from plait.agent.programming import Programming
from plait.model.entities import LiveHost, Network, Port, Transport
from plait.model.facets import Attachment, Change, Key, Number, Tunnels
from plait.net.openflow import OpenFlowConnection
from plait.net.vswitch import BridgeInfo, PortIo, Underlay, Vswitch
from plait.wire.ovsdb.operations import OvsdbError

from .conftest import wait_for

pytestmark = pytest.mark.lab

ADDRESS = "172.16.5.1"
BRIDGE = "br-int"
RED = Network(id="red", name="red", vni=5000)


def port(id: str, device: str | None = None, *, mac: str = "02:00:00:00:00:01", **fields: Any) -> Port:
    return Port(id=id, name=id, network="red", mac=mac, host="h1", device=device, **fields)


class Host:
    """An engine with the parts of an agent that drive its switch."""

    def __init__(self, switch: Any) -> None:
        self.switch = switch
        # Not the socket itself, so that a test can take it away.
        self.control = Path(switch.rundir, "control")
        self.control.symlink_to(f"{switch.rundir}/{BRIDGE}.mgmt")
        self.engine = Engine("h1")
        self.states: dict[str, str] = {}
        self.confirmed = 0
        self.plugging = Plugging(
            self.engine,
            target=switch.target,
            tls=None,
            bridge=BRIDGE,
            datapath="netdev",
            underlay_address=ADDRESS,
            transports=(Transport.VXLAN,),
            port_io=PortIo.PACKET,
            openflow=f"unix:{self.control}",
            on_state=lambda state: self.states.update(database=state),
            on_underlay=self._appear,
        )
        self.programming = Programming(
            self.engine,
            target=f"unix:{switch.rundir}/{BRIDGE}.mgmt",
            tls=None,
            portion=500,
            on_state=lambda state: self.states.update(flows=state),
            on_confirmed=self._confirm,
        )
        self.engine.gate.on_ready(self.engine.open_gate)
        self.engine.change([Change(Network, "red", RED)])

    def _appear(self, underlay: Underlay, bridge: BridgeInfo) -> None:
        live = LiveHost(name="h1", vtep=underlay.address, underlay_mtu_bytes=underlay.mtu_bytes)
        self.engine.change([Change(LiveHost, "h1", live)])

    def _confirm(self) -> None:
        self.confirmed += 1

    def attachment(self, id: str) -> Attachment | None:
        return self.engine.view.get(Attachment, id)

    def flows(self) -> set[str]:
        dump = self.switch.ofctl("dump-flows", BRIDGE, "--no-stats", "--no-names")
        return {line.strip() for line in dump.splitlines() if "table=" in line or "actions=" in line}

    def is_right(self) -> bool:
        """The switch has as many flows as are desired, and nothing is pending."""
        return not self.engine.switch.pending and len(self.flows()) == len(self.engine.compiler.flows)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        parts = (self.engine, self.plugging, self.programming)
        tasks = [asyncio.create_task(part.run()) for part in parts]
        try:
            await until(lambda: self.states == {"database": "ok", "flows": "ok"})
            await until(lambda: self.engine.view.get(Tunnels, "") is not None)
            await until(self.is_right)
            yield
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes), outcomes


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for is outside
            await asyncio.sleep(0.005)


@pytest.fixture
def host(switch: Any, monkeypatch: pytest.MonkeyPatch) -> Host:
    switch.vsctl("add-br", "br-ex", "--", "set", "bridge", "br-ex", "datapath_type=netdev")
    wait_for(lambda: "br-ex" in switch.ip("-br", "link"), "br-ex has a device")
    switch.ip("address", "add", f"{ADDRESS}/24", "dev", "br-ex")
    switch.ip("link", "set", "br-ex", "up")
    underlay = Vswitch.underlay

    def underlay_inside(vswitch: Vswitch, address: str) -> Underlay:
        with switch.inside():
            return underlay(vswitch, address)

    monkeypatch.setattr(Vswitch, "underlay", underlay_inside)
    return Host(switch)


async def test_flows_that_somebody_changes_while_the_switch_answers_a_dump_are_put_back(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with host.running():
        dump_groups = OpenFlowConnection.dump_groups
        wanted = host.flows()

        async def dump_groups_late(connection: OpenFlowConnection) -> Any:
            monkeypatch.setattr(OpenFlowConnection, "dump_groups", dump_groups)
            host.switch.ofctl("del-flows", BRIDGE)
            await until(lambda: len(host.programming._since_dump or ()) == len(wanted))
            return await dump_groups(connection)

        monkeypatch.setattr(OpenFlowConnection, "dump_groups", dump_groups_late)
        # A group of somebody else's is what makes the agent compare everything.
        host.switch.ofctl("add-group", BRIDGE, "group_id=77,type=all")
        await until(lambda: OpenFlowConnection.dump_groups is dump_groups and host.flows() == wanted)


async def test_groups_and_flows_that_somebody_deletes_one_after_the_other_are_put_back(host: Host) -> None:
    async with host.running():
        host.switch.add_veths("veth1")
        host.engine.change([Change(Port, "p", port("p", "veth1", multicast=("239.1.1.1",)))])
        await until(lambda: host.attachment("p") and host.is_right())
        wanted = host.flows()
        for _ in range(10):
            host.switch.ofctl("del-groups", BRIDGE)
            host.switch.ofctl("del-flows", BRIDGE)
            await until(lambda: host.flows() == wanted)
        assert "group_id=1," in host.switch.ofctl("dump-groups", BRIDGE)


async def test_a_flow_that_the_switch_refuses_is_said_and_the_others_are_there(host: Host) -> None:
    async with host.running():
        before = len(host.flows())
        # Open vSwitch has no ports between its own 16 bits and OpenFlow's reserved numbers.
        no_port = Attachment("bad", 0x10000)
        host.engine.change([Change(Port, "bad", port("bad")), Change(Attachment, "bad", no_port)])
        host.engine.change([Change(Port, "p", port("p")), Change(Attachment, "p", Attachment("p", 5))])
        await until(lambda: "refuses" in host.states["flows"] and host.engine.switch.pending == 0)
        assert len(host.flows()) > before
        of_port = host.engine.compiler.made_by(Key("station", "p"))
        assert of_port
        assert host.engine.switch.in_step(of_port)
        host.engine.change([Change(Port, "bad", None)])
        await until(lambda: host.states["flows"] == "ok" and host.is_right())


async def test_a_device_that_another_bridge_has_is_plugged_in_once_it_is_free(host: Host) -> None:
    async with host.running():
        host.switch.add_veths("veth1")
        host.switch.vsctl("add-port", "br-ex", "veth1")
        wanted = port("p", "veth1")
        host.engine.change([Change(Port, "p", wanted)])
        await until(lambda: host.plugging.problem(wanted) is not None)
        assert "br-ex" in (host.plugging.problem(wanted) or "")
        host.switch.vsctl("del-port", "br-ex", "veth1")
        await until(lambda: host.attachment("p") is not None)
        assert host.plugging.problem(wanted) is None


async def test_a_problem_that_was_solved_while_the_database_was_away_is_forgotten(host: Host) -> None:
    wanted = port("p", "veth1")
    async with host.running():
        host.engine.change([Change(Port, "p", wanted)])
        await until(lambda: host.plugging.problem(wanted) is not None)
        host.switch.kill()
        await until(lambda: host.states["database"] != "ok")
        host.switch.add_veths("veth1")
        host.switch.start()
        await until(lambda: host.attachment("p") is not None)
        await until(lambda: not host.plugging._broken)


async def test_plugging_that_fails_is_noticed_though_nothing_changes_at_the_switch(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with host.running():
        plug = Vswitch.plug

        async def plug_badly(vswitch: Vswitch, requests: Any) -> Any:
            monkeypatch.setattr(Vswitch, "plug", plug)
            raise OvsdbError(0, "insert", "constraint violation", "as if somebody was faster")

        monkeypatch.setattr(Vswitch, "plug", plug_badly)
        host.switch.add_veths("veth1")
        host.engine.change([Change(Port, "p", port("p", "veth1"))])
        await until(lambda: host.attachment("p") is not None)


async def test_ports_that_come_and_go_by_hundreds_leave_nothing_in_memory(host: Host) -> None:
    async with host.running():
        host.switch.add_veths("veth1")
        plugging = host.plugging
        before = [len(each) for each in (plugging._asked, plugging._refused, plugging._broken)]
        wanted = host.flows()
        for number in range(100):
            id = f"p{number}"
            host.engine.change([Change(Port, id, port(id, "veth1"))])
            if number % 10 == 0:
                await until(lambda id=id: host.attachment(id) is not None)  # type: ignore[misc]
            host.engine.change([Change(Port, id, None)])
        await until(lambda: "veth1" not in host.switch.vsctl("list-ports", BRIDGE).split())
        await until(lambda: host.flows() == wanted and host.is_right())
        assert [len(each) for each in (plugging._asked, plugging._refused, plugging._broken)] == before
        assert not host.engine.view.count(Attachment)


async def test_a_port_whose_zone_can_not_be_flushed_stays_out_until_it_can(host: Host) -> None:
    async with host.running():
        control = host.control.readlink()
        host.control.unlink()
        host.switch.add_veths("veth1")
        asked = port("p", "veth1")
        host.engine.change([Change(Port, "p", asked)])
        await until(lambda: host.plugging.problem(asked))
        assert "conntrack zone 1 can't be flushed" in (host.plugging.problem(asked) or "")
        assert host.attachment("p") is None
        assert not any("in_port=1," in flow for flow in host.flows())
        host.control.symlink_to(control)
        await until(lambda: host.attachment("p") and host.is_right())
        assert host.plugging.problem(asked) is None
        assert any("in_port=1," in flow for flow in host.flows())


async def test_a_port_that_can_not_be_let_in_and_goes_is_forgotten(host: Host) -> None:
    async with host.running():
        control = host.control.readlink()
        host.control.unlink()
        host.switch.add_veths("veth1")
        asked = port("p", "veth1")
        host.engine.change([Change(Port, "p", asked)])
        await until(lambda: host.plugging.problem(asked))
        host.engine.change([Change(Port, "p", None)])
        await until(lambda: host.plugging.problem(asked) is None)
        host.control.symlink_to(control)
        assert host.attachment("p") is None


async def test_who_holds_a_zone_is_remembered_as_long_as_it_does(host: Host) -> None:
    def zones() -> dict[str, int]:
        return {each.owner: each.number for each in host.engine.view.all(Number) if each.space == "zone"}

    async with host.running():
        host.switch.add_veths("veth1", "veth2")
        for id, device in (("p", "veth1"), ("q", "veth2")):
            host.engine.change([Change(Port, id, port(id, device, mac=f"02:00:00:00:00:0{device[-1]}"))])
            await until(lambda id=id: host.attachment(id))
        assert zones() == {"p": 1, "q": 2}
        host.engine.change([Change(Port, "p", None)])
        await until(lambda: zones() == {"q": 2})
        host.engine.change([Change(Port, "r", port("r", "veth1"))])
        await until(lambda: zones() == {"q": 2, "r": 1})
