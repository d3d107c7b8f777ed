import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from plait.net.stream import TcpTarget, TlsFiles, UnixTarget, Unreachable, dial, parse_target


@pytest.mark.parametrize(
    ("target", "parsed"),
    [
        ("unix:/run/openvswitch/db.sock", UnixTarget("/run/openvswitch/db.sock")),
        ("unix:a:b", UnixTarget("a:b")),
        ("tcp:192.0.2.1:6640", TcpTarget("192.0.2.1", 6640, is_tls=False)),
        ("ssl:[2001:db8::1]:6640", TcpTarget("2001:db8::1", 6640, is_tls=True)),
        ("tcp:switch.example:6640", TcpTarget("switch.example", 6640, is_tls=False)),
    ],
)
def test_targets_are_written_as_open_vswitch_writes_them(target: str, parsed: object) -> None:
    assert parse_target(target) == parsed


@pytest.mark.parametrize("target", ["", "unix:", "/x", "tcp:h", "tcp::1", "tcp:h:0", "tcp:h:x", "udp:h:1"])
async def test_a_wrong_target_is_named_with_the_right_forms(target: str) -> None:
    with pytest.raises(Unreachable, match=r"unix:/path/to/socket, tcp:host:port or ssl:host:port") as error:
        await dial(target)

    assert error.value.target == target


async def test_a_missing_socket_says_what_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="is Open vSwitch running"):
        await dial(f"unix:{tmp_path}/none.sock")


async def test_a_socket_left_over_says_so(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(f"{tmp_path}/old.sock")

    with pytest.raises(Unreachable, match="left over"):
        await dial(f"unix:{tmp_path}/old.sock")


async def test_a_closed_port_says_so(free_port: int) -> None:
    with pytest.raises(Unreachable, match="nothing listens there"):
        await dial(f"tcp:127.0.0.1:{free_port}")


async def test_an_unknown_name_is_named() -> None:
    with pytest.raises(Unreachable, match=r"no-such-host\.invalid"):
        await dial("tcp:no-such-host.invalid:6640")


async def test_a_host_that_does_not_answer_is_given_up(free_port: int) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]  # fill the backlog, the next SYN stays unanswered
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", free_port))
        try:
            with pytest.raises(Unreachable, match=r"no answer within 0\.1 s"):
                await dial(f"tcp:127.0.0.1:{free_port}", timeout_s=0.1)
        finally:
            for sock in waiting:
                sock.close()


async def test_tls_needs_its_files() -> None:
    with pytest.raises(Unreachable, match="a CA, a certificate and a private key"):
        await dial("ssl:127.0.0.1:6640")


async def test_files_that_are_missing_or_wrong_are_named(make_tls: Callable[[str], TlsFiles]) -> None:
    good = make_tls("client")
    cases = [
        (TlsFiles("/none/ca.pem", good.certificate, good.private_key), "/none/ca.pem"),
        (TlsFiles(good.ca, "/none/cert.pem", good.private_key), "/none/cert.pem"),
        (TlsFiles(good.ca, good.certificate, good.ca), "private key"),
    ]
    for files, words in cases:
        with pytest.raises(Unreachable, match=words):
            await dial("ssl:127.0.0.1:6640", files)


async def test_a_peer_that_speaks_no_tls_is_told_apart(make_tls: Callable[[str], TlsFiles]) -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello, this is plain text\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unreachable, match=r"TLS: .*does the peer speak TLS"):
            await dial(f"ssl:127.0.0.1:{port}", make_tls("client"))
