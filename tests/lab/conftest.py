"""Labs for tests: real hosts, switches and agents, so all of this needs root and Open vSwitch."""

import os
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from types import FrameType

import pytest

from plait.intent import NotFound
from plait.lab.capture import Capture
from plait.lab.endpoint import Endpoint
from plait.lab.errors import LabError, require
from plait.lab.host import LabHost
from plait.lab.lab import Lab
from plait.lab.waiting import wait_until
from plait.model.entities import Network, Transport

_HERE = Path(__file__).parent
_numbers = count(1)

MakeNetwork = Callable[..., Network]
MakeEndpoint = Callable[..., Endpoint]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests below this folder need a lab; where none can be, they are skipped and say why.

    What looks at the traffic of the whole run comes last.
    """
    try:
        require("tcpdump", "etcd", "traceroute", "tracepath", "udhcpc", "dhclient", "dhcpcd")
        missing = ""
    except LabError as error:
        missing = str(error)
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.lab)
            if missing:
                item.add_marker(pytest.mark.skip(reason=missing))
    items.sort(key=lambda item: item.path == _HERE / "test_underlay.py")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failure what the agents said last."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for lab in item.funcargs.values():
            if isinstance(lab, Lab) and lab.directory.exists():
                for host in lab.hosts.values():
                    said = host.agent_log.read_text().splitlines()[-25:] if host.agent_log.exists() else []
                    report.sections.append((f"agent of {host.name}", "\n".join(said)))
    return report


@pytest.fixture(scope="session", autouse=True)
def _labs_go_down_on_termination() -> Iterator[None]:
    """SIGTERM ends the session in order, so that its labs are taken down."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, leave)
    yield
    signal.signal(signal.SIGTERM, before)


def lab_name() -> str:
    """Unique among all labs of this machine that run at the same time."""
    return f"t{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def bare() -> Iterator[Lab]:
    """Two hosts without agents."""
    with Lab.up(lab_name(), hosts=2) as lab:
        yield lab


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Three hosts with agents, shared by all tests that leave it as they found it."""
    with Lab.up(lab_name(), hosts=3) as lab:
        lab.start_agents()
        # Tunnels learn their next hops without a packet for them, a moment after the agents met.
        for host in lab.hosts.values():
            others = {other.address for other in lab.hosts.values() if other is not host}
            wait_until(partial(_are_next_hops, host, others), f"{host.name} knows where the others are")
        yield lab


def _are_next_hops(host: LabHost, addresses: set[str]) -> bool:
    return addresses <= set(host.switch.appctl("tnl/neigh/show").split())


@pytest.fixture(scope="session")
def underlay(lab: Lab) -> Capture:
    """A capture of all underlay links of the shared lab, from before its first endpoint on."""
    return lab.capture()


@pytest.fixture
def network(lab: Lab, underlay: Capture) -> Iterator[MakeNetwork]:
    """Makes networks with subnets 10.0.0.0/24 and fd00:10::/64; removed, with their ports, after the test."""
    made: list[Network] = []

    def make(transport: Transport = Transport.VXLAN) -> Network:
        made.append(lab.network(f"net-{next(_numbers)}", "10.0.0.0/24", "fd00:10::/64", transport=transport))
        return made[-1]

    yield make
    for each in made:
        # A test may have deleted it itself.
        with suppress(NotFound):
            lab.frontend.run(lambda intent, ref=each.id: intent.networks.delete(ref, cascade=True))


@pytest.fixture
def endpoint(lab: Lab, network: MakeNetwork) -> Iterator[MakeEndpoint]:
    """Makes endpoints with names of their own in the shared lab; removed after the test."""
    made: list[Endpoint] = []

    def make(network: Network, host: str, **options: object) -> Endpoint:
        name = f"e{next(_numbers)}"
        end = lab.endpoint(name, network=network.id, host=host, **options)  # type: ignore[arg-type]
        made.append(end)
        # Up is what its own host says; that the others know it too follows a moment later.
        ports = {port.id for port in lab.frontend.run(lambda intent: intent.ports.list(network=network.id))}
        others = [other for other in made if other.record.port in ports]
        for one, place in [(end, other.host) for other in others] + [(other, end.host) for other in others]:
            wait_until(partial(_knows, place, one.mac), f"{place.name} knows {one.name}")
        return end

    yield make
    for each in made:
        each.delete()


def _knows(host: LabHost, mac: str) -> bool:
    return f"dl_dst={mac}" in host.switch.ofctl("dump-flows", "br-int", "table=30")
