"""What processes use: CPU, memory, bytes received; and waiting until they have come to rest.

Source: proc(5) (`schedstat` counts nanoseconds where `stat` counts ticks), ss(8).
"""

import os
import re
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from plait.lab.lab import Lab
from plait.lab.waiting import WaitedInVain, wait_until

CALM_WINDOW_S = 0.1
CALM_SHARE = 0.06
"""Of a core: less is rest, with room for keep-alives."""
QUIET_SHARE = 0.4
"""Of a core: less, by all processes of the machine, is quiet."""


def cpu_s(pid: int) -> float:
    """CPU time of all threads of a process; 0 if it is gone."""
    total = 0
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            total += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
    except (OSError, IndexError):
        return 0.0
    return total / 1e9


def memory_mb(pid: int, kind: str = "VmRSS") -> float:
    """Resident memory in MB (1024²) now, or at its highest (`VmHWM`)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(f"/proc/{pid}/status has no {kind}")


def reads(pid: int) -> int:
    """How many read system calls (not of sockets) a process has made."""
    found = re.search(r"^syscr: (\d+)", Path(f"/proc/{pid}/io").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def switches(pid: int) -> int:
    """How often threads of a process went to sleep: every wake-up for a message is one."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        status = Path(f"/proc/{pid}/task/{task}/status").read_text()
        total += int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    return total


def tcp_received_bytes(namespace: str, pid: int) -> int:
    """Bytes that came over the TCP connections of a process in `namespace`."""
    said = subprocess.run(
        ["ip", "netns", "exec", namespace, "ss", "-tinpH"], capture_output=True, text=True, check=True
    ).stdout
    total = 0
    ours = False
    for line in said.splitlines():
        if not line.startswith(("\t", " ")):
            ours = f"pid={pid}," in line
        elif ours and (found := re.search(r"bytes_received:(\d+)", line)):
            total += int(found[1])
    return total


def pids(lab: Lab) -> dict[str, int]:
    """The processes of a lab by name, such as `h1/agent`."""
    return {process.name: process.id.pid for process in lab.journal.processes()}


def busy_s() -> float:
    """CPU seconds that all processors have worked since the machine started, for whomever."""
    user, nice, system, _, _, irq, softirq, steal = map(int, _first_line("/proc/stat").split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def wait_calm(
    labs: Iterable[Lab], *, without: str = "?", timeout_s: float = 120, patience_s: float = 3
) -> None:
    """Return once the processes of all `labs` have rested twice in a row; `without` is a part of the names of
    those that needn't. For others on the machine to rest, too, it waits no longer than `patience_s`.
    """
    watched = [pid for lab in labs for name, pid in pids(lab).items() if without not in name]
    calm = 0
    before, busy, at = sum(map(cpu_s, watched)), busy_s(), time.monotonic()
    impatient_at = at + patience_s

    def rests() -> bool:
        nonlocal calm, before, busy, at
        time.sleep(CALM_WINDOW_S)
        used, worked, took_s = sum(map(cpu_s, watched)) - before, busy_s() - busy, time.monotonic() - at
        before, busy, at = before + used, busy + worked, at + took_s
        is_calm = used < CALM_SHARE * took_s
        is_quiet = worked < QUIET_SHARE * took_s or at > impatient_at
        calm = calm + 1 if is_calm and is_quiet else 0
        return calm >= 2

    try:
        wait_until(rests, "the lab comes to rest", timeout_s=timeout_s, every_s=0)
    except WaitedInVain:
        print(f"  (not at rest after {timeout_s:g} s)", flush=True)


def _first_line(path: str) -> str:
    return Path(path).read_text().partition("\n")[0]
