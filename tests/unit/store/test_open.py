import subprocess
import sys

import pytest

from plait.store.api import StoreError
from plait.store.etcd import EtcdStore
from plait.store.memory import MemoryStore
from plait.store.open import open_store, without_password
from plait.store.sqlite import SqliteStore


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("memory:", MemoryStore),
        ("sqlite:///var/lib/plait/plait.db", SqliteStore),
        ("sqlite:///var/lib/plait/plait.db?synchronous=normal", SqliteStore),
        ("etcd://localhost", EtcdStore),
        ("etcd://10.0.0.1:2379,10.0.0.2:2379", EtcdStore),
        ("etcd://[::1]:2379,[2001:db8::1]/", EtcdStore),
        ("etcd://user:secret@etcd-1.example:2379", EtcdStore),
        ("etcds://etcd-1.example:2379", EtcdStore),
    ],
)
def test_a_valid_url_gives_its_driver_without_touching_anything(url, driver):
    assert isinstance(open_store(url), driver)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "plait",
        "memory",
        "memory:x",
        "memory:///x",
        "sqlite:",
        "sqlite://plait.db",
        "sqlite://host/plait.db",
        "sqlite:///plait#1.db",
        "etcd:",
        "etcd:///x",
        "etcd://host/path",
        "http://host:2379",
        "etcd3://host:2379",
        "etcd://[::1",
    ],
)
def test_a_wrong_url_is_named_with_the_valid_forms_in_one_line(url):
    with pytest.raises(StoreError) as caught:
        open_store(url)
    message = str(caught.value)
    assert repr(url) in message
    assert "sqlite:///var/lib/plait/plait.db" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///plait.db?sync=off", "option 'sync'"),
        ("sqlite:///plait.db?synchronous=off", "use full or normal"),
        ("etcd://host?ca=ca.pem", "use etcds://"),
        ("etcds://host?ca=missing.pem", "missing.pem"),
        ("etcds://host?cert=cert.pem", "both, or none"),
        ("etcd://host:99999", "'host:99999'"),
        ("etcd://host:0", "'host:0'"),
        ("etcd://host:port", "'host:port'"),
        ("etcd://one,,two", "''"),
        ("etcd://a b", "'a b'"),
        ("etcd://user@host", "PLAIT_STORE_PASSWORD"),
        ("etcd://user@host?password-file=missing", "password file missing"),
    ],
)
def test_a_wrong_part_of_a_url_is_named(url, expected, monkeypatch):
    monkeypatch.delenv("PLAIT_STORE_PASSWORD", raising=False)
    with pytest.raises(StoreError, match=r"store URL|etcd with TLS") as caught:
        open_store(url)
    assert expected in str(caught.value)


def login_of(url):
    return open_store(url)._client._login


def test_a_password_comes_from_the_url_or_a_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("PLAIT_STORE_PASSWORD", "of the environment")
    file = tmp_path / "password"
    file.write_text("of the file\n")
    assert login_of("etcd://me:p%40ss@host").password == "p@ss"
    assert login_of(f"etcd://me@host?password-file={file}").password == "of the file"
    assert login_of("etcd://me@host").password == "of the environment"
    assert login_of("etcd://host") is None


@pytest.mark.parametrize(
    "url",
    [
        "http://user:secret@host:2379/path",
        "etcd://user:secret@host/path",
        "etcd://user:secret@host:port",
        "etcd://user:sec:ret@host:port",
        "etcd://user:secret@host:1?nonsense=1",
        "etcd://user:secret@[::1",
        "etcd://user:sec/secret@host",
        "etcd://user:secret\u2100@host",
        "etcd://user:?secret@host",
    ],
)
def test_no_error_shows_a_password(url):
    with pytest.raises(StoreError) as caught:
        open_store(url)
    assert "secret" not in str(caught.value)
    assert "ret@" not in str(caught.value)


def test_a_url_can_be_shown_without_its_password():
    assert without_password("etcd://user:sec:r@t@host:1,host:2") == "etcd://user:***@host:1,host:2"
    assert without_password("sqlite:///a:b@c") == "sqlite:///a:b@c"
    assert without_password("etcd://host:2379") == "etcd://host:2379"
    assert "secret" not in repr(login_of("etcd://user:secret@host"))


def test_only_who_uses_etcd_imports_grpc():
    program = (
        "import sys; from plait.store.open import open_store;"
        "open_store('memory:'); open_store('sqlite:///x');"
        "sys.exit('grpc' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
