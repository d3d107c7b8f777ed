"""`python -m plait.agent.document` prints docs/configuration.md: every option, as it is declared."""

from collections.abc import Iterator

from plait.agent.config import DEFAULT_FILE, FILE_VARIABLE, Config
from plait.agent.option import Declared, declared

INTRODUCTION = f"""\
# Configuration of the agent

`plait agent` takes every option as a flag, as an environment variable, or from a file in
[TOML](https://toml.io): `{DEFAULT_FILE}`, or the one that `--config` or `${FILE_VARIABLE}` names.
A flag comes before the environment, the environment before the file, the file before the default.
An unknown option in the file is an error, so that a slip is noticed.

No option is needed on a single machine. For a cluster, `store` is:

```toml
store = "etcd://10.0.0.11:2379,10.0.0.12:2379,10.0.0.13:2379"
underlay_address = "10.0.0.21"
transports = ["geneve"]
log_format = "json"
```

This page is made from the declarations in `src/plait/agent/config.py` by `python -m plait.agent.document`.
"""


def document() -> str:
    """The page."""
    return "\n".join([INTRODUCTION, *(_section(one) for one in declared(Config))])


def _section(one: Declared) -> str:
    facts = "\n".join(f"- {fact}" for fact in _facts(one))
    return f"## {one.name}\n\n{one.option.effect}\n\n{facts}\n"


def _facts(one: Declared) -> Iterator[str]:
    default = one.default_text
    yield f"default: {default}" if one.option.automatic else f"default: `{default}`"
    if one.choices:
        yield "values: " + ", ".join(f"`{choice}`" for choice in one.choices) + _several(one)
    if one.option.unit:
        yield f"unit: {one.option.unit}, {one.option.low:g} to {one.option.high:g}"
    yield f"flag: `{one.flag}`, environment: `{one.variable}`"


def _several(one: Declared) -> str:
    return "; one or more, as a list or with commas between" if isinstance(one.default, tuple) else ""


if __name__ == "__main__":
    print(document(), end="")
