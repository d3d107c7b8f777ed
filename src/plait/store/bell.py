"""A bell between processes: whoever commits rings, whoever watches wakes, and nobody polls.

The bell is an empty-looking file beside the database. Ringing writes one byte to it, and inotify(7) wakes the
others.

Rule 1: ring after the commit is visible, never before. (SQLite's write-ahead log can't be the bell: its last
write comes before the commit becomes visible; a watcher woken by it would look too early and then sleep on.)
Rule 2: no wake-up is lost. A process that is killed between commit and ring rings by dying: it holds the bell
open for writing, and when the kernel closes it, watchers are told (IN_CLOSE_WRITE), with the commit visible.
Rule 3: a ring says "look", not what happened. Rings melt into each other and spurious ones are harmless.
"""

import asyncio
import ctypes
import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from plait.store.api import StoreError

_IN_MODIFY = 0x002
_IN_ATTRIB = 0x004
_IN_CLOSE_WRITE = 0x008
_IN_DELETE_SELF = 0x400
_IN_MOVE_SELF = 0x800
_RUNG = _IN_MODIFY | _IN_CLOSE_WRITE
_GONE = _IN_ATTRIB | _IN_DELETE_SELF | _IN_MOVE_SELF
_EVENTS_BYTES = 16 * 1024

_libc = ctypes.CDLL(None, use_errno=True)


class Bell:
    """The bell of the database at `database`. One thread holds and rings it, the loop's thread listens."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._path = database.with_name(database.name + "-bell")
        self._fd = -1
        self._inotify = -1
        self._masks = ((self._path, _RUNG | _GONE), (database, _GONE))
        self._watched: set[int] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def hold(self) -> None:
        """Open the bell, or make it with the database's owner and mode: who may write one may ring the other.

        Call it before every commit: from then on this process rings at its death. Raises OSError.
        """
        if self._is_current():
            return
        self.release()
        like = self._database.stat()
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, like.st_mode & 0o777)
        made = os.fstat(self._fd)
        if (made.st_uid, made.st_gid) != (like.st_uid, like.st_gid) and os.geteuid() == 0:
            os.fchown(self._fd, like.st_uid, like.st_gid)
        if made.st_mode != like.st_mode and os.geteuid() in (0, made.st_uid):
            os.fchmod(self._fd, like.st_mode & 0o777)

    def ring(self) -> None:
        """Wake every listener on this machine, this process's own too."""
        try:
            os.pwrite(self._fd, b"\n", 0)
        except OSError:
            # A full disk may refuse even this byte; closing rings just as well.
            self.release()

    def listen(self, on_ring: Callable[[], None]) -> None:
        """Call `on_ring` in the running loop after every ring, and when the database is removed or replaced.

        Raises StoreError if the system has no inotify instance left.
        """
        self._inotify = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._inotify < 0:
            raise _inotify_error(ctypes.get_errno(), "fs.inotify.max_user_instances")
        self.watch_files()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._inotify, self._on_events, on_ring)

    def stop_listening(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._inotify)
            self._loop = None
        if self._inotify >= 0:
            os.close(self._inotify)
            self._inotify = -1
            self._watched = set()

    def release(self) -> None:
        """Let go of the file (which rings once more)."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def watch_files(self) -> bool:
        """Listen to the files as they are now; True if one of them is new, so that a ring may be missed.

        Somebody may remove the bell, and the next to commit makes a new one. Raises StoreError.
        """
        before = self._watched
        self._watched = {self._watch(path, mask) for path, mask in self._masks}
        return not self._watched <= before

    def _watch(self, path: Path, mask: int) -> int:
        """The number of the watch, the same for the same file; -1 if there is no file."""
        watched = int(_libc.inotify_add_watch(self._inotify, os.fsencode(path), mask))
        if watched < 0 and (code := ctypes.get_errno()) != errno.ENOENT:
            raise _inotify_error(code, "fs.inotify.max_user_watches")
        return watched

    def _on_events(self, on_ring: Callable[[], None]) -> None:
        with suppress(BlockingIOError):
            while os.read(self._inotify, _EVENTS_BYTES):
                pass
        on_ring()

    def _is_current(self) -> bool:
        """Whether the bell that is held is the one that others listen to; somebody may have removed it."""
        if self._fd < 0:
            return False
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._fd))
        except FileNotFoundError:
            return False


def _inotify_error(code: int, limit: str) -> StoreError:
    return StoreError(f"inotify: {os.strerror(code)}: raise {limit} (sysctl -w {limit}=1024)")
