"""Versioned JSON of entities.

A field that this version does not know is kept and written back as it came; a `schema` newer than ours means
that known fields changed their meaning, and is refused with a clear error. Nothing is dropped silently.
"""

from functools import cache
from typing import TypeVar

import msgspec

from plait.model.checks import Invalid
from plait.model.entities import Entity

SCHEMA = 1

E = TypeVar("E", bound=Entity)

_encoder = msgspec.json.Encoder()


class SchemaTooNew(Invalid):
    """Written by a newer Plait in a way that this one can't understand."""


@cache
def _decoder(kind: type[E]) -> msgspec.json.Decoder[E]:
    return msgspec.json.Decoder(kind)


def encode(entity: Entity) -> bytes:
    """One JSON object with `schema` first; defaults are left out, unknown fields stand at the end."""
    extra = entity.extra
    body = _encoder.encode(msgspec.structs.replace(entity, extra=(), schema=SCHEMA) if extra else entity)
    parts = [b'{"schema":%d' % SCHEMA]
    if body != b"{}":
        parts.append(body[1:-1])
    parts.extend(b"%s:%s" % (_encoder.encode(name), raw.encode()) for name, raw in extra)
    return b",".join(parts) + b"}"


def decode(kind: type[E], data: bytes) -> E:
    """Raises `SchemaTooNew`, or `Invalid` with the field that is wrong."""
    try:
        entity: E = _decoder(kind).decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _decode_newer(kind, data, error)
    if entity.schema > SCHEMA or entity.extra:
        return _decode_newer(kind, data, Invalid("'extra' is not a stored field"))
    return entity


def _decode_newer(kind: type[E], data: bytes, why: Exception) -> E:
    """The slow way: sorts out fields of a newer version, or says what is wrong."""
    try:
        fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        schema = msgspec.json.decode(fields.get("schema", b"1"), type=int)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid(f"{kind.kind} is not a JSON object of ours: {why}") from None
    if schema > SCHEMA:
        way_out = f"this version of Plait knows up to {SCHEMA}: upgrade this host"
        raise SchemaTooNew(f"{kind.kind} has schema {schema}, {way_out}")
    known = {field.encode_name for field in msgspec.structs.fields(kind)} - {"extra"}
    unknown = tuple((name, bytes(raw).decode()) for name, raw in fields.items() if name not in known)
    if not unknown:
        raise Invalid(f"{kind.kind}: {why}") from None
    try:
        known_part = {name: raw for name, raw in fields.items() if name in known}
        entity: E = _decoder(kind).decode(_encoder.encode(known_part))
    except msgspec.DecodeError as error:
        raise Invalid(f"{kind.kind}: {error}") from None
    return msgspec.structs.replace(entity, extra=unknown)
