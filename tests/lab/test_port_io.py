"""Devices that are read by AF_XDP: the same traffic, the same agent, and nothing left behind."""

from collections.abc import Iterator
from functools import partial

import pytest
from tests.lab.conftest import lab_name

from plait.agent.api import CallFailed
from plait.intent import Intent, NotUp, PortSpec
from plait.lab.endpoint import Endpoint
from plait.lab.errors import CommandError
from plait.lab.flowwatch import FlowWatch
from plait.lab.host import LabHost
from plait.lab.lab import Lab
from plait.lab.streams import TcpStream
from plait.lab.switch import run
from plait.lab.waiting import wait_until
from plait.model.policy import Direction, Protocol
from plait.net.vswitch import PortIo
from plait.net.vswitch.types import AFXDP_MTU_BYTES

V4, V6 = 28, 48
"""What of the MTU the headers of an echo request take."""


@pytest.fixture(scope="module")
def fast() -> Iterator[Lab]:
    """Two hosts that read the underlay and the devices of endpoints by AF_XDP."""
    with Lab.up(lab_name(), hosts=2, port_io=PortIo.AFXDP, underlay_io=PortIo.AFXDP) as lab:
        lab.start_agents()
        lab.network("blue", "10.0.0.0/24", "fd00:10::/64")
        yield lab


@pytest.fixture(scope="module")
def ends(fast: Lab) -> tuple[Endpoint, Endpoint]:
    """An endpoint on each host."""
    one, two = (fast.endpoint(f"on-{host}", network="blue", host=host) for host in fast.hosts)
    for address in (two.v4, two.v6):
        wait_until(partial(one.reaches, address), f"{address} is reached")
    return one, two


def kind_of(end: Endpoint) -> str:
    """The type of its interface; `ovs-vsctl` quotes the empty one."""
    return end.host.switch.vsctl("get", "interface", end.device, "type").strip().strip('"')


def number_of(end: Endpoint) -> int:
    return int(end.host.switch.vsctl("get", "interface", end.device, "ofport"))


def has_xdp_program(host: LabHost, device: str) -> bool:
    """The kernel names the program of a device that has one (ip-link(8))."""
    return "prog/xdp" in run(("ip", "-n", host.namespace, "-d", "link", "show", device))


def commits(host: LabHost) -> int:
    """Transactions that the switch's database has taken."""
    database = (host.switch.rundir / "conf.db").read_text(errors="replace")
    return sum(line.startswith("OVSDB JSON") for line in database.splitlines())


def test_packets_of_every_size_and_fragments_pass_in_both_families(ends: tuple[Endpoint, Endpoint]) -> None:
    one, two = ends
    mtu = one.plug.mtu_bytes
    assert kind_of(one) == kind_of(two) == "afxdp-nonpmd"
    for address, headers in ((two.v4, V4), (two.v6, V6)):
        for size in (0, 1, 56, 1000, mtu - headers - 1, mtu - headers):
            one.exec("ping", "-c", "3", "-i", "0.01", "-W", "2", "-M", "do", "-s", str(size), address)
        for size in (mtu - headers + 1, 4000, 20_000):
            one.exec("ping", "-c", "3", "-i", "0.01", "-W", "2", "-M", "dont", "-s", str(size), address)
        with pytest.raises(CommandError, match=r"(?i)message too long"):
            one.exec("ping", "-c", "1", "-W", "1", "-M", "do", "-s", str(mtu - headers + 1), address)


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_a_tcp_stream_arrives_whole(ends: tuple[Endpoint, Endpoint], family: str) -> None:
    one, two = ends
    stream = TcpStream(one.namespace, two.namespace, getattr(two, family), interval_s=0.001).start()
    assert stream.wait_received(1 << 23)
    assert stream.stop().whole


def test_a_port_that_goes_leaves_no_program_on_its_device(fast: Lab) -> None:
    end = fast.endpoint("goes", network="blue", host="h1")
    assert has_xdp_program(end.host, end.device)
    port = end.record.port
    assert port is not None

    fast.frontend.run(lambda intent: intent.ports.delete(port))

    wait_until(lambda: not has_xdp_program(end.host, end.device), "the program is gone")
    end.remove()


def test_an_agent_that_starts_again_writes_nothing_to_the_switch(
    fast: Lab, ends: tuple[Endpoint, Endpoint]
) -> None:
    one, two = ends
    host = one.host
    wait_until(lambda: fast.differences() == {}, "all agents agree with their switches")
    before, watch = commits(host), FlowWatch.start(host)
    stream = TcpStream(one.namespace, two.namespace, two.v4).start()

    host.kill_agent()
    host.start_agent()
    fast.wait_ready(host.name)

    assert stream.wait_received(1 << 18)
    assert stream.stop().whole
    assert watch.stop() == []
    assert commits(host) == before


@pytest.fixture
def filtered(fast: Lab, ends: tuple[Endpoint, Endpoint]) -> Iterator[tuple[Endpoint, Endpoint]]:
    """`ends` in a group that lets in no more than the stream; answers pass because conntrack knows it."""
    names = [end.name for end in ends]

    async def join(intent: Intent) -> None:
        await intent.groups.create("tracked", isolated=True)
        await intent.rules.add("tracked", Direction.INGRESS, protocol=Protocol.TCP, ports=(5001, 5001))
        await intent.members.add("tracked", names)

    fast.frontend.run(join)
    one, two = ends
    wait_until(lambda: not one.reaches(two.v4), "the group's rules hold")
    yield ends
    fast.frontend.run(lambda intent: intent.members.remove("tracked", names))
    wait_until(lambda: one.reaches(two.v4), "the ends are free again")


def test_another_option_reopens_the_ports_under_their_numbers_and_tracked_streams_go_on(
    fast: Lab, filtered: tuple[Endpoint, Endpoint]
) -> None:
    one, two = filtered
    host, number = one.host, number_of(one)
    stream = TcpStream(one.namespace, two.namespace, two.v4).start()
    for io in (PortIo.PACKET, PortIo.AFXDP):
        host.kill_agent()
        host.start_agent(port_io=str(io))
        fast.wait_ready(host.name)
        wait_until(partial(_is_read_by, one, io), f"the device is read by {io}")
        assert stream.wait_received(1 << 18)
        assert number_of(one) == number
    assert stream.stop().whole
    wait_until(lambda: fast.differences() == {}, "all agents agree with their switches")


def test_a_device_that_is_exchanged_is_read_by_af_xdp_again(
    fast: Lab, ends: tuple[Endpoint, Endpoint]
) -> None:
    end = fast.endpoint("anew", network="blue", host="h1")

    end.relink(end.host)
    end.configure(end.plug)

    wait_until(lambda: end.ping(ends[1].v4, count=1).lost == 0, "the new device carries packets")
    assert has_xdp_program(end.host, end.device)
    end.delete()


def test_what_others_plugged_in_stays_as_they_have_it(fast: Lab, ends: tuple[Endpoint, Endpoint]) -> None:
    port = fast.frontend.run(
        lambda intent: intent.ports.create(PortSpec(name="theirs", network="blue", host="h1"))
    )
    prefixes = tuple(f"{address}/{64 if ':' in address else 24}" for address in port.ips)
    end = fast.plain_endpoint("theirs", "h1", mac=port.mac, addresses=prefixes, mtu_bytes=1400)
    end.host.plug(end.device, f"iface-id={port.id}")
    fast.frontend.run(lambda intent: intent.ports.wait_up(port, timeout_s=10))

    assert end.ping(ends[1].v4).lost == 0
    assert kind_of(end) == ""
    end.remove()
    fast.frontend.run(lambda intent: intent.ports.delete(port.id))


def test_a_switch_that_can_not_is_said_so_and_ports_are_read_by_packet_sockets(
    fast: Lab, ends: tuple[Endpoint, Endpoint]
) -> None:
    one, two = ends
    host = one.host
    host.kill_agent()
    # What an Open vSwitch that was built without it leaves in the database; this one says it anew when it is
    # back, while an agent looks when it connects.
    host.switch.kill_vswitchd()
    host.switch.vsctl("--no-wait", "remove", "open_vswitch", ".", "iface_types", "afxdp-nonpmd")
    host.start_agent()
    wait_until(
        lambda: "built without interfaces of type afxdp-nonpmd" in component(host, "switch database"),
        "the agent says what is missing",
    )
    wait_until(lambda: kind_of(one) == "", "the device is to be read by packets")
    host.start_vswitchd()
    wait_until(lambda: one.ping(two.v4, count=1).lost == 0, "it carries packets")

    host.kill_agent()
    host.start_agent()
    fast.wait_ready(host.name)
    wait_until(lambda: kind_of(one) == "afxdp-nonpmd", "the device is read by AF_XDP again")


def test_ports_whose_mtu_is_too_large_are_refused_and_those_that_stand_carry_on() -> None:
    with Lab.up(lab_name(), hosts=1, underlay_mtu_bytes=9000) as lab:
        lab.start_agents()
        lab.network("blue", "10.0.0.0/24")
        one, two = (lab.endpoint(name, network="blue", host="h1") for name in ("one", "two"))
        host = lab.host("h1")
        host.kill_agent()
        host.start_agent(port_io="afxdp")
        lab.wait_ready("h1")
        new = lab.plain_endpoint("new", "h1", mac="0a:00:00:00:00:09", addresses=())
        spec = PortSpec(network="blue", host="h1", device=new.device)
        port = lab.frontend.run(lambda intent: intent.ports.create(spec))

        with pytest.raises(NotUp, match="too large for AF_XDP, which carries 3498"):
            lab.frontend.run(lambda intent: intent.ports.wait_up(port, timeout_s=2))

        assert kind_of(one) == ""
        one.exec("ping", "-c", "3", "-i", "0.01", "-M", "do", "-s", str(one.plug.mtu_bytes - V4), two.v4)


def test_an_underlay_whose_mtu_is_too_large_for_how_it_is_read_is_said_so() -> None:
    mtu = AFXDP_MTU_BYTES + 1
    with Lab.up(lab_name(), hosts=1, underlay_mtu_bytes=mtu, underlay_io=PortIo.AFXDP) as lab:
        host = lab.host("h1")
        host.start_agent()
        wait_until(
            lambda: "ip link set underlay mtu 3498" in component(host, "switch database"),
            "the agent says what to do",
        )
        host.run("ip", "link", "set", "underlay", "mtu", str(AFXDP_MTU_BYTES))
        lab.wait_ready("h1")


def _is_read_by(end: Endpoint, io: PortIo) -> bool:
    has_program = has_xdp_program(end.host, end.device)
    return kind_of(end) == io.interface_type and has_program is (io is PortIo.AFXDP)


def component(host: LabHost, name: str) -> str:
    """What the agent says of a part of itself; nothing while it does not answer yet."""
    try:
        return str(host.ask("status")["components"].get(name, ""))
    except CallFailed:
        return ""
