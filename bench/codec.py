"""How fast the OpenFlow codec is, on one core.

Claim: at least 300,000 simple and 90,000 complex flow-mods/s encoded, 110,000 flow statistics/s decoded. A
flow-mod is built from Python values each time: match, instructions, message.

    bench/run codec [--runs 9] [--number 20000]
"""

import argparse
import time
from collections.abc import Callable

from frame.figures import at_least
from frame.record import Record
from plait.wire.openflow.actions import (
    Bits,
    apply,
    ct,
    goto,
    instructions,
    learn,
    learned_load,
    learned_match,
    learned_output,
    load,
    nat,
    output,
    resubmit,
    set_field,
)
from plait.wire.openflow.bundle import bundle_add
from plait.wire.openflow.layout import put_match, put_property
from plait.wire.openflow.messages import decode
from plait.wire.openflow.mods import FlowCommand, FlowMod
from plait.wire.openflow.multipart import decode_flows
from plait.wire.openflow.oxm import match

Bench = Callable[[int], int]
"""Does its work a number of times; returns how many bytes that were."""


def simple_flow(i: int) -> FlowMod:
    """Three fields, two instructions: the kind that makes up most of a pipeline."""
    return FlowMod(
        FlowCommand.ADD,
        30,
        100,
        0x5A,
        match=match(metadata=7, eth_type=0x0800, ipv4_dst=i),
        instructions=instructions(apply(output(i & 0xFFFF)), goto(40)),
    )


def complex_flow(i: int) -> FlowMod:
    """Ten fields, six actions, among them ct with nat, and learn."""
    return FlowMod(
        FlowCommand.ADD,
        30,
        100,
        0x5A,
        match=match(
            in_port=i & 0xFFFF,
            eth_src=0x020000000001,
            eth_dst=0x020000000002,
            eth_type=0x0800,
            ipv4_src=i,
            ipv4_dst=(0x0A000000, 0xFF000000),
            ip_proto=6,
            tcp_dst=443,
            reg0=i,
            metadata=7,
        ),
        instructions=apply(
            set_field("eth_dst", i),
            load("reg2", 0, 16, 5),
            ct(nat("src", first=b"\x0a\0\0\1"), commit=True, zone=5, table=40),
            learn(
                learned_match(Bits("eth_dst", 0, 48), Bits("eth_src", 0, 48)),
                learned_load(Bits("reg0", 0, 16), Bits("in_port", 0, 16)),
                learned_output(Bits("in_port", 0, 16)),
                table=7,
            ),
            resubmit(41),
            output(3),
        ),
    )


def encode(build: Callable[[int], FlowMod]) -> Bench:
    return lambda number: sum(len(build(i).encode(i)) for i in range(number))


def encode_built(number: int) -> int:
    flow = simple_flow(1)
    return sum(len(flow.encode(i)) for i in range(number))


def encode_in_bundle(number: int) -> int:
    return sum(len(bundle_add(1, i, simple_flow(i).encode(i))) for i in range(number))


def build_match(number: int) -> int:
    return sum(len(match(metadata=7, eth_type=0x0800, ipv4_dst=i)) for i in range(number))


def decode_statistics(build: Callable[[int], FlowMod]) -> Bench:
    def run(number: int) -> int:
        body = b""
        while len(body) < 60_000:
            flow = build(len(body))
            tail = put_match(flow.match) + flow.instructions
            body += (48 + len(tail)).to_bytes(2, "big") + bytes(46) + tail
        per_part = len(decode_flows(body))
        return sum(len(decode_flows(body)) for _ in range(max(1, number // per_part)))

    return run


def decode_packets(number: int) -> int:
    body = bytes.fromhex("000023200000001e") + b"".join(
        (
            put_property(0, bytes(64)),
            put_property(3, b"\7"),
            put_property(4, bytes(12)),
            put_property(5, b"\1"),
            put_property(6, match(in_port=3, reg0=5, metadata=7)),
            put_property(7, b"why"),
        )
    )
    return sum(decode(4, body) is not None for _ in range(number))


BENCHES: dict[str, tuple[Bench, int | None]] = {
    "match of 3 fields": (build_match, None),
    "flow-mod encode, simple": (encode(simple_flow), 300_000),
    "flow-mod encode, simple, in a bundle": (encode_in_bundle, None),
    "flow-mod encode, already built": (encode_built, None),
    "flow-mod encode, complex": (encode(complex_flow), 90_000),
    "flow statistics decode, simple": (decode_statistics(simple_flow), 110_000),
    "flow statistics decode, complex": (decode_statistics(complex_flow), 110_000),
    "packet-in decode": (decode_packets, None),
}


def rates(bench: Bench, number: int, runs: int) -> list[float]:
    """Operations per second of each run, after one that isn't counted."""
    bench(number // 10)
    results = []
    for _ in range(runs):
        start = time.perf_counter()
        bench(number)
        results.append(number / (time.perf_counter() - start))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=9, help="how often each is measured (default 9)")
    parser.add_argument("--number", type=int, default=20_000, help="operations in one run (default 20,000)")
    options = parser.parse_args()

    record = Record("codec")
    for name, (bench, goal) in BENCHES.items():
        size = f"{bench(1)} bytes" if "encode" in name or "match" in name else ""
        record.add(
            name,
            rates(bench, options.number, options.runs),
            at=size,
            unit="/s",
            goal=None if goal is None else at_least(goal),
        )


if __name__ == "__main__":
    main()
