"""Figures: measured values with what they are of, and whether they meet the goal."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """What the median has to be: at most, or at least, `limit`."""

    relation: str
    limit: float

    def met_by(self, value: float) -> bool:
        return value <= self.limit if self.relation == "≤" else value >= self.limit

    def __str__(self) -> str:
        return f"{self.relation} {number(self.limit)}"


def at_most(limit: float) -> Goal:
    return Goal("≤", limit)


def at_least(limit: float) -> Goal:
    return Goal("≥", limit)


@dataclass(frozen=True, slots=True)
class Figure:
    """`values` of `what`, of whom (`who`), under which conditions (`at`), in `unit`."""

    what: str
    at: str
    who: str
    unit: str
    values: tuple[float, ...]
    goal: Goal | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def is_met(self) -> bool | None:
        """The median counts; where the goal is none at all, the worst."""
        if self.goal is None:
            return None
        return self.goal.met_by(max(self.values) if self.goal.limit == 0 else self.median)

    @property
    def verdict(self) -> str:
        return "" if self.goal is None else f"{self.goal} {'met' if self.is_met else '**missed**'}"

    def row(self) -> str:
        """A line of a table in Markdown, whose columns are `HEAD`."""
        spread = f"{number(min(self.values))} – {number(max(self.values))}" if len(self.values) > 1 else ""
        p95 = number(percentile(self.values, 95)) if len(self.values) >= 10 else ""
        cells = (
            self.what,
            self.at,
            self.who,
            self.unit,
            str(len(self.values)),
            number(self.median),
            p95,
            spread,
            self.verdict,
        )
        return f"| {' | '.join(cells)} |"


HEAD = (
    "| what | at | who | unit | n | median | p95 | min – max | goal |\n"
    "|---|---|---|---|---:|---:|---:|---|---|"
)


def percentile(values: Sequence[float], percent: float) -> float:
    """By linear interpolation between the nearest ranks."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def number(value: float) -> str:
    """Three significant digits, thousands separated; whole numbers from 100 on."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.2g}"
