"""Processes known by pid *and* start time, so that a number used again is never taken for ours.

A process writes itself into the journal of the lab before it becomes the program that was asked for: there is
no moment at which it runs and is not on record.
"""

import json
import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from plait.lab.errors import LabError

# Runs in /bin/sh, keeps its pid through every exec: $1 is the journal, $2 the name, the rest the command.
_RECORD_THEN_EXEC = """
start() { shift 21; STARTED=$1; }
read -r STAT </proc/$$/stat
start $STAT
printf '{"process":"%s","pid":%d,"start":%s}\\n' "$2" $$ "$STARTED" >>"$1" || exit 125
shift 2
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A pid and when it began, in clock ticks since boot (proc(5), /proc/pid/stat field 22)."""

    pid: int
    start: int

    @classmethod
    def of(cls, pid: int) -> "ProcessId | None":
        """The process that has `pid` now; None if there is none, or only what is left of it (a zombie)."""
        fields = _stat(pid)
        return None if not fields or fields[0] in (b"Z", b"X") else cls(pid, int(fields[19]))

    @property
    def alive(self) -> bool:
        return ProcessId.of(self.pid) == self

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it is still the same process."""
        fd = self._open()
        if fd is not None:
            try:
                signal.pidfd_send_signal(fd, number)
            except ProcessLookupError:
                pass
            finally:
                os.close(fd)

    def wait_gone(self, timeout_s: float) -> bool:
        """True once it has ended; works for any process, not only our children (pidfd_open(2))."""
        fd = self._open()
        if fd is None:
            return True
        try:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            return bool(poll.poll(timeout_s * 1000))
        finally:
            os.close(fd)

    def _open(self) -> int | None:
        """A pidfd of this process; its start time is compared once the pid can't change hands."""
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        if self.alive:
            return fd
        os.close(fd)
        return None


@dataclass(slots=True)
class Process:
    """A running program of the lab."""

    name: str
    id: ProcessId
    _child: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def alive(self) -> bool:
        if self._child is not None and self._child.poll() is not None:
            return False
        return self.id.alive

    def kill(self, number: signal.Signals = signal.SIGKILL, *, timeout_s: float = 20) -> None:
        """Send `number` and wait until it has ended. Raises LabError if it has not after `timeout_s`."""
        self.id.signal(number)
        if not self.id.wait_gone(timeout_s):
            raise LabError(f"{self.name} (pid {self.id.pid}) still runs {timeout_s:g} s after {number.name}")
        if self._child is not None:
            self._child.wait()


def recorded(command: Sequence[str], *, name: str, journal: Path) -> list[str]:
    """`command`, made to write itself into `journal` before it begins."""
    return ["/bin/sh", "-c", _RECORD_THEN_EXEC, "sh", str(journal), name, *command]


def spawn(
    command: Sequence[str],
    *,
    name: str,
    journal: Path,
    log: Path,
    namespace: str | None = None,
    env: Mapping[str, str] | None = None,
    inherited: tuple[int, ...] = (),
) -> Process:
    """Start `command` (in a namespace) as a session of its own, on record; its output is added to `log`.

    `inherited` are file descriptors that it keeps under their numbers.
    """
    inside = ["ip", "netns", "exec", namespace] if namespace else []
    with log.open("ab") as output:
        child = subprocess.Popen(
            recorded([*inside, *command], name=name, journal=journal),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(env or {})},
            start_new_session=True,
            pass_fds=inherited,
        )
    # Our child keeps its pid and its line in /proc until it is waited for, even if it has ended already.
    identity = ProcessId(child.pid, int(_stat(child.pid)[19]))
    # Its own line may still be to come; for us it is on record now.
    with journal.open("a") as file:
        file.write(json.dumps({"process": name, "pid": identity.pid, "start": identity.start}) + "\n")
    return Process(name, identity, child)


def _stat(pid: int) -> list[bytes]:
    """The fields of /proc/pid/stat from the state on; none if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []
