"""Who is told what by whom, when a packet goes no further. The world is that of routed traces."""

from ipaddress import ip_address

import pytest
from tests.trace.routed_scene import A, B, M, X, gateway_mac, world

from plait.agent.engine import Engine
from plait.agent.services.icmp_errors import IcmpErrors
from plait.agent.services.punted import Punted
from plait.flows.address_numbers import mac_number
from plait.model.facets import Change
from plait.model.routers import RouterInterface
from plait.wire.errors import MalformedMessage
from plait.wire.icmp import IcmpError

R1, R3 = 1001, 1003
WEB, DB, TWIN = 100, 200, 400
OTHERS = [IcmpError.TIME_EXCEEDED, IcmpError.NO_ROUTE, IcmpError.NO_HOST]


@pytest.fixture
def errors() -> IcmpErrors:
    engine = Engine("h1")
    engine.view = world()
    return IcmpErrors(engine)


def v4(source: str, target: str, payload: bytes = bytes(8)) -> bytes:
    length = (20 + len(payload)).to_bytes(2, "big")
    ends = ip_address(source).packed + ip_address(target).packed
    return bytes(12) + b"\x08\0\x45\0" + length + b"\0\0\0\0\x40\x11\0\0" + ends + payload


def v6(source: str, target: str, payload: bytes = bytes(8)) -> bytes:
    ends = ip_address(source).packed + ip_address(target).packed
    return bytes(12) + b"\x86\xdd\x60\0\0\0" + len(payload).to_bytes(2, "big") + b"\x11\x40" + ends + payload


def heads(answer: bytes | None) -> tuple[str, str, str, str]:
    """MACs to and from, addresses from and to."""
    assert answer is not None
    start, size = (26, 4) if answer[12] == 8 else (22, 16)
    source, target = answer[start : start + size], answer[start + size : start + 2 * size]
    return answer[:6].hex(":"), answer[6:12].hex(":"), str(ip_address(source)), str(ip_address(target))


@pytest.mark.parametrize("error", OTHERS)
def test_the_gateway_of_the_senders_network_tells(errors: IcmpErrors, error: IcmpError) -> None:
    tell = errors.telling(error)
    # By the time that nobody has the address, the packet is in the network where it was to end.
    for vni in (WEB, DB):
        answer = tell(Punted(1, vni, v4(A.ip, "10.2.0.99"), router=R1))
        assert heads(answer) == (A.mac, gateway_mac("web", 4), "10.1.0.1", A.ip)
        answer = tell(Punted(1, vni, v6(A.ip6, "fd00:2::99"), router=R1))
        assert heads(answer) == (A.mac, gateway_mac("web", 6), "fd00:1::1", A.ip6)
    answer = tell(Punted(4, TWIN, v4(X.ip, B.ip), router=R3))
    assert heads(answer) == (X.mac, gateway_mac("twin", 4), "10.1.0.1", X.ip)


def test_a_routed_packet_that_is_too_large_is_told_the_mtu_of_the_next_network(errors: IcmpErrors) -> None:
    tell = errors.telling(IcmpError.TOO_BIG)
    answer = tell(Punted(1, DB, v4(A.ip, B.ip, bytes(1380)), router=R1))
    assert heads(answer) == (A.mac, gateway_mac("web", 4), "10.1.0.1", A.ip)
    assert answer is not None
    assert (answer[34], answer[35], int.from_bytes(answer[40:42], "big")) == (3, 4, 1300)
    answer = tell(Punted(1, DB, v6(A.ip6, B.ip6, bytes(1380)), router=R1))
    assert heads(answer) == (A.mac, gateway_mac("web", 6), "fd00:1::1", A.ip6)
    assert answer is not None
    assert (answer[54], answer[55], int.from_bytes(answer[58:62], "big")) == (2, 0, 1300)


def test_that_nobody_listens_says_the_address_where_nobody_does(errors: IcmpErrors) -> None:
    tell = errors.telling(IcmpError.NO_PORT)
    for asked in ("10.1.0.1", "10.2.0.1", "10.3.0.1"):
        answer = tell(Punted(1, WEB, v4(A.ip, asked), router=R1))
        assert heads(answer) == (A.mac, gateway_mac("web", 4), asked, A.ip)


def test_inside_a_network_the_receiver_tells(errors: IcmpErrors) -> None:
    frame = bytes(6) + mac_number(A.mac).to_bytes(6, "big") + v4(A.ip, "10.1.0.20")[12:]
    answer = errors.telling(IcmpError.TOO_BIG)(Punted(1, WEB, frame))
    assert heads(answer) == (A.mac, "00:00:00:00:00:00", "10.1.0.20", A.ip)


def test_of_several_interfaces_on_a_network_the_one_of_the_senders_subnet_tells(errors: IcmpErrors) -> None:
    other = RouterInterface(
        router="r1", network="web", subnet="another", prefix="10.6.0.0/24", address="10.6.0.1",
        mac="02:00:00:00:77:01",
    )  # fmt: skip
    errors._engine.view.apply([Change(RouterInterface, other.id, other)])
    tell = errors.telling(IcmpError.NO_ROUTE)
    assert heads(tell(Punted(5, WEB, v4("10.6.0.7", "10.99.0.1"), router=R1)))[1:3] == (other.mac, "10.6.0.1")
    # A sender that no subnet has is behind an endpoint that may send from any address.
    assert heads(tell(Punted(5, WEB, v4("8.8.8.8", "10.99.0.1"), router=R1)))[0] == M.mac


@pytest.mark.parametrize("target", ["10.1.0.255", "10.2.0.255", "10.3.0.255"])
def test_of_what_is_for_all_of_a_subnet_nothing_is_told(errors: IcmpErrors, target: str) -> None:
    assert errors.telling(IcmpError.NO_HOST)(Punted(1, WEB, v4(A.ip, target), router=R1)) is None


@pytest.mark.parametrize(
    "punted",
    [
        Punted(99, WEB, v4(A.ip, B.ip), router=R1),
        Punted(1, WEB, v4(A.ip, B.ip), router=R3),
        Punted(1, WEB, v4(A.ip, B.ip), router=4711),
        Punted(1, WEB, v4(A.ip, B.ip)),
        Punted(1, WEB, v4("224.0.0.1", B.ip), router=R1),
    ],
    ids=["a port that is gone", "another network's router", "no router", "none at all", "a sender of many"],
)
def test_where_nobody_can_tell_nothing_is_told(errors: IcmpErrors, punted: Punted) -> None:
    assert errors.telling(IcmpError.TIME_EXCEEDED)(punted) is None


def test_what_is_no_packet_is_refused(errors: IcmpErrors) -> None:
    for error in IcmpError:
        with pytest.raises(MalformedMessage):
            errors.telling(error)(Punted(1, WEB, b"\0" * 30, router=R1))
