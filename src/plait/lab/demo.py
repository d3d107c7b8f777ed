"""The main job in a minute: containers on three hosts talk, and those that must not, don't.

Everything in it is real: three Open vSwitches, three agents, tunnels between them; every claim that it prints
it checks.
Run it by `make demo`; it ends with status 1 when a claim does not hold.
"""

import os
import subprocess
import sys
from time import monotonic

from plait.lab import demo_project
from plait.lab.endpoint import Endpoint
from plait.lab.host import plait_command
from plait.lab.lab import Lab
from plait.lab.pinger import Pinger

SUBNETS = ("10.0.0.0/24", "fd00:10::/64")
PLACES = {
    "red": {"red-1": "h1", "red-2": "h2", "red-3": "h3"},
    "blue": {"blue-1": "h1", "blue-2": "h2", "blue-3": "h3"},
}

NEXT = """
What to try next:
  plait lab up --hosts 3              the same three hosts, to play with
  eval "$(plait lab env)"             tells `plait` where the lab's store is
  plait network create web --subnet 10.1.0.0/24
  plait lab endpoint add web-1 --network web --host h1
  plait lab endpoint add web-2 --network web --host h2
  plait lab exec web-1 -- ping -c 3 10.1.0.3
  plait trace web-1 web-2
  plait lab down
docs/quickstart.md goes on from there, to two real hosts.
"""


class Demo:
    """Says what it does, does it, and counts claims that did not hold."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.failures = 0

    def say(self, text: str) -> None:
        print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)

    def claim(self, text: str, *, holds: bool) -> None:
        self.failures += not holds
        print(f"  {'ok  ' if holds else 'FAIL'} {text}", flush=True)

    def plait(self, *arguments: str) -> str:
        """Run the CLI as a user would, and show it."""
        print(f"  $ plait {' '.join(arguments)}", flush=True)
        done = subprocess.run(
            [plait_command(), *arguments],
            env={
                **os.environ,
                "PLAIT_STORE": self.lab.settings.store_url,
                "PLAIT_SOCKET": str(self.lab.host("h1").directory / "agent.sock"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        print(
            "".join(f"    {line}\n" for line in (done.stdout + done.stderr).splitlines()), end="", flush=True
        )
        return done.stdout

    def reaches(self, source: Endpoint, address: str, *, whom: str) -> None:
        self.claim(f"{source.name} pings {whom} at {address}", holds=source.ping(address).lost == 0)

    def run(self) -> int:
        """All scenes; returns how many claims did not hold."""
        red, blue = self._two_networks()
        self._pings(red, blue)
        self._look()
        self._move(red)
        self._kill(red)
        demo_project.play(self)
        self.say("All of it held." if not self.failures else f"{self.failures} claims did not hold.")
        return self.failures

    def _two_networks(self) -> tuple[dict[str, Endpoint], dict[str, Endpoint]]:
        self.say(f"Two networks, both with {' and '.join(SUBNETS)}, three containers in each, on three hosts")
        made: dict[str, dict[str, Endpoint]] = {}
        for network, places in PLACES.items():
            self.lab.network(network, *SUBNETS)
            made[network] = {}
            for name, host in places.items():
                began = monotonic()
                endpoint = self.lab.endpoint(name, network=network, host=host)
                took_ms = 1000 * (monotonic() - began)
                made[network][name] = endpoint
                print(f"  {name:7} on {host}  {endpoint.v4:11} {endpoint.v6:14} up after {took_ms:.0f} ms")
        return made["red"], made["blue"]

    def _pings(self, red: dict[str, Endpoint], blue: dict[str, Endpoint]) -> None:
        self.say("Inside a network everybody is reached, on every host, by IPv4 and IPv6")
        for endpoints in (red, blue):
            source, *others = endpoints.values()
            for other in others:
                self.reaches(source, other.v4, whom=other.name)
                self.reaches(source, other.v6, whom=other.name)
        self.say("Between networks nobody is, although the addresses are the same")
        extra = self.lab.endpoint("blue-4", network="blue", host="h2", addresses=("10.0.0.99",))
        self.reaches(blue["blue-1"], "10.0.0.99", whom="blue-4")
        self.claim(
            "red-1 does not reach 10.0.0.99, which only blue has", holds=not red["red-1"].reaches("10.0.0.99")
        )
        red_sees, blue_sees = (
            each.exec("ip", "neigh", "show", red["red-2"].v4) for each in (red["red-1"], blue["blue-1"])
        )
        self.claim(
            f"{red['red-2'].v4} is {red['red-2'].mac} for red-1 and {blue['blue-2'].mac} for blue-1",
            holds=red["red-2"].mac in red_sees and blue["blue-2"].mac in blue_sees,
        )
        extra.delete()

    def _look(self) -> None:
        self.say("What the system says of itself")
        self.claim("status says that all is well", holds="h3" in self.plait("status"))
        self.claim(
            "trace says that red-2 is reached", holds="delivered" in self.plait("trace", "red-1", "red-2")
        )

    def _move(self, red: dict[str, Endpoint]) -> None:
        self.say("A container moves from h3 to h1, with the same addresses, under a running ping")
        ping = Pinger(red["red-2"].namespace, [red["red-3"].v4], interval_s=0.01).start()
        ping.wait_answered(20)
        red["red-3"].move("h1")
        ping.wait_answered(20)
        report = ping.stop()
        self.reaches(red["red-1"], red["red-3"].v4, whom="red-3, now beside it")
        print(f"       while it moved: {report}")

    def _kill(self, red: dict[str, Endpoint]) -> None:
        self.say(
            "An agent is killed and started again, under a running ping: nothing is lost, nothing is sent"
        )
        ping = Pinger(red["red-1"].namespace, [red["red-2"].v4], interval_s=0.005).start()
        ping.wait_answered(50)
        self.lab.host("h1").kill_agent()
        ping.wait_answered(100)
        self.lab.start_agents()
        ping.wait_answered(100)
        report = ping.stop()
        self.claim(f"pings: {report}", holds=report.lost == 0)


def main() -> int:
    """The demo in a lab of its own, which is gone afterwards."""
    began = monotonic()
    print("Three hosts, each with its own Open vSwitch and agent", flush=True)
    with Lab.up(hosts=3) as lab:
        lab.start_agents()
        print(f"  up after {monotonic() - began:.1f} s", flush=True)
        failures = Demo(lab).run()
    print(NEXT)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
