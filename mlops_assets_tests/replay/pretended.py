"""The planted problem's graph with empty bodies: what a replay runs, without what it computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import dagster as dg

from mlops_assets.orchestration.clock import Clock
from mlops_assets.problem import ForecastProblem
from mlops_assets.settings import Settings
from mlops_assets_tests.end_to_end.planted import NAME

UPSTREAM: dict[str, Sequence[str]] = {
    "raw_coin": (),
    "observations": ("raw_coin",),
    "features": ("observations",),
    "backtest": ("features",),
    "model_ridge": ("features",),
    "champion": ("backtest", "model_ridge"),
    "forecasts": ("champion", "features"),
    "live_scores": ("forecasts", "observations"),
    "drift_report": ("features", "champion"),
    "prediction_log": (),
    "published": ("forecasts", "live_scores"),
}


def _never(origin: datetime) -> bool:
    del origin
    return False


@dataclass
class Pretended:
    """Builds the graph; remembers what ran at which instant.

    Attributes:
        control: whether the champion's control alarms at an instant.
        drift: whether the data drifted at an instant.
        ran: the names of the assets of each run, in the order of the runs.
    """

    control: Callable[[datetime], bool] = _never
    drift: Callable[[datetime], bool] = _never
    broken: str | None = None
    ran: list[tuple[datetime, set[str]]] = field(default_factory=list)
    _runs: list[str] = field(default_factory=list)

    def build(self, problem: ForecastProblem, settings: Settings) -> dg.Definitions:
        """In place of `build_problem_definitions`."""
        del problem, settings
        return dg.Definitions(
            assets=[self._asset(name, upstream) for name, upstream in UPSTREAM.items()],
            asset_checks=[
                self._check("live_scores", "control", self.control),
                self._check("drift_report", "drift", self.drift),
            ],
        )

    def _note(self, run_id: str, name: str, now: datetime) -> None:
        if run_id not in self._runs:
            self._runs.append(run_id)
            self.ran.append((now, set()))
        self.ran[-1][1].add(name)

    def _asset(self, name: str, upstream: Sequence[str]) -> dg.AssetsDefinition:
        @dg.asset(
            key=[NAME, name],
            group_name=NAME,
            deps=[dg.AssetKey([NAME, other]) for other in upstream],
            required_resource_keys={"clock"},
        )
        def body(context) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001  Dagster wants no annotation or an object
            if name == self.broken:
                raise ValueError("the disk is full")
            self._note(context.run.run_id, name, context.resources.clock.now())

        return body

    def _check(
        self, asset: str, name: str, alarm: Callable[[datetime], bool]
    ) -> dg.AssetChecksDefinition:
        @dg.multi_asset_check(
            name=f"{asset}_checks", specs=[dg.AssetCheckSpec(name, asset=[NAME, asset])]
        )
        def check(clock: dg.ResourceParam[Clock]) -> Iterator[dg.AssetCheckResult]:
            yield dg.AssetCheckResult(
                asset_key=dg.AssetKey([NAME, asset]),
                check_name=name,
                passed=not alarm(clock.now()),
                severity=dg.AssetCheckSeverity.WARN,
            )

        return check
