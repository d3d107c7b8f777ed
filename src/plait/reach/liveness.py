"""Which hosts are alive, as their leased records say it. No clock: time enters as `now` (monotonic seconds).

Rule 1: a record that goes means that its host is dead, at once.
Rule 2: while the store is away nobody dies.
Rule 3: after an outage records go because nobody could renew a lease, not because hosts died. So for
`grace_s` from its end, a host whose record goes may write it again, and is declared dead only when it has
not done so by then.
"""

from plait.model.entities import LiveHost


class Liveness:
    """The living hosts. Methods return what changed: (name, record), or (name, None) for a death."""

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._alive: dict[str, LiveHost] = {}
        self._missing: set[str] = set()
        self._is_away = False
        self._lenient_until: float | None = None

    @property
    def alive(self) -> frozenset[str]:
        """Names of the living hosts, those that are missing but not declared dead among them."""
        return frozenset(self._alive)

    def outage_began(self) -> None:
        """The store is away: from now on nobody dies."""
        self._is_away = True

    def outage_ended(self, now: float) -> None:
        """The store is back: the grace begins."""
        self._is_away = False
        self._lenient_until = now + self._grace_s

    def believe(self, record: LiveHost, now: float) -> list[tuple[str, LiveHost | None]]:
        """The host was alive before a restart of ours; whether there was an outage since, we can't know.

        So it has the grace.
        """
        self._lenient_until = now + self._grace_s
        return self.seen(record)

    def seen(self, record: LiveHost) -> list[tuple[str, LiveHost | None]]:
        """The host's record stands, with this content."""
        self._missing.discard(record.name)
        if self._alive.get(record.name) == record:
            return []
        self._alive[record.name] = record
        return [(record.name, record)]

    def gone(self, host: str, now: float) -> list[tuple[str, LiveHost | None]]:
        """The host's record does not stand any more."""
        if host not in self._alive:
            return []
        if self._lenient_until is not None and now < self._lenient_until:
            self._missing.add(host)
            return []
        return self._bury([host])

    def tick(self, now: float) -> list[tuple[str, LiveHost | None]]:
        """Declare those dead whose time is over."""
        deadline = self.next_deadline()
        return self._bury(sorted(self._missing)) if deadline is not None and deadline <= now else []

    def next_deadline(self) -> float | None:
        """When `tick` has something to do; None while nothing is waited for."""
        return self._lenient_until if self._missing and not self._is_away else None

    def _bury(self, hosts: list[str]) -> list[tuple[str, LiveHost | None]]:
        for host in hosts:
            del self._alive[host]
            self._missing.discard(host)
        return [(host, None) for host in hosts]
