"""Names from the store, for the shell to complete. Whatever goes wrong: no names, and no noise."""

from collections.abc import Callable

import click

Completer = Callable[[click.Context, click.Parameter, str], list[str]]


def names_of(kind: str) -> Completer:
    """A completer of the names of networks, subnets, ports or hosts."""

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        from plait.cli.session import Session
        from plait.intent import Intent
        from plait.store import keys

        session = ctx.find_object(Session) or Session()

        async def work(intent: Intent) -> list[str]:
            prefix = keys.INVENTORY if kind == "host" else keys.name(kind, session.project, "")
            found = (await intent.store.snapshot(prefix + incomplete)).items
            return sorted(key.removeprefix(prefix) for key in found)

        try:
            return session.run(work)
        except Exception:
            return []

    return complete
