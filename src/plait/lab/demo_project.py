"""The demo's second act: what a project has inside. Two networks, a router, groups, and who may do what."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from plait.lab.endpoint import Endpoint
from plait.lab.errors import LabError
from plait.lab.lab import Lab
from plait.lab.streams import TcpStream
from plait.lab.waiting import WaitedInVain, wait_until

SUBNETS = {"web": ("10.1.0.0/24", "fd00:1::/64"), "db": ("10.2.0.0/24", "fd00:2::/64")}
GATEWAYS = {"web": ("10.1.0.1", "fd00:1::1"), "db": ("10.2.0.1", "fd00:2::1")}
PLACES = {"web-1": ("web", "h1"), "web-2": ("web", "h3"), "db-1": ("db", "h2")}
PORT = 5432


class Stage(Protocol):
    """What an act needs of the demo: a lab, and to show and check what happens there."""

    lab: Lab

    def say(self, text: str) -> None: ...

    def claim(self, text: str, *, holds: bool) -> None: ...

    def plait(self, *arguments: str) -> str: ...


def play(stage: Stage) -> None:
    """All scenes."""
    web, other, db = _route(stage)
    _filter(stage, web, other, db)
    _cut(stage, web, db)


def _route(stage: Stage) -> list[Endpoint]:
    stage.say("Two networks and a router: every host is the gateway of its own containers")
    for network, subnets in SUBNETS.items():
        stage.lab.network(network, *subnets)
    stage.plait("router", "create", "edge")
    stage.plait("router", "interface", "add", "edge", "--network", "web", "--network", "db")
    endpoints = []
    for name, (network, host) in PLACES.items():
        endpoint = stage.lab.endpoint(name, network=network, host=host)
        for gateway in GATEWAYS[network]:
            endpoint.exec("ip", "route", "replace", "default", "via", gateway)
        endpoints.append(endpoint)
    web, _, db = endpoints
    for address in (db.v4, db.v6):
        stage.claim(
            f"web-1 on h1 reaches db-1 on h2, which is in the other network, at {address}",
            holds=_soon(partial(web.reaches, address)),
        )
    stage.claim("the gateway answers web-1", holds=web.reaches(GATEWAYS["web"][0]))
    return endpoints


def _filter(stage: Stage, web: Endpoint, other: Endpoint, db: Endpoint) -> None:
    stage.say(f"Groups: only those in 'app' may reach the database, and only by TCP to port {PORT}")
    stage.plait("group", "create", "app")
    stage.plait("group", "create", "database")
    sql = ("--name", "sql", "--protocol", "tcp", "--port", str(PORT), "--group", "app")
    stage.plait("rule", "add", "database", *sql)
    stage.plait("group", "member", "add", "app", "web-1")
    stage.plait("group", "member", "add", "database", "db-1")
    for address in (db.v4, db.v6):
        stage.claim(
            f"web-1 connects to port {PORT} of {address}",
            holds=_soon(partial(_connects, web, db, address)),
        )
    stage.claim("nobody pings it any more", holds=_soon(lambda: not web.reaches(db.v4)))
    stage.claim("web-2, which is not in the group, can't connect", holds=not _connects(other, db, db.v4))
    for source, decides in (
        ("web-1", "allowed by rule 'sql'"),
        ("web-2", "denied by default of group 'database'"),
    ):
        said = stage.plait("why", source, "db-1", "--port", str(PORT))
        stage.claim(f"`why` says so of {source}, without a packet: {decides}", holds=decides in said)


def _cut(stage: Stage, web: Endpoint, db: Endpoint) -> None:
    stage.say("The rule is removed under a running stream: what is established is cut, too")
    stream = TcpStream(web.namespace, db.namespace, db.v4, port=PORT).start()
    stage.claim("the stream runs", holds=stream.wait_received(1))
    stage.plait("rule", "remove", "database", "sql")
    stage.claim("it stands still", holds=_soon(lambda: not stream.wait_received(1, timeout_s=1)))
    stream.stop(timeout_s=0.1)


def _connects(source: Endpoint, target: Endpoint, address: str) -> bool:
    try:
        stream = TcpStream(
            source.namespace, target.namespace, address, port=PORT, connect_timeout_s=1
        ).start()
    except LabError:
        return False
    stream.wait_received(1)
    return stream.stop().whole


def _soon(condition: Callable[[], bool]) -> bool:
    """What a command asked for is there a few milliseconds after it has answered."""
    try:
        return wait_until(condition, "the claim", timeout_s=5)
    except WaitedInVain:
        return False
