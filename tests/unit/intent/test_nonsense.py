"""Whatever is asked for, the answer is a thing that adds up, or a refusal; never a crash."""

import asyncio
from collections.abc import Callable, Coroutine

from hypothesis import given, settings
from hypothesis import strategies as st

from plait.intent import Intent, IntentError, PortSpec, audit
from plait.intent.address_pairs import parse_pair
from plait.intent.dhcp_options import parse_option
from plait.intent.told import parse_route
from plait.model.checks import Invalid
from plait.model.policy import Direction, Protocol
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


numbers = st.none() | st.integers()


@settings(max_examples=100, deadline=None)
@given(text, text, texts, optional)
def test_any_router_leads_somewhere_or_is_refused(
    name: str, subnet: str, hops: tuple[str, ...], other: str | None
) -> None:
    async def wish(intent: Intent) -> None:
        await intent.routers.create("r")
        (four, six) = sorted(await intent.subnets.list("n"), key=lambda each: each.version)
        await intent.interfaces.add("r", four.id)
        await intent.interfaces.add("r", six.id)
        for attempt in (
            lambda: intent.routers.create(name),
            lambda: intent.interfaces.add(name, four.id, address=other),
            lambda: intent.interfaces.add(name, six.id, address=subnet),
            lambda: intent.interfaces.remove("r", subnet),
            lambda: intent.routes.add("r", subnet, next_hops=hops, via=other),
            lambda: intent.routes.remove("r", subnet),
            lambda: intent.peerings.add("r", name),
            lambda: intent.peerings.remove("r", name),
            lambda: intent.routers.delete(name, cascade=True),
        ):
            await refused_or_done(attempt)

    answered(wish)


@settings(max_examples=150, deadline=None)
@given(
    st.builds(
        dict,
        name=optional,
        priority=st.integers(),
        family=numbers,
        protocol=st.sampled_from(Protocol),
        ports=st.none() | st.tuples(st.integers(), st.integers()),
        icmp_type=numbers,
        icmp_code=numbers,
        cidr=optional,
        remote_group=optional,
        address_group=optional,
    )
)
def test_any_rule_is_made_or_refused(fields: dict[str, object]) -> None:
    async def wish(intent: Intent) -> None:
        await intent.groups.create("n")
        await intent.address_groups.create("p")
        await refused_or_done(lambda: intent.rules.add("n", Direction.EGRESS, **fields))

    answered(wish)


@settings(max_examples=100, deadline=None)
@given(text, text, texts)
def test_any_group_and_pair_is_made_or_refused(one: str, other: str, prefixes: tuple[str, ...]) -> None:
    async def wish(intent: Intent) -> None:
        await intent.ports.create(PortSpec(network="n", name="p"))
        for attempt in (
            lambda: intent.groups.create(one),
            lambda: intent.members.add(one, [other, "p"]),
            lambda: intent.connections.connect(one, other),
            lambda: intent.connections.connect(one, "p"),
            lambda: intent.connections.disconnect("p", one),
            lambda: intent.address_groups.create(one, prefixes),
            lambda: intent.address_groups.add(one, prefixes),
            lambda: intent.address_groups.remove(one, prefixes),
            lambda: intent.address_groups.delete(other),
            lambda: intent.groups.set(one, name=other),
            lambda: intent.groups.delete(other),
        ):
            await refused_or_done(attempt)

    answered(wish)


@settings(max_examples=150, deadline=None)
@given(
    text,
    st.sampled_from(["", "66=", "6/59=", "66=text:", "66=ip:", "66=hex:", "10.0.0.0/8=", "10.0.0.9,"]),
    text,
)
def test_any_option_route_and_pair_is_read_or_refused(before: str, middle: str, after: str) -> None:
    for parse in (parse_option, parse_route, parse_pair):
        for written in (middle + after, before + middle + after):
            try:
                parse(written)
            except Invalid:
                continue


@settings(max_examples=100, deadline=None)
@given(texts, texts, optional, texts, st.integers())
def test_whatever_endpoints_are_told_is_told_or_refused(
    dns: tuple[str, ...], search: tuple[str, ...], domain: str | None, pairs: tuple[str, ...], lease_s: int
) -> None:
    async def wish(intent: Intent) -> None:
        for attempt in (
            lambda: intent.subnets.create("n", "10.1.0.0/24", dns=dns, search=search, lease_s=lease_s),
            lambda: intent.subnets.create("n", "fd01::/64", ntp=dns, domain=domain),
            lambda: intent.ports.create(
                PortSpec(network="n", name="p", address_pairs=tuple(map(parse_pair, pairs)), hostname=domain)
            ),
            lambda: intent.ports.create(PortSpec(network="n", name="q", groups=search)),
        ):
            await refused_or_done(attempt)

    answered(wish)


async def refused_or_done(attempt: Callable[[], Coroutine[None, None, object]]) -> None:
    try:
        await attempt()
    except (IntentError, Invalid):
        return
