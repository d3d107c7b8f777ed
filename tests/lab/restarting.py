"""An agent ends and starts again under traffic, which must not notice."""

import signal
from collections.abc import Sequence

from plait.lab.host import LabHost
from plait.lab.lab import Lab
from plait.lab.pinger import Pinger
from plait.lab.streams import TcpStream


def outlived(
    lab: Lab,
    host: LabHost,
    number: signal.Signals,
    pings: Pinger,
    streams: Sequence[TcpStream],
    *,
    received_bytes: int = 1 << 18,
) -> None:
    """End the agent of a host by a signal and start it again: pings and streams go on, and lose nothing.

    They must be under way, and have ended afterwards. `received_bytes` is what each stream carries while the
    agent is away, and as much when it is back.
    """
    host.kill_agent(number)
    assert pings.wait_answered(1000)
    assert all(stream.wait_received(received_bytes) for stream in streams)
    host.start_agent()
    lab.wait_ready(host.name)
    assert pings.wait_answered(1000)
    assert all(stream.wait_received(received_bytes) for stream in streams)
    report = pings.stop(wait_s=10)
    assert report.lost == 0, report
    assert all(stream.stop().whole for stream in streams)
