"""The last view on disk: a journal of keys and values that an agent starts from while the store is away.

    header   "plait-view 1\n"
    frame    length (4) · CRC of length (4) · CRC of payload (4) · payload: MessagePack of [[key, value or
    nil], ...]

Rule 1: a frame counts as a whole. What a killed process left half written at the end is dropped.
Rule 2: a file that is wrong anywhere else is moved aside as `*.corrupt`; then the agent starts as if it
had none.
Rule 3: nothing here stops the agent. What can't be written is kept and written later, and `problem` says so.

`save` is called in the event loop, on purpose: it is one write of some hundred bytes into the page cache,
which takes microseconds. It does not wait for the disk: a killed agent loses nothing, and after a power
failure, which takes the switch's flows and all containers with it, an older view is as good. The journal
is rewritten in a thread.
"""

import os
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from struct import Struct

import msgspec
import structlog

log = structlog.get_logger("plait.cache")

HEADER = b"plait-view 1\n"
SPARE_BYTES = 1024 * 1024
"""A journal may grow to twice its size after the last rewriting, and so much more."""

_FRAME = Struct(">III")
_MAX_FRAME_BYTES = 1024 * 1024 * 1024

Entries = list[tuple[str, bytes | None]]

_decoder = msgspec.msgpack.Decoder(Entries)


class CorruptView(Exception):
    """The file is not what was written; the message says where."""


class DiskView:
    """Keys and values as they were last told. One process at a time; the folder is made if there is none."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.problem: str | None = None
        self._file: int | None = None
        self._size = 0
        self._limit = SPARE_BYTES
        self._owed: dict[str, bytes | None] = {}
        self._rewriting: _Rewriting | None = None

    def load(self) -> Mapping[str, bytes]:
        """What the last run saved, as far as it is whole; raises for nothing that the file holds or lacks."""
        self.close()
        try:
            return self._open_or_begin_anew()
        except OSError as error:
            self._trouble(error)
            return {}

    def save(self, changes: Iterable[tuple[str, bytes | None]]) -> None:
        """Keep `changes` (None removes the key), all or none; costs what they weigh, and not the view."""
        self._owed.update(changes)
        if not self._owed:
            return
        try:
            if self._file is None:
                self._open_or_begin_anew()
            self._append(list(self._owed.items()))
        except OSError as error:
            self._trouble(error)
            return
        self._owed.clear()
        if self.problem is not None:
            log.info("last view is saved again", path=str(self.path))
            self.problem = None
        self._rewrite_if_large()

    def close(self) -> None:
        """Let go of the file; waits for a rewriting under way."""
        if self._rewriting is not None:
            self._finish(self._rewriting)
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open_or_begin_anew(self) -> dict[str, bytes]:
        try:
            return self._open()
        except CorruptView as error:
            self._move_aside(str(error))
            return self._open()

    def _open(self) -> dict[str, bytes]:
        """Read the journal, cut off what is torn, and be ready to append."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        file = os.open(self.path, flags, 0o600)
        try:
            os.fchmod(file, 0o600)
            data = _read_all(file)
            state, good = replay(data)
            if good < len(data):
                log.info(
                    "end of the last view is torn and dropped",
                    path=str(self.path),
                    dropped_bytes=len(data) - good,
                )
            if not good:
                os.pwrite(file, HEADER, 0)
                good = len(HEADER)
            os.ftruncate(file, good)
        except BaseException:
            os.close(file)
            raise
        self._file, self._size = file, good
        live = sum(len(key) + len(value) for key, value in state.items())
        self._limit = 2 * live + SPARE_BYTES
        return state

    def _append(self, entries: Entries) -> None:
        assert self._file is not None
        frame = encode(entries)
        try:
            _write_all(self._file, frame, self._size)
        except OSError:
            # The half frame that a full disk may have left would hide what is written behind it.
            with suppress(OSError):
                os.ftruncate(self._file, self._size)
            raise
        self._size += len(frame)

    def _rewrite_if_large(self) -> None:
        """Once a journal has doubled, most of it is old, and rewriting costs no more than writing it did."""
        if self._rewriting is not None:
            if not self._rewriting.thread.is_alive():
                self._finish(self._rewriting)
        elif self._size > self._limit and self._file is not None:
            self._rewriting = _Rewriting(self.path, os.dup(self._file), self._size)

    def _finish(self, rewriting: "_Rewriting") -> None:
        """Put the rewritten journal in place of the old one, with what was appended meanwhile."""
        self._rewriting = None
        rewriting.thread.join()
        try:
            if rewriting.error is not None or self._file is None:
                raise rewriting.error or OSError("closed")
            tail = os.pread(self._file, self._size - rewriting.until, rewriting.until)
            _write_all(rewriting.target, tail, rewriting.size)
            os.rename(rewriting.path, self.path)
        except OSError as error:
            log.warning("last view can't be made smaller, going on", path=str(self.path), reason=str(error))
            rewriting.discard()
            self._limit = 2 * self._size
            return
        os.close(self._file)
        self._file, self._size = rewriting.target, rewriting.size + len(tail)
        self._limit = 2 * rewriting.size + SPARE_BYTES

    def _move_aside(self, reason: str) -> None:
        aside = self.path.with_name(self.path.name + ".corrupt")
        log.warning(
            "last view is unreadable and moved aside", path=str(self.path), to=str(aside), reason=reason
        )
        os.replace(self.path, aside)

    def _trouble(self, error: OSError) -> None:
        reason = error.strerror or str(error)
        if self.problem != reason:
            log.warning(
                "last view can't be kept on disk, going on without", path=str(self.path), reason=reason
            )
        self.problem = reason


class _Rewriting:
    """A thread that writes what counts of a journal's first `until` bytes to a new file.

    It closes `source`.
    """

    def __init__(self, path: Path, source: int, until: int) -> None:
        self.path = path.with_name(path.name + ".new")
        self.until = until
        self.target = -1
        self.size = 0
        self.error: OSError | None = OSError("the thread ended")
        self.thread = threading.Thread(target=self._run, args=(source,), name="plait-view", daemon=True)
        self.thread.start()

    def discard(self) -> None:
        if self.target >= 0:
            os.close(self.target)
        with suppress(OSError):
            self.path.unlink()

    def _run(self, source: int) -> None:
        try:
            state, _ = replay(_read_all(source)[: self.until])
            compact = HEADER + (encode(list(state.items())) if state else b"")
            self.target = os.open(
                self.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
            _write_all(self.target, compact, 0)
            os.fsync(self.target)
            self.size = len(compact)
            self.error = None
        except CorruptView as error:
            self.error = OSError(str(error))
        except OSError as error:
            self.error = error
        finally:
            os.close(source)


def encode(entries: Entries) -> bytes:
    """One frame."""
    payload = msgspec.msgpack.encode(entries)
    length = len(payload)
    return _FRAME.pack(length, zlib.crc32(length.to_bytes(4, "big")), zlib.crc32(payload)) + payload


def replay(data: bytes) -> tuple[dict[str, bytes], int]:
    """What a journal says, and how many of its bytes are whole. Raises CorruptView."""
    if HEADER.startswith(data):
        return {}, 0 if data != HEADER else len(HEADER)
    if not data.startswith(HEADER):
        raise CorruptView(f"it begins with {data[: len(HEADER)]!r} instead of {HEADER!r}")
    state: dict[str, bytes] = {}
    good = len(HEADER)
    for entries, end in _frames(data):
        good = end
        for key, value in entries:
            if value is None:
                state.pop(key, None)
            else:
                state[key] = value
    return state, good


def _frames(data: bytes) -> Iterator[tuple[Entries, int]]:
    """Every whole frame and where it ends; what is torn at the end is left out."""
    offset = len(HEADER)
    while offset + _FRAME.size <= len(data):
        length, length_crc, payload_crc = _FRAME.unpack_from(data, offset)
        start = offset + _FRAME.size
        if zlib.crc32(data[offset : offset + 4]) != length_crc or length > _MAX_FRAME_BYTES:
            if not any(data[offset:]):
                return  # A power failure may leave a file's size without its contents: zeros.
            raise CorruptView(f"the frame at byte {offset} has a wrong length")
        if start + length > len(data):
            return
        payload = data[start : start + length]
        if zlib.crc32(payload) != payload_crc:
            if not any(data[start + length :]) and not payload.rstrip(b"\0"):
                return
            raise CorruptView(f"the frame at byte {offset} has a wrong checksum")
        try:
            yield _decoder.decode(payload), start + length
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise CorruptView(f"the frame at byte {offset} is not of ours: {error}") from None
        offset = start + length


def _read_all(file: int) -> bytes:
    size, offset, parts = os.fstat(file).st_size, 0, []
    while offset < size and (part := os.pread(file, size - offset, offset)):
        parts.append(part)
        offset += len(part)
    return b"".join(parts)


def _write_all(file: int, data: bytes, offset: int) -> None:
    while data:
        written = os.pwrite(file, data, offset)
        data, offset = data[written:], offset + written
