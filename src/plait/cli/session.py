"""What a command needs to do its work: the store, the project, and how to answer.

Options may stand before or after the command's name; the last one counts.
"""

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from plait.intent import Intent

CONFIG_FILE = "/etc/plait/plait.toml"
DEFAULT_STORE = "sqlite:///var/lib/plait/plait.db"
DEFAULT_SOCKET = "/run/plait/agent.sock"
OUTPUTS = ("table", "json")

R = TypeVar("R")
Command = TypeVar("Command", bound=Callable[..., Any])


class Session:
    """The settings of one call. Nothing is read or opened before it is needed."""

    def __init__(self) -> None:
        self.store_option: str | None = None
        self.project_option: str | None = None
        self.output_option: str | None = None
        self.socket_option: str | None = None
        self._file: dict[str, Any] | None = None

    @property
    def store_url(self) -> str:
        """Where intent stands."""
        return (
            self.store_option or os.environ.get("PLAIT_STORE") or self._setting("store", str) or DEFAULT_STORE
        )

    @property
    def project(self) -> str:
        """Whose things."""
        return (
            self.project_option
            or os.environ.get("PLAIT_PROJECT")
            or self._setting("project", str)
            or "default"
        )

    @property
    def agent_socket(self) -> str:
        """Where the agent of this host answers."""
        return (
            self.socket_option
            or os.environ.get("PLAIT_SOCKET")
            or self._setting("socket", str)
            or DEFAULT_SOCKET
        )

    @property
    def is_json(self) -> bool:
        """Whether a program reads the answer, and no person."""
        return self.output_option == "json"

    def run(self, work: "Callable[[Intent], Awaitable[R]]") -> R:
        """Do `work` with the store open. Raises IntentError, Invalid, StoreError."""
        import asyncio

        from plait.intent import Intent
        from plait.model import entities, numbers
        from plait.store.open import open_store

        async def call() -> R:
            store = open_store(self.store_url)
            try:
                first, last = self._setting("vni_first", int), self._setting("vni_last", int)
                vnis = numbers.vnis(first or numbers.FIRST_VNI, last or entities.MAX_VNI)
                return await work(Intent(store, project=self.project, vnis=vnis))
            finally:
                await store.close()

        return asyncio.run(call())

    def _setting(self, name: str, kind: type[R]) -> R | None:
        """A value of the configuration file, which other programs may share with us."""
        if self._file is None:
            self._file = _read(Path(os.environ.get("PLAIT_CONFIG", CONFIG_FILE)))
        value = self._file.get(name)
        if value is not None and not isinstance(value, kind):
            path = os.environ.get("PLAIT_CONFIG", CONFIG_FILE)
            raise click.ClickException(f"{name} = {value!r} in {path} is no {kind.__name__}: correct it")
        return value


def _read(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise click.ClickException(
            f"configuration {path} can't be read ({error}): correct or remove it"
        ) from None


def shared_options(command: Command) -> Command:
    """`--store`, `--project` and `-o`, which every command understands."""
    for option in reversed(
        [
            _option(
                "--store", "store_option", metavar="URL", help="Where intent stands; see 'plait --help'."
            ),
            _option(
                "-p",
                "--project",
                "project_option",
                metavar="PROJECT",
                help="Whose things [default: default].",
            ),
            _option("-o", "--output", "output_option", type=click.Choice(OUTPUTS), help="How to answer."),
        ]
    ):
        command = option(command)
    return command


def socket_option(command: Command) -> Command:
    """`--socket`, for what asks the agent of this host."""
    return _option(
        "--socket",
        "socket_option",
        metavar="PATH",
        help=f"Where the agent of this host answers [default: {DEFAULT_SOCKET}].",
    )(command)


def wait_options(command: Command) -> Command:
    """`--wait` and `--timeout`, for what a host has to carry out."""
    timeout = click.option(
        "--timeout",
        "timeout_s",
        type=float,
        default=30,
        show_default=True,
        metavar="SECONDS",
        help="For --wait.",
    )
    wait = click.option("--wait", is_flag=True, help="Until the host says that it is up.")
    return wait(timeout(command))


def _option(*names: str, **attributes: Any) -> Callable[[Command], Command]:
    """An option whose value goes to the session."""

    def keep(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
        if value is not None:
            setattr(ctx.ensure_object(Session), names[-1], value)

    return click.option(*names, expose_value=False, callback=keep, **attributes)


class Progress:
    """A count on standard error that is written over itself; silent when nobody watches."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._is_shown = total > 1 and sys.stderr.isatty()

    def __call__(self, done: int) -> None:
        if self._is_shown:
            click.echo(f"\r{done}/{self._total} {self._what}", nl=False, err=True)

    def finish(self) -> None:
        """Leave the line clean for what comes next."""
        if self._is_shown:
            click.echo("\r\033[K", nl=False, err=True)
