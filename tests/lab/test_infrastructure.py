"""The lab itself, with plain switches: what it makes works, and what it made is gone afterwards."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from plait.lab import directory, netns
from plait.lab.endpoint import Endpoint, device_name
from plait.lab.errors import LabError
from plait.lab.lab import Lab
from plait.lab.processes import ProcessId
from plait.lab.streams import TcpStream, UdpEcho, udp_ask
from plait.lab.tunnelled import carried, tally
from plait.lab.waiting import wait_until
from plait.lab.wire import Wire

MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")
VNI = 5001


def _connect(lab: Lab, transport: str = "vxlan") -> tuple[Endpoint, Endpoint]:
    """Two endpoints on two hosts and a tunnel by hand."""
    ends = []
    for number, host in enumerate(lab.hosts.values(), start=1):
        name = f"end{number}"
        end = lab.plain_endpoint(
            name, host.name, mac=MACS[number - 1], addresses=(f"10.0.0.{number}/24", f"fd00::{number}/64")
        )
        other = next(other for other in lab.hosts.values() if other is not host)
        host.switch.vsctl(
            *(
                "add-br br-int -- set bridge br-int datapath_type=netdev fail_mode=secure "
                f"-- add-port br-int tunnel -- set interface tunnel type={transport} "
                "options:remote_ip=flow options:key=flow ofport_request=100"
            ).split(),
        )
        port = host.plug(end.device)
        there = "tun_ipv6_dst" if ":" in other.address else "tun_dst"
        actions = f"set_field:{VNI}->tun_id,set_field:{other.address}->{there},output:100"
        host.switch.ofctl("add-flow", "br-int", f"in_port={port},actions={actions}")
        host.switch.ofctl("add-flow", "br-int", f"in_port=100,actions=output:{port}")
        ends.append(end)
    return ends[0], ends[1]


@pytest.mark.parametrize("transport", ["vxlan", "geneve", "gre"])
def test_pings_tcp_and_udp_cross_a_tunnel_made_by_hand_and_the_capture_sees_them(
    bare: Lab, transport: str
) -> None:
    one, two = _connect(bare, transport)
    capture = bare.capture()
    wait_until(lambda: one.reaches(two.v4), "the first ping crosses")
    assert one.ping(two.v4, count=20).lost == 0
    assert one.ping(two.v6, count=20).lost == 0
    assert not one.reaches("10.0.0.99")
    stream = TcpStream(one.namespace, two.namespace, two.v4).start()
    assert stream.wait_received(1 << 20)
    assert stream.stop().whole
    with UdpEcho(two.namespace, two.v6):
        assert udp_ask(one.namespace, two.v6, b"hello")
    files = capture.stop()
    known = {(VNI, one.mac): {bare.host("h1").address}, (VNI, two.mac): {bare.host("h2").address}}
    for file in files.values():
        seen = tally(carried(file.read_bytes()), known)
        assert set(seen.transports) == {transport}
        assert seen.unicast > 100
        assert seen.unknown_unicast == seen.misdirected == 0
        # Nobody but the far end answers ARP here: exactly what Plait is to prevent, and the tally sees it.
        assert seen.unwanted > 0


def test_nobody_but_the_bridge_answers_for_the_underlay_address(bare: Lab) -> None:
    asker, owner = bare.hosts.values()
    end = bare.plain_endpoint("end", owner.name, mac=MACS[0], addresses=("10.0.0.1/24",))
    mac = owner.run("cat", "/sys/class/net/br-ex/address").strip()
    asker.run("ping", "-c", "1", "-W", "5", owner.address)
    for _ in range(5):
        asker.run("ip", "neigh", "flush", "dev", "br-ex")
        with Wire(asker.namespace, "underlay") as wire:
            asker.run("ping", "-c", "1", "-W", "5", owner.address)
            seen = wire.until(lambda frame: frame[23:24] == b"\x01")
        answers = [frame for frame in seen if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\x00\x02"]
        assert {frame[6:12].hex(":") for frame in answers} == {mac}
    end.exec("ip", "route", "add", "172.16.0.0/24", "dev", "eth0")
    assert not end.reaches(owner.address)


def test_hosts_reach_each_other_over_an_ipv6_underlay_too() -> None:
    with Lab.up(f"t{os.getpid()}-v6", hosts=2, v6_underlay=True, underlay_mtu_bytes=9000) as lab:
        one, two = _connect(lab)
        wait_until(lambda: one.reaches(two.v4), "the first ping crosses")
        assert one.ping(two.v6, count=10).lost == 0
        assert "mtu 9000" in lab.host("h1").run("ip", "link", "show", "br-ex")


def test_a_vswitchd_that_was_killed_comes_back_with_the_underlay_address(bare: Lab) -> None:
    host, other = bare.hosts.values()
    host.restart_vswitchd()
    assert host.address in host.run("ip", "-br", "addr", "show", "br-ex")
    host.run("ping", "-c", "1", "-W", "5", other.address)


def test_an_endpoint_moves_its_link_to_another_host_and_leaves_nothing_behind(bare: Lab) -> None:
    end = bare.plain_endpoint("mover", "h1", mac=MACS[0], addresses=("10.0.0.1/24",))
    end.relink(bare.host("h2"))
    end.configure(end.plug)
    assert end.device not in bare.host("h1").run("ip", "-br", "link")
    assert end.device in bare.host("h2").run("ip", "-br", "link")
    assert "10.0.0.1/24" in end.exec("ip", "-br", "addr", "show", "eth0")
    end.remove()
    assert end.device not in bare.host("h2").run("ip", "-br", "link")
    assert not netns.exists(end.namespace)
    with pytest.raises(LabError, match="no endpoint 'mover'"):
        bare.find_endpoint("mover")


def test_a_name_of_an_endpoint_is_given_once(bare: Lab) -> None:
    bare.plain_endpoint("web", "h1", mac=MACS[0], addresses=())
    with pytest.raises(LabError, match="endpoint 'web' exists already"):
        bare.plain_endpoint("web", "h2", mac=MACS[1], addresses=())
    with pytest.raises(LabError, match="'h1' is a host"):
        bare.plain_endpoint("h1", "h2", mac=MACS[1], addresses=())


@pytest.mark.parametrize(
    "name", ["a", "exactly-13-ch", "a-name-that-is-much-longer", "a-name-that-is-much-longer-2"]
)
def test_device_names_fit_linux_and_differ(name: str) -> None:
    assert len(device_name(name)) <= 15
    assert device_name(name) != device_name(name + "x")


def test_a_wire_shows_what_was_sent_to_it_and_not_what_it_sent(bare: Lab) -> None:
    one, two = _connect(bare)
    frame = (
        bytes.fromhex(two.mac.replace(":", "") + one.mac.replace(":", "")) + b"\x88\xb5" + b"marker".ljust(50)
    )
    wait_until(lambda: one.reaches(two.v4), "the tunnel works")
    with Wire(one.namespace) as sender, Wire(two.namespace) as receiver:
        sender.send(frame)
        assert receiver.until(lambda seen: b"marker" in seen)[-1] == frame
        with pytest.raises(LabError, match="not the one waited for"):
            sender.until(lambda seen: b"marker" in seen, timeout_s=0.1)


def test_parallel_labs_have_the_same_addresses_and_do_not_meet() -> None:
    with Lab.up(f"t{os.getpid()}-a", hosts=2) as left, Lab.up(f"t{os.getpid()}-b", hosts=2) as right:
        assert left.host("h1").address == right.host("h1").address
        for lab in (left, right):
            lab.host("h1").run("ping", "-c", "1", "-W", "5", lab.host("h2").address)
        left.down()
        right.host("h1").run("ping", "-c", "1", "-W", "5", right.host("h2").address)


def test_nothing_is_left_of_a_lab_that_went_down(bare: Lab) -> None:
    bare.plain_endpoint("web", "h1", mac=MACS[0], addresses=())
    processes, namespaces = bare.journal.processes(), bare.journal.namespaces()
    assert len(processes) == 4
    assert len(namespaces) == 4
    bare.down()
    assert not any(process.alive for process in processes)
    assert not any(netns.exists(name) for name in namespaces)
    assert not bare.directory.exists()
    bare.down()


_MAKE_A_LAB_AND_HANG = """
import signal, sys
from plait.lab.lab import Lab
with Lab.up(sys.argv[1], hosts=2) as lab:
    lab.plain_endpoint("web", "h1", mac="02:00:00:00:00:01", addresses=("10.0.0.1/24",))
    print("up", flush=True)
    signal.pause()
"""


def test_what_a_killed_owner_left_is_removed_by_the_next_lab_and_others_are_not() -> None:
    name = f"t{os.getpid()}-killed"
    with (
        Lab.up(f"t{os.getpid()}-other", hosts=1) as other,
        subprocess.Popen([sys.executable, "-c", _MAKE_A_LAB_AND_HANG, name], stdout=subprocess.PIPE) as owner,
    ):
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"up\n"
        left = Lab.open(name)
        processes, namespaces = left.journal.processes(), left.journal.namespaces()
        owner.kill()
        owner.wait()
        assert all(process.alive for process in processes)
        with Lab.up(name, hosts=2) as again:
            assert not any(process.alive for process in processes)
            assert set(again.journal.namespaces()) < set(namespaces)
            again.host("h1").run("ping", "-c", "1", "-W", "5", again.host("h2").address)
        assert all(process.alive for process in other.journal.processes())
        assert len(other.journal.processes()) == 2


def test_a_lab_killed_at_any_moment_of_its_making_is_removed_by_the_next() -> None:
    name = f"t{os.getpid()}-early"
    for lines in (1, 3, 5, 7):
        with subprocess.Popen(
            [sys.executable, "-c", _MAKE_A_LAB_AND_HANG, name], stdout=subprocess.PIPE
        ) as owner:
            wait_until(partial(_has_lines, directory.root() / name / "journal", lines), "the journal grows")
            owner.kill()
    with Lab.up(name, hosts=2) as lab:
        lab.host("h1").run("ping", "-c", "1", "-W", "5", lab.host("h2").address)
    assert not netns.exists(f"{name}-h1")


def _has_lines(path: Path, count: int) -> bool:
    return path.exists() and len(path.read_text().splitlines()) >= count


def test_a_namespace_of_somebody_else_is_neither_taken_nor_removed() -> None:
    name = f"t{os.getpid()}-guest"
    netns.ip_batch([f"netns add {name}-h1"])
    try:
        with pytest.raises(LabError, match=f"{name}-h1 exists already"):
            Lab.up(name, hosts=2)
        assert netns.exists(f"{name}-h1")
        assert not (directory.root() / name).exists()
    finally:
        netns.ip_batch([f"netns del {name}-h1"])


def test_a_capture_ends_with_its_lab(bare: Lab) -> None:
    bare.capture("h1")
    process = bare.journal.process("h1/tcpdump")
    assert process is not None
    bare.down()
    assert ProcessId.of(process.id.pid) != process.id


def test_a_process_killed_twice_is_no_error(bare: Lab) -> None:
    bare.host("h1").switch.kill_vswitchd(signal.SIGTERM)
    with pytest.raises(LabError, match="does not run"):
        bare.host("h1").switch.kill_vswitchd()


def test_an_etcd_lab_serves_its_hosts_and_the_outside_and_keeps_its_data_when_it_is_killed() -> None:
    with Lab.up(f"t{os.getpid()}-etcd", hosts=1, store="etcd") as lab:
        network = lab.network("blue", "10.0.0.0/24")
        lab.host("h1").run("etcdctl", "--endpoints", lab.settings.agents_store_url[7:], "endpoint", "health")
        lab.storage.stop()
        lab.storage.start()
        assert lab.frontend.run(lambda intent: intent.networks.list()) == [network]
