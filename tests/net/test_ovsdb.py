import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from plait.net.ovsdb import ConnectionLost, OvsdbConnection
from plait.net.stream import TlsFiles, Unreachable
from plait.wire.ovsdb.jsonrpc import Reply, Request, Splitter, encode
from plait.wire.ovsdb.operations import OvsdbError, delete, insert, mutate, require, select
from plait.wire.ovsdb.replica import RowChange
from plait.wire.ovsdb.values import NamedUuid, as_map, as_set

BRIDGES = {"Bridge": ["name", "external_ids", "ports", "flood_vlans"], "Open_vSwitch": ["bridges"]}


@pytest.fixture
async def connection(database: Any) -> AsyncIterator[OvsdbConnection]:
    connection = await OvsdbConnection.connect(database.target)
    yield connection
    await connection.close()


def new_bridge(name: str) -> list[Any]:
    bridge = insert("Bridge", {"name": name}, named="b")
    return [bridge, mutate("Open_vSwitch", [], [("bridges", "insert", [NamedUuid("b")])])]


async def test_a_transaction_answers_every_operation(connection: OvsdbConnection) -> None:
    made, linked = await connection.transact(*new_bridge("br-a"))
    (found,) = await connection.transact(select("Bridge", [("name", "==", "br-a")], ["_uuid", "name"]))

    assert linked.count == 1
    assert found.rows == ({"_uuid": made.uuid, "name": "br-a"},)


async def test_a_refused_transaction_says_why_and_changes_nothing(connection: OvsdbConnection) -> None:
    await connection.transact(*new_bridge("br-a"))

    with pytest.raises(OvsdbError, match=r"constraint violation: .*br-a") as error:
        await connection.transact(*new_bridge("br-a"))

    assert error.value.error == "constraint violation"
    with pytest.raises(OvsdbError, match=r"delete Bridge: referential integrity|to commit") as error:
        await connection.transact(delete("Bridge", []))
    with pytest.raises(OvsdbError, match=r"insert Bridge 'br-c': .*colour") as error:
        await connection.transact(insert("Bridge", {"name": "br-c", "colour": "red"}))
    assert error.value.index == 0
    (found,) = await connection.transact(select("Bridge", [], ["name"]))
    assert found.rows == ({"name": "br-a"},)


async def test_a_condition_that_does_not_hold_refuses_the_transaction(connection: OvsdbConnection) -> None:
    with pytest.raises(OvsdbError, match="timed out"):
        await connection.transact(require("Open_vSwitch", [], []), *new_bridge("br-a"))


async def test_wrong_calls_are_refused_in_the_servers_words(connection: OvsdbConnection) -> None:
    with pytest.raises(OvsdbError, match="No operation"):
        await connection.transact({"op": "borrow"})
    with pytest.raises(OvsdbError, match="unknown method"):
        await connection.call("borrow")
    with pytest.raises(OvsdbError, match="no table named Birdge"):
        await connection.monitor({"Birdge": ["name"]})


async def test_the_replica_shows_what_a_transaction_did_when_it_returns(connection: OvsdbConnection) -> None:
    replica = await connection.monitor(BRIDGES)

    for number in range(20):
        made, _ = await connection.transact(*new_bridge(f"br-{number}"))
        assert made.uuid is not None
        assert replica.rows("Bridge")[made.uuid]["name"] == f"br-{number}"


async def test_sets_and_maps_are_followed_through_many_changes(
    database: Any, connection: OvsdbConnection
) -> None:
    database.vsctl("add-br", "br-a")
    replica = await connection.monitor(BRIDGES)
    (uuid,) = replica.rows("Bridge")
    steps: list[tuple[str, str, Any]] = [
        ("external_ids", "insert", {"a": "1", "b": "2"}),
        ("flood_vlans", "insert", [1, 2, 3]),
        ("external_ids", "delete", {"a": "1"}),
        ("flood_vlans", "delete", [2]),
        ("external_ids", "insert", {"c": "3"}),
        ("flood_vlans", "delete", [1, 3]),
        ("external_ids", "delete", ["b", "c"]),
    ]
    for step in steps:
        await connection.transact(mutate("Bridge", [], [step]))
        (actual,) = await connection.transact(select("Bridge", [], ["external_ids", "flood_vlans"]))
        row = replica.rows("Bridge")[uuid]
        assert as_map(row.get("external_ids")) == as_map(actual.rows[0]["external_ids"])
        assert as_set(row.get("flood_vlans")) == as_set(actual.rows[0]["flood_vlans"])


async def test_changes_by_others_arrive_coalesced_by_row(database: Any, connection: OvsdbConnection) -> None:
    replica = await connection.monitor(BRIDGES)
    changes = connection.changes()
    database.vsctl("add-br", "br-a")
    database.vsctl("set", "bridge", "br-a", "external_ids:k=v")
    # Our own transaction comes back behind all of theirs.
    await connection.transact(mutate("Bridge", [], [("external_ids", "insert", {"ours": "1"})]))

    seen = [change for change in await anext(changes) if change.table == "Bridge"]

    (uuid,) = replica.rows("Bridge")
    assert seen == [RowChange("Bridge", uuid, None, replica.rows("Bridge")[uuid])]
    assert as_map(replica.rows("Bridge")[uuid]["external_ids"]) == {"k": "v", "ours": "1"}


async def test_a_killed_server_ends_everything_and_a_new_connection_sees_what_is(database: Any) -> None:
    connection = await OvsdbConnection.connect(database.target)
    before = await connection.monitor(BRIDGES)
    await connection.transact(*new_bridge("br-a"))
    changes = connection.changes()
    await anext(changes)
    rows = before.rows("Bridge")
    database.signal(signal.SIGSTOP)
    waiting = asyncio.ensure_future(connection.transact(select("Bridge", [], ["name"])))
    await asyncio.sleep(0)

    database.kill()

    with pytest.raises(ConnectionLost, match=r"db\.sock"):
        await waiting
    with pytest.raises(StopAsyncIteration):
        await anext(changes)
    with pytest.raises(ConnectionLost):
        await connection.transact(select("Bridge", [], ["name"]))
    with pytest.raises(Unreachable):
        await OvsdbConnection.connect(database.target)
    assert await connection.wait_lost() == connection.lost_reason
    await connection.close()

    database.start()
    database.vsctl("add-br", "br-b")
    again = await OvsdbConnection.connect(database.target)
    after = await again.monitor(BRIDGES)
    assert {row["name"] for row in after.rows("Bridge").values()} == {"br-a", "br-b"}
    assert rows.keys() < after.rows("Bridge").keys()
    await again.close()


async def test_a_server_that_hangs_is_noticed_by_the_echo(database: Any) -> None:
    connection = await OvsdbConnection.connect(database.target, keepalive_s=0.05)
    assert await connection.call("list_dbs") == ["Open_vSwitch", "_Server"]

    database.signal(signal.SIGSTOP)

    assert "silent" in await connection.wait_lost()
    database.signal(signal.SIGCONT)
    await connection.close()


async def test_a_server_that_answers_every_echo_is_kept() -> None:
    echoes: list[Request] = []
    are_enough = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        splitter = Splitter()
        while data := await reader.read(1000):
            for message in splitter.receive(data):
                assert isinstance(message, Request)
                echoes.append(message)
                writer.write(encode(Reply(message.id, message.params, None)))
            if len(echoes) >= 10:
                are_enough.set()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connection = await OvsdbConnection.connect(f"tcp:127.0.0.1:{port}", keepalive_s=0.2)
        await are_enough.wait()
        assert connection.lost_reason is None
        await connection.close()

    assert {echo.method for echo in echoes} == {"echo"}


async def test_a_cancelled_call_disturbs_nobody(connection: OvsdbConnection) -> None:
    call = asyncio.ensure_future(connection.call("list_dbs"))
    await asyncio.sleep(0)
    call.cancel()

    assert await connection.call("list_dbs") == ["Open_vSwitch", "_Server"]


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400\r\n\r\n",
        b'{"id":99,"result":[]}',
        b'{"method":"update2","params":["plait",{"Bridge":1}]}',
        b'{"id":1,"result":{"tables":{"Bridge":5}},"error":null}',
    ],
)
async def test_a_server_that_sends_nonsense_is_left(garbage: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        schema = b'{"id":1,"result":{"tables":{"Bridge":{"columns":{}}}},"error":null}'
        if b"update2" in garbage:
            writer.write(schema + b'{"id":2,"result":{},"error":null}')
        writer.write(garbage)
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connection = await OvsdbConnection.connect(f"tcp:127.0.0.1:{port}")
        with contextlib.suppress(ConnectionLost):
            await connection.monitor({"Bridge": ["name"]})
        assert "not OVSDB" in await connection.wait_lost()


async def test_tcp_works_as_unix_sockets_do(start_database: Callable[..., Any], free_port: int) -> None:
    start_database(f"--remote=ptcp:{free_port}:127.0.0.1")

    connection = await OvsdbConnection.connect(f"tcp:127.0.0.1:{free_port}")
    await connection.transact(*new_bridge("br-a"))
    replica = await connection.monitor(BRIDGES)

    assert [row["name"] for row in replica.rows("Bridge").values()] == ["br-a"]
    await connection.close()


async def test_tls_lets_in_who_the_authority_signed_and_nobody_else(
    start_database: Callable[..., Any], free_port: int, make_tls: Callable[..., TlsFiles]
) -> None:
    server, client = make_tls("server"), make_tls("client")
    start_database(
        f"--remote=pssl:{free_port}:127.0.0.1",
        f"--private-key={server.private_key}",
        f"--certificate={server.certificate}",
        f"--ca-cert={server.ca}",
    )
    target = f"ssl:127.0.0.1:{free_port}"

    connection = await OvsdbConnection.connect(target, client)
    await connection.transact(*new_bridge("br-a"))
    await connection.close()

    stranger = make_tls("client", "other")
    with pytest.raises(Unreachable, match="not signed by the given CA"):
        await OvsdbConnection.connect(target, stranger)
    half = TlsFiles(client.ca, stranger.certificate, stranger.private_key)
    with pytest.raises((Unreachable, ConnectionLost)):  # TLS 1.3 tells of a refusal after the handshake
        await (await OvsdbConnection.connect(target, half)).call("list_dbs")
