"""The Internet checksum (RFC 1071)."""

import struct


def internet_checksum(data: bytes) -> int:
    """Sixteen bits over `data`, padded with a zero byte if its length is odd."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
