"""VNIs of networks and routers, which share one space: each is chosen, or taken as asked for."""

from plait.intent.allocation import Search, SpaceExhausted
from plait.intent.errors import Full, Taken
from plait.intent.transactions import Failed
from plait.model.entities import Network
from plait.model.numbers import Space
from plait.model.routers import Router
from plait.store import keys
from plait.store.api import Store, Write


class VniChoice:
    """The VNI of one thing that is being made; outlives the attempts at it."""

    def __init__(self, store: Store, vnis: Space, asked_for: int | None) -> None:
        self._store = store
        self._vnis = vnis
        self._asked_for = asked_for
        self._proposed = asked_for
        self._search = Search(store, vnis, name="vni", claims=keys.VNIS, key=keys.vni, number=int)
        self._has_begun = False

    async def number(self, failed: Failed) -> int:
        """What to try now. Raises Taken for one that was asked for and is claimed, Full."""
        if self._asked_for is not None:
            await self._refuse_taken(self._asked_for, failed)
            return self._asked_for
        if not self._has_begun:
            cursor = self._search.cursor_key
            self._search.begin((await self._store.get([cursor])).items.get(cursor))
            self._has_begun = True
        if self._proposed is None or keys.vni(self._proposed) in failed:
            self._proposed = await self._next()
        return self._proposed

    def cursor(self) -> list[Write]:
        """To be written with the claim."""
        return [] if self._asked_for is not None else [self._search.cursor()]

    async def _next(self) -> int:
        try:
            if self._proposed is not None:
                await self._search.collided(self._proposed)
            return await self._search.propose()
        except SpaceExhausted as error:
            raise Full(
                f"no VNI is free, all {error.size} from {self._vnis.first} to {self._vnis.last} are in use",
                "delete networks or routers, widen the range, or choose a --vni outside of it",
            ) from None

    async def _refuse_taken(self, vni: int, failed: Failed) -> None:
        if keys.vni(vni) not in failed:
            return
        claim = (await self._store.get([keys.vni(vni)])).items.get(keys.vni(vni))
        if claim is not None:
            holder = await self._holder(claim.value.decode())
            raise Taken(f"VNI {vni} is taken by {holder}", "choose another or leave it out")

    async def _holder(self, id: str) -> str:
        """By its id alone: it may be somebody else's."""
        found = (await self._store.get([keys.router(id)])).items
        return f"{Router.kind if found else Network.kind} {id}"
