"""The asset `champion`: the verdict of control and gate, and the alias it moves."""

# No `from __future__ import annotations`: Dagster reads the annotations of an asset as objects.

import dagster as dg
import polars as pl

from mlops_assets.evaluation.assets import backtest_key
from mlops_assets.orchestration.mlflow_run import mlflow_key
from mlops_assets.orchestration.trigger import trigger_of
from mlops_assets.problem import ForecastProblem
from mlops_assets.promotion.champion import empty_history, hold_look
from mlops_assets.promotion.registry import Registry
from mlops_assets.promotion.rollback import read_live_record
from mlops_assets.promotion.verdict import GateTest, Verdict
from mlops_assets.settings import Settings
from mlops_assets.storage.io_manager import table_name
from mlops_assets.training.assets import model_key
from mlops_assets.training.tracking import log_to_parent, run_link


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
            "reason. Materialising it moves the alias, and nothing else does but `mlops rollback`."
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
        settings = context.resources.platform.settings()
        registry = Registry(settings, problem.name)
        verdict, history = hold_look(
            backtest,
            pl.concat(models.values()),
            problem,
            registry=registry,
            history=history,
            as_of=context.resources.clock.now(),
            live=read_live_record(store, problem.name),
            trigger=trigger_of(context.instance, context.run, problem.name),
        )
        store.write(table, history)  # at once: the alias has moved, whatever fails from here on
        registry.retire(as_of=verdict.as_of)
        run_id = log_to_parent(texts={"verdict.json": verdict.model_dump_json(indent=2)})
        registry.tag_run(run_id, {"trigger": verdict.trigger})
        return dg.MaterializeResult(
            value=history, metadata=verdict_metadata(verdict, history, settings)
        )

    return champion


def verdict_metadata(
    verdict: Verdict, history: pl.DataFrame, settings: Settings
) -> dict[str, dg.MetadataValue]:
    """What Dagster's page shows of a verdict, and alerts read.

    Args:
        verdict: the newest one.
        history: all of them, `promotion.champion.HISTORY`.
        settings: name MLflow's page.
    """
    newest = history.row(-1, named=True)
    title = f"{verdict.decision}: {verdict.candidate}, version {newest['version']}"
    opening, *_, outcome = verdict.reasons
    return {
        # Short enough for Dagster's page to show it at once; longer texts hide behind a link.
        "verdict": _markdown(f"**{title}**", opening, outcome),
        "reasons": _markdown(*(f"- {reason}" for reason in verdict.reasons)),
        "tests": dg.MetadataValue.md("\n".join(map(_sentence, verdict.tests)) or "none"),
        "figures": dg.MetadataValue.json(verdict.model_dump(mode="json")),
        "champion_version": dg.MetadataValue.text(newest["version"]),
        "mlflow_run": dg.MetadataValue.md(run_link(settings, newest["run_id"])),
        "look": dg.MetadataValue.int(verdict.look),
        "trigger": dg.MetadataValue.text(verdict.trigger),
    }


def _markdown(*paragraphs: str) -> dg.MetadataValue:
    return dg.MetadataValue.md("\n\n".join(paragraphs).replace("_", "\\_"))


def _sentence(test: GateTest) -> str:
    asks = "better than" if test.purpose == "better" else "no worse than"
    holm = "" if test.holm_p_value is None else f", Holm-adjusted {test.holm_p_value:.2g}"
    loss = test.loss.replace("_", " ")
    outcome = "passed" if test.passed else "failed"
    return (
        f"- `{test.challenger}` {asks} `{test.against}`, {loss}: {outcome} "
        f"(t {test.statistic:.2f}, p {test.p_value:.2g}{holm}, level {test.alpha:.2g})"
    )
