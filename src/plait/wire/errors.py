"""What bad bytes raise, in every codec below `wire/`."""


class MalformedMessage(Exception):
    """Bytes from outside that break their format; the only thing that a decoder may raise.

    `field` names the part that is wrong, `offset` is its place in bytes from the start of what was decoded,
    `reason` says what was found and what was expected.
    """

    def __init__(self, field: str, offset: int, reason: str) -> None:
        super().__init__(f"{field} at byte {offset}: {reason}")
        self.field = field
        self.offset = offset
        self.reason = reason
