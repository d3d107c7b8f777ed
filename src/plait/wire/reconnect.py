"""When to try again: exponential backoff as a state machine. No clock, no sockets.

Rule: a connection that stood for as long as we would wait now begins anew with the shortest wait; one that
broke at once does not, so that a peer that accepts and hangs up is not hammered.
"""


class Backoff:
    """Waits of `initial_s`, twice that, and so on up to `max_s`, in seconds. `now` is monotonic seconds."""

    def __init__(self, initial_s: float, max_s: float) -> None:
        if not 0 < initial_s <= max_s:
            raise ValueError(
                f"backoff from {initial_s} to {max_s} s: the first must be positive, and not the longer"
            )
        self._initial_s = initial_s
        self._max_s = max_s
        self._wait_s = initial_s
        self._connected_at: float | None = None
        self._next_attempt = 0.0

    def connected(self, now: float) -> None:
        """The peer is there."""
        self._connected_at = now

    def failed(self, now: float) -> None:
        """An attempt failed, or the connection was lost."""
        if self._connected_at is not None and now - self._connected_at >= self._wait_s:
            self._wait_s = self._initial_s
        self._connected_at = None
        self._next_attempt = now + self._wait_s
        self._wait_s = min(self._max_s, self._wait_s * 2)

    def next_attempt(self) -> float:
        """The time from which on the next attempt may be made."""
        return self._next_attempt
