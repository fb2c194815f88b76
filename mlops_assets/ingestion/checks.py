"""The asset checks of ingestion: they read back what was written and ask the pure evaluators.

Here: the wiring, and which checks block. Not here: the rules (`quality`, `recency`,
`observations.judge`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import dagster as dg

from mlops_assets.ingestion import observations as observed
from mlops_assets.ingestion import recency
from mlops_assets.ingestion.assets import observations_key, raw_key
from mlops_assets.ingestion.pull import read_quarantine, read_raw
from mlops_assets.ingestion.quality import WARNINGS, Finding, Rule, evaluate, rules_of
from mlops_assets.orchestration.clock import Clock
from mlops_assets.orchestration.resources import Platform, Tables
from mlops_assets.problem import ForecastProblem, Source
from mlops_assets.storage.io_manager import table_name

_MEANING: Final[dict[Rule, str]] = {
    Rule.SCHEMA: "The table has its columns, types and ranges.",
    Rule.UNIQUE_KEYS: "No two stored rows share (series, valid_time, known_at).",
    Rule.PRICES_PRESENT: "Every price is a number above zero.",
    Rule.NOT_LATER_THAN_FETCH: "No bar closes after it was fetched.",
    Rule.OHLC_CONSISTENT: "High is the highest and low the lowest price of its bar.",
    Rule.PLAUSIBLE_RANGE: "Prices lie in the range that the problem's YAML calls plausible.",
    Rule.ON_BAR_GRID: "Every close lies on the grid of bars.",
    Rule.NO_CONFLICTING_DUPLICATES: "No pull gives one bar two different values.",
    Rule.NO_REPEATED_ROWS: "No pull gives one bar twice.",
    Rule.IN_ORDER: "Bars are delivered in the order of time.",
    Rule.ZERO_VOLUME: "Every bar has volume and a range.",
    Rule.GAPS: "No bar is missing between two others.",
    Rule.RECENCY: "The newest bar is as recent as the trading calendar lets expect.",
}

_OBSERVATION_MEANING: Final = {
    "schema": "The table has its columns, types and ranges.",
    "unique_keys": "One row for each version of a bar.",
    "as_known": "Nothing in the table was known later than the run's clock.",
}


def build_raw_checks(problem: ForecastProblem) -> list[dg.AssetChecksDefinition]:
    """For each raw asset one operation with a check per rule."""
    return [_raw_checks(problem, name, source) for name, source in problem.sources.items()]


def build_observation_checks(problem: ForecastProblem) -> list[dg.AssetChecksDefinition]:
    """The checks of `observations`, all blocking."""
    key = observations_key(problem.name)
    specs = [
        dg.AssetCheckSpec(name, asset=key, description=meaning, blocking=True)
        for name, meaning in _OBSERVATION_MEANING.items()
    ]

    @dg.multi_asset_check(name=f"{problem.name}__observations_checks", specs=specs)
    def check_observations(clock: Clock, tables: Tables) -> Iterator[dg.AssetCheckResult]:
        stored = tables.store().read(table_name(key))
        for finding in observed.judge(stored, problem, now=clock.now()):
            yield dg.AssetCheckResult(
                asset_key=key,
                check_name=finding.name,
                passed=finding.passed,
                description=finding.message,
            )

    return [check_observations]


def _raw_checks(problem: ForecastProblem, name: str, source: Source) -> dg.AssetChecksDefinition:
    key = raw_key(problem.name, name)
    specs = [
        dg.AssetCheckSpec(
            str(rule), asset=key, description=_MEANING[rule], blocking=_blocks(rule, source)
        )
        for rule in rules_of(source)
    ]

    @dg.multi_asset_check(name=f"{problem.name}__raw_{name}_checks", specs=specs)
    def check_raw(
        clock: Clock, tables: Tables, platform: Platform
    ) -> Iterator[dg.AssetCheckResult]:
        store, mode = tables.store(), platform.settings().data
        stored = read_raw(store, problem.name, name)
        set_aside = read_quarantine(store, problem.name, name)
        found = evaluate(stored, set_aside, name=name, source=source)
        found[Rule.RECENCY] = recency.judge(
            stored, name=name, source=source, now=clock.now(), mode=mode
        )
        for rule in rules_of(source):
            yield _result(found[rule], key)

    return check_raw


def _blocks(rule: Rule, source: Source) -> bool:
    return source.role == "target" and rule not in WARNINGS


def _result(finding: Finding, key: dg.AssetKey) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=str(finding.rule),
        passed=finding.passed,
        severity=dg.AssetCheckSeverity[finding.severity],
        description=finding.message,
        metadata={
            "count": dg.MetadataValue.int(finding.count),
            "first_rows": dg.MetadataValue.md(_as_markdown(finding)),
        },
    )


def _as_markdown(finding: Finding) -> str:
    if finding.rows.is_empty():
        return "none"
    header = f"|{'|'.join(finding.rows.columns)}|\n|{'---|' * finding.rows.width}"
    lines = [f"|{'|'.join(map(str, row))}|" for row in finding.rows.iter_rows()]
    return "\n".join([header, *lines])
