"""What an option is, and how it gets its value: flag before environment before file before default.

An option is declared once, as a field of a frozen dataclass: `name: Annotated[type, Option(...)] = default`.
A default may name other options in braces: `unix:{ovs_rundir}/db.sock`.
"""

import difflib
import math
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

ENVIRONMENT_PREFIX = "PLAIT_"

C = TypeVar("C")


class ConfigError(ValueError):
    """An option is wrong: the message names it, its value, where that came from, and what would do."""


@dataclass(frozen=True, slots=True)
class Option:
    """What people have to know of an option.

    `effect`: what it does and what a larger or other value costs. `low` and `high` bound numbers, both
    included. `automatic` describes what happens when it is left out and has no value as default.
    """

    effect: str
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    automatic: str = ""


@dataclass(frozen=True, slots=True)
class Declared:
    """An option with all that its declaration says."""

    name: str
    kind: Any
    is_optional: bool
    default: Any
    option: Option

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return ENVIRONMENT_PREFIX + self.name.upper()

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that it may have (each of them, for a list); empty if there are too many to tell."""
        kind = get_args(self.kind)[0] if get_origin(self.kind) is tuple else self.kind
        return tuple(str(member.value) for member in kind) if issubclass(kind, Enum) else ()

    @property
    def default_text(self) -> str:
        """The default as people read and write it."""
        if self.option.automatic:
            return self.option.automatic
        if isinstance(self.default, tuple):
            return ",".join(map(str, self.default))
        return str(self.default).replace("{", "<").replace("}", ">")


def declared(config: type[Any]) -> tuple[Declared, ...]:
    """The options of a config class, in the order of declaration."""
    hints = get_type_hints(config, include_extras=True)
    return tuple(_declared(field.name, hints[field.name], field.default) for field in fields(config))


def resolve(
    config: type[C],
    *,
    flags: Mapping[str, str | None],
    environment: Mapping[str, str],
    file: Path | None,
    facts: Mapping[str, str],
    others: Collection[str] = (),
) -> C:
    """The config from all its sources; `file` None means that there is none. Raises ConfigError.

    `facts` are what defaults may name in braces besides other options; `others` are names in the file that
    somebody else reads.
    """
    options = {one.name: one for one in declared(config)}
    given: dict[str, tuple[Any, str]] = {}
    if file is not None:
        given.update({name: (value, f"in {file}") for name, value in _read(file, options, others).items()})
    given.update(_from_environment(environment, options))
    for name, value in flags.items():
        if value is not None:
            given[name] = (value, f"by {options[name].flag}")
    values = {name: _parse(options[name], value, source) for name, (value, source) in given.items()}
    return config(**_with_defaults(options, values, facts))


def _declared(name: str, hint: Any, default: Any) -> Declared:
    kind, option = get_args(hint)
    if default is MISSING or not isinstance(option, Option):
        raise TypeError(f"option {name!r} needs an Option and a default")
    alternatives = get_args(kind) if get_origin(kind) is not tuple else ()
    is_optional = type(None) in alternatives
    if is_optional:
        (kind,) = (one for one in alternatives if one is not type(None))
    return Declared(name, kind, is_optional, default, option)


def _read(file: Path, options: Mapping[str, Declared], others: Collection[str]) -> dict[str, Any]:
    try:
        found = tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigError(f"configuration file {file} can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration file {file} is not TOML: {error}") from None
    for name in found:
        if name not in options and name not in others:
            raise ConfigError(f"unknown option {name!r} in {file}{_suggestion(name, options)}")
    return {name: value for name, value in found.items() if name in options}


def _from_environment(
    environment: Mapping[str, str], options: Mapping[str, Declared]
) -> dict[str, tuple[str, str]]:
    """Foreign variables with our prefix are let be, as orchestrators set them for services; a slip is not."""
    by_variable = {one.variable: one for one in options.values()}
    found: dict[str, tuple[str, str]] = {}
    for variable, value in environment.items():
        if variable in by_variable:
            found[by_variable[variable].name] = (value, f"by ${variable}")
        elif variable.startswith(ENVIRONMENT_PREFIX):
            near = difflib.get_close_matches(variable, by_variable, n=1, cutoff=0.9)
            if near:
                raise ConfigError(f"unknown option ${variable} in the environment: did you mean ${near[0]}?")
    return found


def _suggestion(name: str, options: Mapping[str, Declared]) -> str:
    near = difflib.get_close_matches(name.replace("-", "_"), options, n=1, cutoff=0.6)
    return f": did you mean {near[0]!r}?" if near else f": options are {', '.join(options)}"


def _with_defaults(
    options: Mapping[str, Declared], values: Mapping[str, Any], facts: Mapping[str, str]
) -> dict[str, Any]:
    complete = {name: values.get(name, one.default) for name, one in options.items()}
    for name, one in options.items():
        if name not in values and isinstance(one.default, str):
            complete[name] = one.default.format_map({**facts, **complete})
    return complete


def _parse(one: Declared, value: Any, source: str) -> Any:
    """A value as it comes from TOML, a variable or a flag, in the option's type."""
    if value == "" and one.is_optional:
        return None
    try:
        if get_origin(one.kind) is not tuple:
            return _scalar(one, one.kind, value)
        parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        if not isinstance(parts, list) or not parts:
            raise ValueError("a list of names with commas between")
        kind = get_args(one.kind)[0]
        return tuple(dict.fromkeys(_scalar(one, kind, part) for part in parts))
    except ValueError as wanted:
        raise ConfigError(f"option {one.name} = {value!r} ({source}) is wrong: it takes {wanted}") from None


def _scalar(one: Declared, kind: Any, value: Any) -> Any:
    """Raises ValueError with what the option takes."""
    if issubclass(kind, Enum):
        if value not in one.choices:
            raise ValueError(_one_of(one.choices))
        return kind(value)
    if kind in (int, float):
        return _number(one, kind, value)
    if not isinstance(value, str) or not value:
        raise ValueError("a text")
    return kind(value)


def _number(one: Declared, kind: Any, value: Any) -> Any:
    number = math.nan
    if isinstance(value, str):
        try:
            number = kind(value)
        except ValueError:
            number = math.nan
    elif isinstance(value, int | kind) and not isinstance(value, bool):
        number = kind(value)
    if not one.option.low <= number <= one.option.high:
        what = "a whole number" if kind is int else "a number"
        raise ValueError(f"{what} from {one.option.low:g} to {one.option.high:g} ({one.option.unit})")
    return number


def _one_of(choices: tuple[str, ...]) -> str:
    return f"{', '.join(choices[:-1])} or {choices[-1]}"
