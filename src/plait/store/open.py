"""From a store's URL to its driver."""

import os
import re
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from plait.store.api import Store, StoreError
from plait.store.memory import MemoryStore

FORMS = "memory:, sqlite:///var/lib/plait/plait.db, etcd://host:2379,host:2379, etcds://host:2379?ca=ca.pem"
"""What a store URL can look like, for error texts and documentation."""

PASSWORD_VARIABLE = "PLAIT_STORE_PASSWORD"
"""The environment variable that holds the password, for a URL that names a user and no password."""

_SQLITE_OPTIONS = ("synchronous",)
_ETCD_OPTIONS = ("ca", "cert", "key", "password-file")
_ETCD_PORT = 2379


def open_store(url: str) -> Store:
    """The store at `url`; nothing is opened or connected before its first use.

    memory:                                    one process, for tests
    sqlite:///path[?synchronous=normal]        a file that the processes of one machine share
    etcd://[user[:password]@]h1:2379,h2:2379   a cluster without TLS
    etcds://…?ca=file&cert=file&key=file       a cluster with TLS, and with a client certificate

    etcd also takes ?password-file=file; a password that is in neither comes from PLAIT_STORE_PASSWORD. Raises
    StoreError, without the password, if `url` is none of these or names a file that can't be read.
    """
    parts = _split(url)
    match parts.scheme:
        case "memory" if not (parts.netloc or parts.path or parts.query):
            return MemoryStore()
        case "sqlite" if parts.path and not parts.netloc:
            return _open_sqlite(parts)
        case "etcd" | "etcds" if parts.netloc and parts.path in ("", "/"):
            return _open_etcd(parts)
    raise _wrong(url)


def without_password(url: str) -> str:
    """`url` as it may be shown and logged.

    Hides up to the last "@": a password whose "/" or "@" isn't escaped must not show for that.
    """
    return re.sub(r"^(?!sqlite:)([^:]*://[^:@]*):.*@", r"\1:***@", url, flags=re.DOTALL)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError:
        # What it says may hold the password.
        raise _wrong(url) from None
    if parts.fragment:
        # It would be dropped in silence: of a path with "#" in it, another file would be left.
        raise _wrong(url)
    return parts


def _wrong(url: str) -> StoreError:
    return StoreError(f"store URL {without_password(url)!r} is none of: {FORMS}")


def _options(parts: SplitResult, allowed: tuple[str, ...]) -> dict[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in options:
        if name in allowed:
            continue
        if "@" in parts.query:
            # An unescaped "?" in a password makes the rest of it look like options.
            raise _wrong(parts.geturl())
        raise StoreError(f"store URL has the option {name!r}, {parts.scheme}: takes {', '.join(allowed)}")
    return options


def _open_sqlite(parts: SplitResult) -> Store:
    from plait.store.sqlite import SqliteStore

    match _options(parts, _SQLITE_OPTIONS).get("synchronous", "full"):
        case ("full" | "normal") as synchronous:
            return SqliteStore(unquote(parts.path), synchronous=synchronous)
        case other:
            raise StoreError(f"store URL has synchronous={other!r}: use full or normal")


def _open_etcd(parts: SplitResult) -> Store:
    # gRPC takes a tenth of a second to import, which only its users should pay.
    from plait.store.etcd import EtcdStore
    from plait.store.etcd_client import Login, Tls

    options = _options(parts, _ETCD_OPTIONS)
    files = {name: Path(options[name]) for name in ("ca", "cert", "key") if name in options}
    if files and parts.scheme == "etcd":
        raise StoreError("store URL names TLS files, and no TLS: use etcds:// instead of etcd://")
    login, _, addresses = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    return EtcdStore(
        [_endpoint(address) for address in addresses.split(",")],
        tls=Tls(**files) if parts.scheme == "etcds" else None,
        login=Login(unquote(user), _password(unquote(password), options, user)) if user else None,
    )


def _endpoint(address: str) -> str:
    """ "host:port" of an address that may have no port, and be an IPv6 address in brackets."""
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?", address)
    if match is None or not 0 < int(match[2] or _ETCD_PORT) < 1 << 16:
        raise StoreError(
            f"store URL names {address!r}: an etcd server is host:port, as etcd1:2379 or [::1]:2379"
        )
    return f"{match[1]}:{match[2] or _ETCD_PORT}"


def _password(in_url: str, options: dict[str, str], user: str) -> str:
    if in_url:
        return in_url
    if path := options.get("password-file"):
        try:
            return Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(f"store URL: password file {path}: {error}: name a readable file") from error
    if password := os.environ.get(PASSWORD_VARIABLE):
        return password
    raise StoreError(
        f"store URL names user {user!r} and no password: give ?password-file= or {PASSWORD_VARIABLE}"
    )
