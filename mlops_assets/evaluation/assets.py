"""The assets `backtest` and `evaluation_report`."""

# No `from __future__ import annotations`: Dagster reads the annotations of an asset as objects.

import base64
from datetime import datetime
from typing import Final

import dagster as dg
import polars as pl

from mlops_assets.evaluation.backtest import FoldCount, add_bands, run_backtest
from mlops_assets.evaluation.breakdown import by_label, by_lead
from mlops_assets.evaluation.folds import evaluation_start, plan_folds
from mlops_assets.evaluation.leaderboard import leaderboard, weekly
from mlops_assets.evaluation.plots import figures
from mlops_assets.evaluation.report import (
    html_report,
    leaderboard_markdown,
    predictions_csv,
    table_csv,
)
from mlops_assets.features.assets import features_key
from mlops_assets.features.design import training_rows
from mlops_assets.ingestion.assets import observations_key
from mlops_assets.orchestration.clock import Clock, parse_instant
from mlops_assets.orchestration.mlflow_run import mlflow_key
from mlops_assets.orchestration.pools import TRAINING_POOL
from mlops_assets.orchestration.resources import Tables
from mlops_assets.problem import ForecastProblem
from mlops_assets.settings import Settings
from mlops_assets.training.recipe import code_version, recipes_of
from mlops_assets.training.tracking import log_to_parent, run_link

SYNTHETIC: Final = (
    "Synthetic data: a generator made every value, signal and noise alike. Nothing here says "
    "anything about the world."
)
CAVEAT: Final = (
    "An edge over the last value is far below trading costs (about 1 bp of the price an hour): "
    "this is a forecast, not a strategy."
)

_SHORT: Final = ("candidate", "baseline", "mae", "skill")
"""The leaderboard's columns that fit beside each other on Dagster's page."""


class BacktestConfig(dg.Config):
    """What a run may ask of the backtest."""

    evaluate_from: str | None = None
    """First period that is evaluated (its start, ISO 8601 with zone); default: the newest folds."""


def backtest_key(problem: str) -> dg.AssetKey:
    """Asset key of a problem's backtest."""
    return dg.AssetKey([problem, "backtest"])


def report_key(problem: str) -> dg.AssetKey:
    """Asset key of a problem's evaluation report: the leaderboard."""
    return dg.AssetKey([problem, "evaluation_report"])


def build_backtest_asset(problem: ForecastProblem) -> dg.AssetsDefinition:
    """The asset `backtest`: rolling-origin forecasts of every recipe on the same rows."""

    @dg.asset(
        key=backtest_key(problem.name),
        group_name=problem.name,
        ins={
            "features": dg.AssetIn(features_key(problem.name)),
            "observations": dg.AssetIn(observations_key(problem.name)),
        },
        description=(
            "Forecasts of every recipe and baseline for the same past origins, each from the "
            "newest refit before it, with bands and what came true. Whole folds are kept and "
            "never computed twice."
        ),
        owners=list(problem.owners),
        kinds={"parquet", "scikitlearn"},
        tags={"stage": "evaluation"},
        code_version=code_version(),
        pool=TRAINING_POOL,
        io_manager_key="io_manager",
    )
    def backtest(
        context: dg.AssetExecutionContext,
        config: BacktestConfig,
        features: pl.DataFrame,
        observations: pl.DataFrame,
        clock: Clock,
        tables: Tables,
    ) -> dg.MaterializeResult[pl.DataFrame]:
        as_of = clock.now()
        start = (
            parse_instant(config.evaluate_from)
            if config.evaluate_from
            else evaluation_start(problem.evaluation, as_of)
        )
        rows = training_rows(features, observations, problem)
        recipes = recipes_of(problem, features, rows)
        folds = plan_folds(problem, as_of=as_of, evaluate_from=start)
        forecasts, count = run_backtest(
            rows, recipes, folds, store=tables.store(), fits=tables.fits(), log=context.log.info
        )
        table = add_bands(forecasts, rows, problem, evaluate_from=start)
        return dg.MaterializeResult(value=table, metadata=_backtest_metadata(table, count))

    return backtest


def build_report_asset(problem: ForecastProblem) -> dg.AssetsDefinition:
    """The asset `evaluation_report`: the leaderboard as table, with plots, page and CSV."""

    @dg.asset(
        key=report_key(problem.name),
        group_name=problem.name,
        ins={"backtest": dg.AssetIn(backtest_key(problem.name))},
        description=(
            "Leaderboard with significance against the strongest baseline; plots, HTML page and "
            "predictions as MLflow artifacts."
        ),
        owners=list(problem.owners),
        kinds={"mlflow", "matplotlib"},
        tags={"stage": "evaluation"},
        io_manager_key="io_manager",
        required_resource_keys={mlflow_key(problem.name), "clock", "platform"},
    )
    def evaluation_report(
        context: dg.AssetExecutionContext, backtest: pl.DataFrame
    ) -> dg.MaterializeResult[pl.DataFrame]:
        board = leaderboard(backtest, problem)
        pictures = figures(backtest, problem, board["candidate"][0])
        page = html_report(
            problem,
            board,
            pictures,
            as_of=context.resources.clock.now(),
            span=_span(backtest),
            caveats=_caveats(problem, context.resources.platform.settings()),
            by_label=by_label(backtest, problem),
        )
        files = _report_files(backtest, problem, pictures)
        run_id = log_to_parent(
            texts={"report/evaluation.html": page}, files=files, metrics=_figures_of(board)
        )
        link = run_link(context.resources.platform.settings(), run_id)
        return dg.MaterializeResult(
            value=board, metadata=_report_metadata(board, pictures, problem, link)
        )

    return evaluation_report


def _caveats(problem: ForecastProblem, settings: Settings) -> tuple[str, ...]:
    synthetic = (SYNTHETIC,) if settings.data == "sample" else ()
    costs = (CAVEAT,) if problem.target.transform == "log_return" else ()
    names = ", ".join(problem.compared_only)
    compared = (f"For comparison only, never promoted: {names}.",) if names else ()
    return (*synthetic, *costs, *compared)


def _report_files(
    backtest: pl.DataFrame, problem: ForecastProblem, pictures: dict[str, bytes]
) -> dict[str, bytes]:
    tables = {"weekly": weekly(backtest, problem), "by_lead": by_lead(backtest, problem)}
    if problem.series_keys:
        tables["by_label"] = by_label(backtest, problem)
    return {
        **{f"report/{name}": png for name, png in pictures.items()},
        "report/predictions.csv": predictions_csv(backtest, keys=problem.series_keys),
        **{f"report/{name}.csv": table_csv(table) for name, table in tables.items()},
    }


def _span(backtest: pl.DataFrame) -> tuple[datetime, datetime]:
    first, last = backtest["origin"].min(), backtest["origin"].max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    return first, last


def _backtest_metadata(table: pl.DataFrame, count: FoldCount) -> dict[str, dg.MetadataValue]:
    first, last = _span(table)
    return {
        "folds_computed": dg.MetadataValue.int(count.computed),
        "folds_reused": dg.MetadataValue.int(count.reused),
        "refits": dg.MetadataValue.int(table["refit_at"].n_unique()),
        "first_origin": dg.MetadataValue.text(first.isoformat()),
        "last_origin": dg.MetadataValue.text(last.isoformat()),
        "rows_per_candidate": dg.MetadataValue.int(len(table) // table["candidate"].n_unique()),
    }


def _figures_of(board: pl.DataFrame) -> dict[str, float]:
    """The scores by name for MLflow, with those at each lead where there are several."""
    scores = ("mae", "rmse", "mase", "skill", "p_value", "coverage", "winkler")
    figures: dict[str, float | None] = {}
    for row in board.iter_rows(named=True):
        figures |= {f"{row['candidate']}.{name}": row[name] for name in scores}
        if len(row["by_lead"]) > 1:
            figures |= {
                f"{row['candidate']}.{name}_lead_{lead['step']}": lead[name]
                for lead in row["by_lead"]
                for name in ("mae", "coverage")
            }
    return {name: float(value) for name, value in figures.items() if value is not None}


def _report_metadata(
    board: pl.DataFrame, pictures: dict[str, bytes], problem: ForecastProblem, run: str
) -> dict[str, dg.MetadataValue]:
    images = "\n\n".join(
        f"![{name}](data:image/png;base64,{base64.b64encode(png).decode()})"
        for name, png in pictures.items()
    )
    best = board.row(0, named=True)
    unit = problem.target_source.unit
    return {
        "leaderboard": dg.MetadataValue.md(leaderboard_markdown(board.select(_SHORT), unit)),
        "table_and_plots": dg.MetadataValue.md(f"{leaderboard_markdown(board, unit)}\n\n{images}"),
        "mlflow_run": dg.MetadataValue.md(run),
        "best_candidate": dg.MetadataValue.text(best["candidate"]),
        "best_mae": dg.MetadataValue.float(best["mae"]),
        "best_skill": dg.MetadataValue.float(best["skill"]),
        "best_coverage": dg.MetadataValue.float(best["coverage"]),
    }
