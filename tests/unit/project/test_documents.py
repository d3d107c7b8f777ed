"""The documents name things that exist: files, headings, make targets, commands and their options."""

import re
import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import click
import pytest

from plait.cli.main import cli

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
HAND_WRITTEN = [document for document in DOCUMENTS if document.name not in ("cli.md", "configuration.md")]

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(plait [^`]+)`")
_BREAKS = {"|", "||", "&&", ";", ">", "<"}
"""Where one command of a shell line ends."""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings_that_exist(document: Path) -> None:
    for link in _LINK.findall(document.read_text()):
        if re.match(r"\w+://", link):
            continue
        path, _, heading = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{document.name} links to {link}"
        if heading:
            assert heading in _headings(target), f"{document.name} links to {link}"


@pytest.mark.parametrize("document", HAND_WRITTEN, ids=lambda path: path.name)
def test_commands_and_their_options_exist(document: Path) -> None:
    for words in _commands(document.read_text()):
        command, rest = _resolve(words)
        known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
        known |= {"--help", "-h"}
        options = [word.partition("=")[0] for word in takewhile(lambda word: word != "--", rest)]
        unknown = {option for option in options if option.startswith("-")} - known
        assert not unknown, f"{document.name}: 'plait {' '.join(words)}' has no {', '.join(unknown)}"


def test_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        text = document.read_text()
        named = re.findall(r"`make ([a-z]+)", text)
        named += [
            name for block in _CODE.findall(text) for name in re.findall(r"^make ([a-z]+)", block, re.M)
        ]
        assert set(named) <= targets, document.name


def test_every_decision_is_listed_once() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"\]\((\d{4}[^)]*\.md)\)", (folder / "README.md").read_text())
    assert listed == sorted(path.name for path in folder.glob("[0-9]*.md"))
    numbers = [name[:4] for name in listed]
    assert len(numbers) == len(set(numbers))


def _headings(document: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _commands(text: str) -> Iterator[list[str]]:
    """The arguments of every `plait …` in code, wherever in a shell line it stands."""
    lines = [line for block in _CODE.findall(text) for line in block.splitlines()]
    for line in (*lines, *_INLINE.findall(_CODE.sub("", text).replace("\n", " "))):
        # `$(…)` of a shell: what is inside is a line of its own.
        for part in re.split(r"\$\(|\)", line):
            yield from _commands_of(part)


def _commands_of(line: str) -> Iterator[list[str]]:
    try:
        words = shlex.split(line.replace('"', " "), comments=True)
    except ValueError:
        return
    for index, word in enumerate(words):
        if word == "plait" and (index == 0 or words[index - 1] in _BREAKS | {"--", "eval"}):
            rest = list(takewhile(lambda word: word not in _BREAKS, words[index + 1 :]))
            if rest and rest[0].isalpha():
                yield rest


def _resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the first words name; alternatives (`network|subnet`) count by their first."""
    command: click.Command = cli
    for index, word in enumerate(words):
        if not isinstance(command, click.Group):
            return command, words[index:]
        named = command.get_command(click.Context(command), word.split("|")[0])
        if named is None:
            assert "…" in word or word == "…", f"there is no command 'plait {' '.join(words[: index + 1])}'"
            return command, []
        command = named
    return command, []
