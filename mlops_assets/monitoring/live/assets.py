"""The asset `live_scores`, and the control table that it writes beside."""

# No `from __future__ import annotations`: Dagster reads the annotations of an asset as objects.

import dagster as dg
import polars as pl

from mlops_assets.forecasting.assets import forecasts_key
from mlops_assets.ingestion.assets import observations_key
from mlops_assets.monitoring.control import evaluate_control
from mlops_assets.monitoring.live_scores import by_candidate, score
from mlops_assets.orchestration.clock import Clock
from mlops_assets.orchestration.resources import Tables
from mlops_assets.problem import ForecastProblem
from mlops_assets.promotion.assets import champion_key
from mlops_assets.promotion.control_state import control_table


def live_scores_key(problem: str) -> dg.AssetKey:
    """Asset key of a problem's live scores."""
    return dg.AssetKey([problem, "live_scores"])


def build_live_scores_asset(problem: ForecastProblem) -> dg.AssetsDefinition:
    """The asset `live_scores`: forecasts that came true, with their errors and who was champion."""

    @dg.asset(
        key=live_scores_key(problem.name),
        group_name=problem.name,
        ins={
            "forecasts": dg.AssetIn(forecasts_key(problem.name)),
            "observations": dg.AssetIn(observations_key(problem.name)),
            "champion": dg.AssetIn(champion_key(problem.name)),
        },
        description=(
            "Live forecasts beside what came true, by version, series, origin and step. Beside it "
            "lies the control table: whether the champion is still sound, read by `champion`."
        ),
        owners=list(problem.owners),
        kinds={"parquet"},
        tags={"stage": "monitoring"},
        io_manager_key="io_manager",
    )
    def live_scores(
        forecasts: pl.DataFrame,
        observations: pl.DataFrame,
        champion: pl.DataFrame,
        clock: Clock,
        tables: Tables,
    ) -> dg.MaterializeResult[pl.DataFrame]:
        as_of = clock.now()
        scores = score(forecasts, observations, champion, problem, as_of=as_of)
        control = evaluate_control(scores, champion, problem, as_of=as_of)
        tables.store().write(control_table(problem.name), control)
        return dg.MaterializeResult(value=scores, metadata=_metadata(scores, control, problem))

    return live_scores


def _metadata(
    scores: pl.DataFrame, control: pl.DataFrame, problem: ForecastProblem
) -> dict[str, dg.MetadataValue]:
    """Numbers are plotted over time by Dagster, and left out while there is none."""
    champion = scores.filter(pl.col("role") == "champion")
    numbers: dict[str, object] = {
        "live_mae": champion["absolute_error"].mean(),
        "live_coverage": champion["covered"].mean(),
        "largest_e_value": control["e_value"].max(),
    }
    return {
        "live": dg.MetadataValue.md(_live_table(scores, problem)),
        "control": dg.MetadataValue.md(_control_table(control)),
        "newest_valid_time": dg.MetadataValue.text(str(scores["valid_time"].max())),
        "verified": dg.MetadataValue.int(scores.height),
        "alarms": dg.MetadataValue.int(int(control["alarm"].sum())),
        **{
            name: dg.MetadataValue.float(float(value))
            for name, value in numbers.items()
            if isinstance(value, float)
        },
    }


def _live_table(scores: pl.DataFrame, problem: ForecastProblem) -> str:
    unit = problem.target_source.unit
    lines = [
        f"| candidate | role | n | MAE, {unit} | RMSE, {unit} | coverage | MAE of the last value |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| `{r['candidate']}` | {r['role']} | {r['n']:,} | {r['mae']:,.4g} | {r['rmse']:,.4g} "
            f"| {r['coverage']:.1%} | {r['mae_last_value']:,.4g} |"
            for r in by_candidate(scores, problem).iter_rows(named=True)
        ),
    ]
    return "\n".join(lines) if scores.height else "No forecast has come true yet."


def _control_table(control: pl.DataFrame) -> str:
    lines = [
        "| test | against | periods | e-value | alarms at | alarm |",
        "|---|---|---|---|---|---|",
        *(
            f"| {r['test'].replace('_', ' ')} | {r['against'] or ''} | {r['n']:,} "
            f"| {r['e_value']:,.3g} | {r['threshold']:,.4g} | {'**yes**' if r['alarm'] else 'no'} |"
            for r in control.iter_rows(named=True)
        ),
    ]
    return "\n".join(lines)
