"""Hundreds of random worlds: an oracle, `plait why` and the compiled flows say the same of every packet."""

import os
import random

import pytest

from plait.flows.connection import ANSWER, FIRST
from plait.intent.weighing import Passage, Weighing
from plait.model.verdict import Attempt

from .oracle import Oracle, Try
from .real_hosts import RealHosts
from .real_switch import OpenVSwitch
from .tries import Flows, random_tries
from .worlds import World, random_world

WORLDS = int(os.environ.get("PLAIT_WORLDS", "500"))
REAL_WORLDS = int(os.environ.get("PLAIT_REAL_WORLDS", "500"))
FIRST_SEED = int(os.environ.get("PLAIT_FIRST_SEED", "0"))
TRIES = 16
PORTION = 25


@pytest.mark.parametrize("first", range(FIRST_SEED, FIRST_SEED + WORLDS, PORTION))
def test_the_compiled_flows_do_what_the_oracle_says(first: int) -> None:
    for seed in range(first, first + PORTION):
        world = random_world(seed)
        oracle = Oracle(world)
        flows = Flows(world, oracle)
        for attempt in random_tries(world, oracle, random.Random(f"tries {seed}"), TRIES):
            where = f"world {seed}: {attempt}"
            expected = oracle.fates(attempt)
            assert flows.fates(attempt) == expected, where
            assert flows.fates_later(attempt) == expected, where
            for answerer in oracle.holders(world.networks, attempt.target):
                expected = oracle.fates_of_answer(answerer, attempt)
                assert flows.fates_of_answer(answerer, attempt) == expected, f"{where}, {answerer.id} answers"


@pytest.fixture(scope="module")
def hosts(ovs_of_hosts: dict[str, OpenVSwitch]) -> RealHosts:
    return RealHosts(ovs_of_hosts)


@pytest.mark.parametrize("first", range(FIRST_SEED, FIRST_SEED + REAL_WORLDS, PORTION))
async def test_real_switches_with_these_flows_do_what_the_oracle_says(hosts: RealHosts, first: int) -> None:
    for seed in range(first, first + PORTION):
        world = random_world(seed)
        oracle = Oracle(world)
        flows = Flows(world, oracle)
        await hosts.use({host: flows.site(host) for host in world.hosts})
        for attempt in random_tries(world, oracle, random.Random(f"tries {seed}"), TRIES):
            where = f"world {seed}: {attempt}"
            sender = world.ports[attempt.sender]
            fate = await hosts.fate(sender.host or "", sender.id, flows.packet(attempt), FIRST)
            assert fate in oracle.fates(attempt), where
            for answerer in oracle.holders(world.networks, attempt.target):
                answer = flows.answer(answerer, attempt)
                fate = await hosts.fate(answerer.host or "", answerer.id, answer, ANSWER)
                assert fate in oracle.fates_of_answer(answerer, attempt), f"{where}, {answerer.id} answers"


@pytest.mark.parametrize("first", range(FIRST_SEED, FIRST_SEED + WORLDS, PORTION))
def test_what_is_weighed_is_what_the_oracle_says(first: int) -> None:
    for seed in range(first, first + PORTION):
        world = random_world(seed)
        oracle = Oracle(world)
        weighing = Weighing(world.stored(), unready(world))
        for attempt in random_tries(world, oracle, random.Random(f"tries {seed}"), TRIES):
            where = f"world {seed}: {attempt}"
            weighed = weighing.request(world.ports[attempt.sender], as_weighed(attempt))
            assert fates_weighed(weighed) == oracle.fates(attempt), f"{where}: {weighed.why_not}"
            for answerer in oracle.holders(world.networks, attempt.target):
                back = weighing.answer(answerer, as_weighed(attempt))
                expected = oracle.fates_of_answer(answerer, attempt)
                assert fates_weighed(back) == expected, f"{where}, {answerer.id} answers: {back.why_not}"


def unready(world: World) -> dict[str, str]:
    return {port.id: "it is on no host" for port in world.ports.values() if port.host is None}


def as_weighed(attempt: Try) -> Attempt:
    return Attempt(
        source=attempt.source,
        target=attempt.target,
        protocol=attempt.protocol,
        number=attempt.number,
        icmp_type=attempt.icmp_type,
        icmp_code=attempt.icmp_code,
    )


def fates_weighed(passage: Passage) -> frozenset[str]:
    if not passage.outward.is_allowed:
        return frozenset({"egress"})
    if not passage.arrivals:
        return frozenset({"way"})
    return frozenset(
        "ingress"
        if not arrival.judgement.is_allowed
        else "itself"
        if arrival.port.id == passage.sender.id
        else f"to {arrival.port.id}"
        for arrival in passage.arrivals
    )
