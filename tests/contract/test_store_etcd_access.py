"""What only the etcd driver can meet: logins and TLS."""

import asyncio
import subprocess
from contextlib import aclosing

import pytest

from plait.lab.etcd import EtcdServer, ServerTls
from plait.store.api import (
    ABSENT,
    Change,
    Committed,
    KeyAt,
    Put,
    Revision,
    Store,
    StoreError,
    StoreUnavailable,
)
from plait.store.etcd import EtcdStore
from plait.store.etcd_client import Login, Tls
from plait.store.open import open_store

PASSWORD = "correct horse"


def etcdctl(server: EtcdServer, *arguments: str) -> None:
    subprocess.run(["etcdctl", f"--endpoints={server.endpoint}", *arguments], check=True, capture_output=True)


def enable_logins(server: EtcdServer) -> None:
    """A root, a user `plait` that may touch its prefix, and none without a login."""
    etcdctl(server, "user", "add", "root:root password")
    etcdctl(server, "user", "grant-role", "root", "root")
    etcdctl(server, "role", "add", "plait")
    etcdctl(server, "role", "grant-permission", "plait", "--prefix=true", "readwrite", "plait/")
    etcdctl(server, "user", "add", f"plait:{PASSWORD}")
    etcdctl(server, "user", "grant-role", "plait", "plait")
    etcdctl(server, "auth", "enable")


async def put(store: Store, key: str, value: bytes = b"v") -> Revision:
    committed = await store.commit([], [Put(key, value)])
    assert isinstance(committed, Committed)
    return committed.revision


async def error_of(store: Store) -> StoreError:
    with pytest.raises(StoreError) as caught:
        await store.snapshot("plait/")
    return caught.value


async def test_a_login_opens_what_its_role_allows_and_nothing_else(server, opened):
    enable_logins(server)
    store = opened(EtcdStore([server.endpoint], login=Login("plait", PASSWORD)))
    lease = await store.grant(5)
    await store.commit([KeyAt("plait/a", ABSENT)], [Put("plait/a", b"1", lease)])
    await store.keep_alive(lease)
    async with aclosing(store.watch("plait/", Revision(1))) as watch:
        assert (await anext(watch)).changes == (Change("plait/a", b"1"),)
    with pytest.raises(StoreError, match="denies user 'plait'"):
        await store.snapshot("other/")
    async with aclosing(store.watch("other/", Revision(1))) as watch:
        with pytest.raises(StoreError, match="refuses to watch 'other/' for user 'plait'"):
            await anext(watch)


async def test_a_wrong_password_a_missing_and_an_unknown_user_are_told_apart_from_an_outage(server, opened):
    enable_logins(server)
    for login, expected in (
        (Login("plait", "wrong secret"), "refuses user 'plait': wrong name or password"),
        (Login("nobody", "wrong secret"), "refuses user 'nobody': wrong name or password"),
        (None, "wants a login: name a user"),
    ):
        error = await error_of(opened(EtcdStore([server.endpoint], login=login)))
        assert not isinstance(error, StoreUnavailable)
        assert expected in str(error)
        assert "wrong secret" not in str(error)
    wrong = opened(EtcdStore([server.endpoint], login=Login("plait", "wrong secret")))
    async with aclosing(wrong.watch("plait/", Revision(1))) as watch:
        with pytest.raises(StoreError, match="wrong name or password"):
            await anext(watch)


async def test_a_login_for_a_server_without_users_is_no_error(server, opened):
    store = opened(EtcdStore([server.endpoint], login=Login("plait", PASSWORD)))
    await put(store, "plait/a")


async def test_requests_and_watches_outlive_their_token(server, opened):
    """A restart invalidates every token (they are in the server's memory), as their age does."""
    enable_logins(server)
    store = opened(EtcdStore([server.endpoint], login=Login("plait", PASSWORD)))
    async with aclosing(store.watch("plait/a", Revision(1))) as first:
        await put(store, "plait/a")
        await anext(first)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        again = await put(store, "plait/a")
        assert (await anext(first)).revision == again
        await asyncio.to_thread(etcdctl, server, "--user=root:root password", "role", "add", "more")
        # The tables of users changed, so the token is outdated, on the stream that stands as well.
        async with aclosing(store.watch("plait/b", Revision(1))) as second:
            await put(store, "plait/b")
            assert (await anext(second)).changes == (Change("plait/b", b"v"),)
        again = await put(store, "plait/a")
        assert (await anext(first)).revision == again


async def test_tls_with_client_certificates_and_a_login(tmp_path, authority, opened):
    cert, key = authority.issue("server")
    client_cert, client_key = authority.issue("client")
    server = EtcdServer(tmp_path / "etcd", tls=ServerTls(cert, key, client_ca=authority.ca))
    server.start()
    try:
        url = f"{server.url}?ca={authority.ca}&cert={client_cert}&key={client_key}"
        store = opened(open_store(url))
        async with aclosing(store.watch("a", Revision(1))) as watch:
            await put(store, "a")
            assert (await anext(watch)).changes == (Change("a", b"v"),)
        anonymous = opened(EtcdStore([server.endpoint], tls=Tls(ca=authority.ca), timeout_s=1))
        assert "it refuses our certificate, or wants one" in str(await error_of(anonymous))
        plain = opened(EtcdStore([server.endpoint], timeout_s=1))
        assert "with TLS use etcds:// instead of etcd://" in str(await error_of(plain))
    finally:
        server.stop()


async def test_a_server_of_a_strange_authority_is_not_trusted(tmp_path, authority, stranger, opened):
    server = EtcdServer(tmp_path / "etcd", tls=ServerTls(*stranger.issue("server")))
    server.start()
    try:
        error = await error_of(opened(EtcdStore([server.endpoint], tls=Tls(ca=authority.ca), timeout_s=1)))
        assert "its certificate is not signed by the given CA" in str(error)
        trusting = opened(EtcdStore([server.endpoint], tls=Tls(ca=stranger.ca)))
        assert not (await trusting.snapshot("a")).items
    finally:
        server.stop()


async def test_tls_to_a_server_without_it_says_so(server, authority, opened):
    error = await error_of(opened(EtcdStore([server.endpoint], tls=Tls(ca=authority.ca), timeout_s=1)))
    assert "use etcd:// instead of etcds://" in str(error)


async def test_tls_files_are_checked_before_anything_is_asked(tmp_path, authority):
    cert, _ = authority.issue("client")
    _, other_key = authority.issue("other")
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("no certificate")
    for tls, expected in (
        (Tls(ca=tmp_path / "missing.pem"), "missing.pem"),
        (Tls(ca=rubbish), "rubbish.pem"),
        (Tls(ca=authority.ca, cert=cert), "both, or none"),
        (Tls(ca=authority.ca, cert=cert, key=other_key), "client.pem"),
    ):
        with pytest.raises(StoreError, match=expected):
            EtcdStore(["127.0.0.1:1"], tls=tls)
