"""The asset `champion`: the verdict of the gate, and the alias it moves."""

# No `from __future__ import annotations`: Dagster reads the annotations of an asset as objects.

import dagster as dg
import polars as pl

from mlops_assets.evaluation.assets import backtest_key
from mlops_assets.orchestration.mlflow_run import mlflow_key
from mlops_assets.problem import ForecastProblem
from mlops_assets.promotion.champion import empty_history, hold_look
from mlops_assets.promotion.registry import Registry
from mlops_assets.promotion.verdict import Verdict
from mlops_assets.storage.io_manager import table_name
from mlops_assets.training.assets import model_key
from mlops_assets.training.tracking import log_to_parent


def champion_key(problem: str) -> dg.AssetKey:
    """Asset key of a problem's verdicts."""
    return dg.AssetKey([problem, "champion"])


def build_champion_asset(problem: ForecastProblem) -> dg.AssetsDefinition:
    """The asset `champion`: one row per verdict, newest last."""
    key = champion_key(problem.name)
    models = {f"model_{c}": dg.AssetIn(model_key(problem.name, c)) for c in problem.candidates}

    @dg.asset(
        key=key,
        group_name=problem.name,
        ins={"backtest": dg.AssetIn(backtest_key(problem.name)), **models},
        description=(
            "The gate's verdicts: promote, keep, refresh or roll back, with every figure and "
            "reason. Materialising it is the only way an alias moves."
        ),
        owners=list(problem.owners),
        kinds={"mlflow", "parquet"},
        tags={"stage": "promotion"},
        io_manager_key="io_manager",
        required_resource_keys={mlflow_key(problem.name), "clock", "tables", "platform"},
    )
    def champion(
        context: dg.AssetExecutionContext, backtest: pl.DataFrame, **models: pl.DataFrame
    ) -> dg.MaterializeResult[pl.DataFrame]:
        store, table = context.resources.tables.store(), table_name(key)
        history = store.read(table) if store.exists(table) else empty_history()
        verdict, history = hold_look(
            backtest,
            pl.concat(models.values()),
            problem,
            registry=Registry(context.resources.platform.settings(), problem.name),
            history=history,
            as_of=context.resources.clock.now(),
        )
        log_to_parent(texts={"verdict.json": verdict.model_dump_json(indent=2)})
        return dg.MaterializeResult(value=history, metadata=_metadata(verdict, history))

    return champion


def _metadata(verdict: Verdict, history: pl.DataFrame) -> dict[str, dg.MetadataValue]:
    newest = history.row(-1, named=True)
    reasons = "\n".join(f"- {reason}" for reason in verdict.reasons)
    lines = [
        f"| {t.purpose} | {t.challenger} | {t.against} | {t.loss} | {t.statistic:.2f} "
        f"| {t.p_value:.2g} | {'' if t.holm_p_value is None else f'{t.holm_p_value:.2g}'} "
        f"| {t.alpha:.2g} | {'passed' if t.passed else 'failed'} |"
        for t in verdict.tests
    ]
    head = "| test | challenger | against | loss | t | p | Holm | level | |\n" + "|---" * 9 + "|"
    return {
        "verdict": dg.MetadataValue.md(f"**{verdict.decision}: {verdict.candidate}**\n\n{reasons}"),
        "tests": dg.MetadataValue.md("\n".join([head, *lines])),
        "figures": dg.MetadataValue.json(verdict.model_dump(mode="json")),
        "champion_version": dg.MetadataValue.text(newest["version"]),
        "mlflow_run_id": dg.MetadataValue.text(newest["run_id"]),
        "look": dg.MetadataValue.int(verdict.look),
    }
