"""DHCP options as people write them: `66=text:tftp.example`, `42=ip:10.0.0.1`, `67=hex:00ff`.

Those of DHCPv6 begin with `6/`, as in `6/59=text:http://boot.example`.
"""

from collections.abc import Iterable
from itertools import pairwise

from plait.model import checks
from plait.model.checks import Invalid
from plait.model.entities import DhcpOption

_OF_THE_PROTOCOL = {
    4: frozenset({1, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 61, 82, 118}),
    6: frozenset({*range(1, 15), 16, 17, 18, 19, 20, 25, 26, 32, 82, 83}),
}
"""Options that the exchange itself consists of (RFC 2131, RFC 8415): nobody can choose them."""

_WAY_OUT = "write it like 66=text:tftp.example, 42=ip:10.0.0.1, 67=hex:00ff or 6/59=text:http://boot.example"


def parse_option(text: str, *, version: int = 4) -> DhcpOption:
    """An option out of its text; `version` is that of codes without one. Raises Invalid."""
    code, equals, value = text.partition("=")
    kind, colon, data = value.partition(":")
    if not equals or not colon:
        raise Invalid(f"DHCP option {text!r} can't be read: {_WAY_OUT}")
    before, slash, number = code.rpartition("/")
    if slash and before not in ("4", "6"):
        raise Invalid(f"DHCP option {text!r} is of version {before!r}: choose 4 or 6")
    if not number.isdecimal() or not number.isascii():
        raise Invalid(f"DHCP option {text!r} has no number: {_WAY_OUT}")
    option = DhcpOption(int(before) if slash else version, int(number[:9]), _data(text, kind, data))
    return check_options((option,))[0]


def check_options(options: Iterable[DhcpOption]) -> tuple[DhcpOption, ...]:
    """Sorted by code. Raises Invalid for one that is the protocol's own, or that is there twice."""
    ordered = tuple(sorted(options, key=lambda each: (each.version, each.code)))
    for one, other in pairwise(ordered):
        if (one.version, one.code) == (other.version, other.code):
            raise Invalid(f"DHCP option {one.code} is given twice: once is enough")
    for option in ordered:
        if option.code in _OF_THE_PROTOCOL[option.version]:
            raise Invalid(
                f"DHCP option {option.code} belongs to the protocol itself, which Plait speaks: leave it out"
            )
    return ordered


def option_text(option: DhcpOption) -> str:
    """As `parse_option` reads it, in hex."""
    return f"{'6/' if option.version == 6 else ''}{option.code}=hex:{option.data}"


def _data(text: str, kind: str, data: str) -> str:
    """The option's bytes in hex."""
    if kind == "text":
        return data.encode(errors="replace").hex()
    if kind == "ip":
        return b"".join(checks.ip(each.strip()).packed for each in data.split(",")).hex()
    if kind == "hex":
        return data.replace(":", "").lower()
    raise Invalid(f"DHCP option {text!r} has a value of kind {kind!r}: {_WAY_OUT}")
