import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from plait.cli.main import run
from plait.intent import audit
from plait.store.api import Item, Write
from plait.store.open import open_store


class Answer:
    """What a command answered."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Cli:
    """`plait` on a store of its own, in this process."""

    def __init__(self, url: str, capture: pytest.CaptureFixture[str]) -> None:
        self.url = url
        self._capture = capture

    def __call__(self, *args: str) -> Answer:
        self._capture.readouterr()
        code = run(args)
        return Answer(code, *self._capture.readouterr())

    def ok(self, *args: str) -> Answer:
        """A command that must succeed."""
        answer = self(*args)
        assert (answer.code, answer.err) == (0, "")
        return answer

    def stored(self) -> Mapping[str, Item]:
        """All that is in the store."""

        async def look() -> Mapping[str, Item]:
            store = open_store(self.url)
            try:
                return (await store.snapshot("")).items
            finally:
                await store.close()

        return asyncio.run(look())

    def put(self, *writes: Write) -> None:
        """What an agent would write."""

        async def commit() -> None:
            store = open_store(self.url)
            await store.commit((), writes)
            await store.close()

        asyncio.run(commit())

    def audit(self) -> list[str]:
        async def look() -> list[str]:
            store = open_store(self.url)
            try:
                return await audit(store)
            finally:
                await store.close()

        return asyncio.run(look())


@pytest.fixture
def plait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    url = f"sqlite://{tmp_path}/plait.db"
    monkeypatch.setenv("PLAIT_STORE", url)
    monkeypatch.setenv("PLAIT_CONFIG", str(tmp_path / "plait.toml"))
    return Cli(url, capsys)


@pytest.fixture
def refused(plait: Cli) -> Callable[..., None]:
    """Assert that a command fails with one line on standard error, the exit code, and the store as before."""

    def check(*args: str, code: int = 1, says: str) -> None:
        before = plait.stored()
        answer = plait(*args)
        assert answer.code == code
        assert answer.out == ""
        assert answer.err.startswith("plait: ")
        assert answer.err.count("\n") == 1
        assert says in answer.err
        assert plait.stored() == before

    return check
