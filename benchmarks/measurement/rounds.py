"""Measurements side by side: rounds in which every variant runs once, and their medians.

The load of a machine drifts. Variants that take turns see the same drift, so their ratio holds
where two separate measurements would not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

Result = TypeVar("Result")


def interleaved(
    variants: Mapping[str, Callable[[], Result]], *, rounds: int
) -> dict[str, list[Result]]:
    """Run every variant once a round; each round starts with the next variant.

    Returns:
        Name -> its results, one for each round.
    """
    names = list(variants)
    results: dict[str, list[Result]] = {name: [] for name in names}
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            say(f"round {number + 1} of {rounds}: {name}")
            results[name].append(variants[name]())
    return results


def medians(samples: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Median of each figure over the rounds; a figure that a round lacks counts as 0 there."""
    names = dict.fromkeys(name for sample in samples for name in sample)
    return {name: statistics.median(s.get(name, 0.0) for s in samples) for name in names}


def arguments(
    description: str, *, rounds: int, more: Callable[[argparse.ArgumentParser], None] | None = None
) -> argparse.Namespace:
    """The command line that all scripts share: `--json`, `--quick`, `--rounds N`.

    Args:
        description: the script's docstring; its first line is shown by `--help`.
        rounds: default number of rounds.
        more: adds what only this script understands.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="only JSON on standard output")
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes and one round: shows that it runs"
    )
    parser.add_argument("--rounds", type=int, default=None, help=f"default {rounds}")
    if more is not None:
        more(parser)
    given = parser.parse_args()
    given.rounds = given.rounds or (1 if given.quick else rounds)
    return given


def show(figures: Mapping[str, object], text: str, *, as_json: bool) -> None:
    """Print the outcome: the text, or the figures as JSON."""
    print(json.dumps(figures, indent=2) if as_json else text)


def say(line: str) -> None:
    """Print a line of progress to standard error."""
    print(line, file=sys.stderr, flush=True)
