"""Whatever is asked for, the answer is a thing that adds up, or a refusal; never a crash."""

import asyncio
from collections.abc import Callable, Coroutine

from hypothesis import given, settings
from hypothesis import strategies as st

from plait.intent import Intent, IntentError, PortSpec, audit
from plait.model.checks import Invalid
from plait.store.memory import MemoryStore

LIKELY = [
    "n",
    "p",
    "10.0.0.0/24",
    "10.0.0.5",
    "fd00::/64",
    "fe80::1%eth0",
    "fe80::%eth0/64",
    "0.0.0.0/0",
    "::/0",
    "::1",
]
text = st.text(max_size=20) | st.sampled_from(LIKELY) | st.text("0123456789abcdef:./%", max_size=20)
texts = st.lists(text, max_size=3).map(tuple)
optional = st.none() | text
specs = st.builds(
    PortSpec,
    network=text | st.just("n"),
    name=optional,
    host=optional,
    device=optional,
    addresses=texts,
    subnets=texts,
    mac=optional,
    multicast=texts,
)


def answered(wish: Callable[[Intent], Coroutine[None, None, object]]) -> None:
    async def run() -> None:
        store = MemoryStore()
        intent = Intent(store)
        await intent.networks.create("n", subnets=["10.0.0.0/24", "fd00::/64"])
        await intent.hosts.create("h")
        before = (await store.snapshot("")).items
        try:
            await wish(intent)
        except (IntentError, Invalid):
            assert (await store.snapshot("")).items == before
        assert await audit(store) == []

    asyncio.run(run())


@settings(max_examples=150, deadline=None)
@given(specs)
def test_any_port_is_made_or_refused(spec: PortSpec) -> None:
    answered(lambda intent: intent.ports.create(spec))


@settings(max_examples=150, deadline=None)
@given(text, text, optional)
def test_any_subnet_is_made_or_refused(prefix: str, name: str, gateway: str | None) -> None:
    answered(lambda intent: intent.subnets.create("n", prefix, name=name, gateway=gateway))


@settings(max_examples=60, deadline=None)
@given(text, st.integers(), st.integers(), st.lists(text, max_size=3))
def test_any_network_is_made_or_refused(name: str, mtu_bytes: int, vni: int, subnets: list[str]) -> None:
    answered(lambda intent: intent.networks.create(name, mtu_bytes=mtu_bytes, vni=vni, subnets=subnets))


@settings(max_examples=60, deadline=None)
@given(text)
def test_any_name_is_found_or_not(ref: str) -> None:
    answered(lambda intent: intent.networks.get(ref))
    answered(lambda intent: intent.ports.delete(ref))
    answered(lambda intent: intent.subnets.delete(ref))
    answered(lambda intent: intent.hosts.delete(ref))
    answered(lambda intent: intent.ports.list(network=ref))
    answered(lambda intent: intent.ports.list(host=ref))
