"""A problem's whole loop in plain Python: the functions that the assets call, in their order.

Here: the calls, and a stopwatch around what is one asset in the graph. Not here: the graph itself
(`graph_overhead.py`).

Results are handed over in memory and each is stored once, as a careful script would do; the
checks' evaluators run too. What Dagster adds is left out: events, metadata, reading inputs back.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from mlops_assets.evaluation.alignment import copier_is_shifted, misaligned
from mlops_assets.evaluation.assets import CAVEAT, SYNTHETIC, backtest_key, report_key
from mlops_assets.evaluation.backtest import add_bands, run_backtest
from mlops_assets.evaluation.breakdown import by_label, by_lead
from mlops_assets.evaluation.checks import credible_ratio
from mlops_assets.evaluation.folds import evaluation_start, plan_folds
from mlops_assets.evaluation.leaderboard import leaderboard, suspicious, weekly
from mlops_assets.evaluation.plots import figures
from mlops_assets.evaluation.report import html_report, predictions_csv, table_csv
from mlops_assets.features.assets import features_key
from mlops_assets.features.checks import PROBES
from mlops_assets.features.design import lay_rows, training_rows
from mlops_assets.features.feature_set import compute_features
from mlops_assets.features.leakage import find_leaks, probe_origins
from mlops_assets.forecasting import live
from mlops_assets.forecasting.assets import forecasts_key
from mlops_assets.forecasting.snapshot import INPUT_WINDOW, snapshot_files
from mlops_assets.forecasting.watch_tables import read_watch_tables
from mlops_assets.ingestion import recency
from mlops_assets.ingestion.assets import observations_key
from mlops_assets.ingestion.observations import judge, observe
from mlops_assets.ingestion.pull import pull, read_quarantine, read_raw
from mlops_assets.ingestion.quality import evaluate
from mlops_assets.monitoring.control import evaluate_control, faults
from mlops_assets.monitoring.live.assets import live_scores_key
from mlops_assets.monitoring.live_scores import score
from mlops_assets.problem import ForecastProblem
from mlops_assets.promotion.assets import champion_key
from mlops_assets.promotion.champion import empty_history, hold_look
from mlops_assets.promotion.control_state import control_table
from mlops_assets.promotion.registry import Registry
from mlops_assets.settings import Settings
from mlops_assets.storage.io_manager import table_name
from mlops_assets.storage.publication import publish
from mlops_assets.storage.tables import TableStore
from mlops_assets.tables.layouts import layout_of
from mlops_assets.training.assets import model_key, newest_origin
from mlops_assets.training.final_fit import fit_and_register
from mlops_assets.training.model_card import Provenance
from mlops_assets.training.recipe import recipes_of
from mlops_assets.training.tracking import ensure_experiment, log_to_parent
from serving.contract.snapshot import Manifest


class FaultError(RuntimeError):
    """A check of the loop found something; a measurement on faulty data means nothing."""


@dataclass
class PlainLoop:
    """One run of a problem's loop.

    Attributes:
        seconds: wall seconds of each part, by the name its step has in the graph.
    """

    problem: ForecastProblem
    settings: Settings
    start: datetime
    as_of: datetime
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Open the tables."""
        self._store = TableStore(self.settings.storage)

    def run(self) -> None:
        """All parts, below one MLflow run, as in the graph.

        Raises:
            FaultError: a check found something.
        """
        import mlflow

        mlflow.set_tracking_uri(self.settings.tracking_uri)
        mlflow.set_experiment(ensure_experiment(self.settings, self.problem.name))
        with mlflow.start_run(run_name="plain", tags={"problem": self.problem.name}) as run:
            raw = self._raw()
            observations = self._observations(raw)
            features = self._features(observations)
            backtest = self._backtest(features, observations)
            models = self._models(features, observations, run.info.run_id)
            board = self._report(backtest)
            champion = self._champion(backtest, models)
            said = self._forecasts(features, backtest, champion, models, observations)
            self._live_scores(said, observations, champion)
            self._published(features, observations, backtest, said, board=board, champion=champion)

    def _raw(self) -> dict[str, pl.DataFrame]:
        problem, store, raw = self.problem, self._store, {}
        for name, source in problem.sources.items():
            with self._timed(f"raw_{name}"):
                pull(
                    store,
                    problem.name,
                    name,
                    source,
                    start=self.start,
                    end=self.as_of,
                    fetched_at=self.as_of,
                    settings=self.settings,
                )
            with self._timed(f"raw_{name}_checks"):
                layout = layout_of(source.kind)
                stored = raw[name] = read_raw(store, problem.name, name, layout=layout)
                set_aside = read_quarantine(store, problem.name, name, layout=layout)
                found = evaluate(stored, set_aside, name=name, source=source)
                newest = recency.judge(
                    stored, name=name, source=source, now=self.as_of, mode=self.settings.data
                )
                _require_none(f.message for f in (*found.values(), newest) if not f.passed)
        return raw

    def _observations(self, raw: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
        with self._timed("observations"):
            frame = observe(raw[self.problem.target.source], raw, self.problem, self.as_of)
            self._keep(observations_key(self.problem.name), frame)
        with self._timed("observations_checks"):
            found = judge(frame, self.problem, now=self.as_of)
            _require_none(f.message for f in found if not f.passed)
        return frame

    def _features(self, observations: pl.DataFrame) -> pl.DataFrame:
        with self._timed("features"):
            table = compute_features(observations, self.problem)
            self._keep(features_key(self.problem.name), table)
        with self._timed("features_checks"):
            probes = PROBES[self.problem.target_source.kind]
            origins = probe_origins(table, count=probes)
            leaks = find_leaks(table, observations, self.problem, origins=origins)
            _require_none(map(str, leaks))
            repeated = table.filter(pl.struct("series", "origin").is_duplicated())
            _require_none(map(str, repeated.rows()))
        return table

    def _backtest(self, features: pl.DataFrame, observations: pl.DataFrame) -> pl.DataFrame:
        problem = self.problem
        with self._timed("backtest"):
            start = evaluation_start(problem.evaluation, self.as_of)
            rows = training_rows(features, observations, problem)
            recipes = recipes_of(problem, features, rows)
            folds = plan_folds(problem, as_of=self.as_of, evaluate_from=start)
            forecasts, _ = run_backtest(
                rows, recipes, folds, store=self._store, log=lambda _line: None
            )
            table = add_bands(forecasts, rows, problem, evaluate_from=start)
            self._keep(backtest_key(problem.name), table)
        with self._timed("backtest_checks"):
            self._require_honest_stamps(table, observations)
            floor = credible_ratio(problem, synthetic=self.settings.data == "sample")
            _require_none(suspicious(leaderboard(table, problem), floor))
        return table

    def _models(
        self, features: pl.DataFrame, observations: pl.DataFrame, run_id: str
    ) -> pl.DataFrame:
        problem, fits = self.problem, []
        for name in problem.candidates:
            with self._timed(f"model_{name}"):
                rows = training_rows(features, observations, problem)
                done = fit_and_register(
                    recipes_of(problem, features, rows)[name],
                    rows,
                    problem,
                    refit_at=newest_origin(features),
                    provenance=self._provenance(run_id),
                    settings=self.settings,
                ).as_frame()
                self._keep(model_key(problem.name, name), done)
                fits.append(done)
        table = pl.concat(fits)
        with self._timed("model_checks"):
            _require_none(table["fault"].drop_nulls())
        return table

    def _report(self, backtest: pl.DataFrame) -> pl.DataFrame:
        problem = self.problem
        with self._timed("evaluation_report"):
            board = leaderboard(backtest, problem)
            pictures = figures(backtest, problem, board["candidate"][0])
            first, last = backtest["origin"].min(), backtest["origin"].max()
            assert isinstance(first, datetime) and isinstance(last, datetime)  # noqa: PT018
            page = html_report(
                problem,
                board,
                pictures,
                as_of=self.as_of,
                span=(first, last),
                caveats=self._caveats(),
                by_label=by_label(backtest, problem),
            )
            log_to_parent(
                texts={"report/evaluation.html": page},
                files=self._report_files(backtest, pictures),
                metrics=_figures_of(board),
            )
            self._keep(report_key(problem.name), board)
        return board

    def _champion(self, backtest: pl.DataFrame, models: pl.DataFrame) -> pl.DataFrame:
        with self._timed("champion"):
            registry = Registry(self.settings, self.problem.name)
            verdict, history = hold_look(
                backtest,
                models,
                self.problem,
                registry=registry,
                history=empty_history(),
                as_of=self.as_of,
            )
            registry.retire(as_of=self.as_of)
            log_to_parent(texts={"verdict.json": verdict.model_dump_json(indent=2)})
            self._keep(champion_key(self.problem.name), history)
        return history

    def _forecasts(
        self,
        features: pl.DataFrame,
        backtest: pl.DataFrame,
        champion: pl.DataFrame,
        models: pl.DataFrame,
        observations: pl.DataFrame,
    ) -> pl.DataFrame:
        problem, registry = self.problem, Registry(self.settings, self.problem.name)
        with self._timed("forecasts"):
            newest = live.newest_origins(features, live.empty())
            rows = lay_rows(newest, problem, steps=range(1, problem.horizon + 1))
            registered = models["version"].drop_nulls().to_list()
            new = []
            for version in dict.fromkeys([champion["version"][-1], *registered]):
                model, card = registry.model(version)
                loaded = live.LoadedVersion(version, card.mlflow_run_id, model, card)
                new.append(live.forecast(loaded, rows, backtest, problem))
            said = live.add_new(live.empty(), new)
            self._keep(forecasts_key(problem.name), said)
        with self._timed("forecasts_checks"):
            self._require_honest_stamps(said, observations)
            _require_none([] if live.is_finite(said) else ["a forecast is no number"])
        return said

    def _live_scores(
        self, said: pl.DataFrame, observations: pl.DataFrame, champion: pl.DataFrame
    ) -> None:
        problem = self.problem
        with self._timed("live_scores"):
            scores = score(said, observations, champion, problem, as_of=self.as_of)
            control = evaluate_control(scores, champion, problem, as_of=self.as_of)
            self._store.write(control_table(problem.name), control)
            self._keep(live_scores_key(problem.name), scores)
        with self._timed("live_scores_control"):
            _require_none(faults(self._store.read(control_table(problem.name)), problem))

    def _published(
        self,
        features: pl.DataFrame,
        observations: pl.DataFrame,
        backtest: pl.DataFrame,
        said: pl.DataFrame,
        *,
        board: pl.DataFrame,
        champion: pl.DataFrame,
    ) -> None:
        problem = self.problem
        with self._timed("published"):
            recent = features.filter(pl.col("origin") > pl.col("origin").max() - INPUT_WINDOW)
            rows = lay_rows(recent, problem, steps=range(1, problem.horizon + 1))
            files = snapshot_files(
                problem,
                rows=rows,
                observations=observations,
                backtest=backtest,
                forecasts=said,
                leaderboard=board,
                champion=champion,
                watched=read_watch_tables(
                    self._store, problem.name, namespace=self.settings.namespace
                ),
                as_of=self.as_of,
            )
            publish(self._store, self._draft(), files)

    def _caveats(self) -> tuple[str, ...]:
        synthetic = (SYNTHETIC,) if self.settings.data == "sample" else ()
        returns = self.problem.target.transform == "log_return"
        return (*synthetic, *((CAVEAT,) if returns else ()))

    def _report_files(
        self, backtest: pl.DataFrame, pictures: Mapping[str, bytes]
    ) -> dict[str, bytes]:
        problem, keys = self.problem, self.problem.series_keys
        files = {f"report/{name}": png for name, png in pictures.items()}
        files["report/predictions.csv"] = predictions_csv(backtest, keys=keys)
        files["report/weekly.csv"] = table_csv(weekly(backtest, problem))
        files["report/by_lead.csv"] = table_csv(by_lead(backtest, problem))
        if keys:
            files["report/by_label.csv"] = table_csv(by_label(backtest, problem))
        return files

    def _draft(self) -> Manifest:
        problem, settings = self.problem, self.settings
        return Manifest(
            snapshot_id="",
            problem=problem.name,
            title=problem.title,
            unit=problem.target_source.unit,
            as_of=self.as_of,
            created_at=self.as_of,
            frequency_seconds=problem.frequency.total_seconds(),
            horizon=problem.horizon,
            stale_after_seconds=problem.freshness["features"].fail_after.total_seconds(),
            synthetic=settings.data == "sample",
            data_mode=settings.data,
            data_version=self._store.data_version(table_name(features_key(problem.name))),
            dagster_run_id="plain",
            registered_model=settings.registered_model(problem.name),
            series_keys=problem.series_keys,
            files={},
        )

    def _provenance(self, run_id: str) -> Provenance:
        name = self.problem.name
        tables = {f"raw_{source}": f"{name}/raw_{source}" for source in self.problem.sources}
        tables["observations"] = table_name(observations_key(name))
        tables["features"] = table_name(features_key(name))
        return Provenance(
            as_of=self.as_of,
            data_versions={k: self._store.data_version(table) for k, table in tables.items()},
            dagster_run_id=run_id,
            synthetic=self.settings.data == "sample",
        )

    def _require_honest_stamps(self, table: pl.DataFrame, observations: pl.DataFrame) -> None:
        every, column = self.problem.frequency, self.problem.target.column
        _require_none(misaligned(table, frequency=every))
        _require_none(copier_is_shifted(table, observations, frequency=every, column=column))

    def _keep(self, key: Any, frame: pl.DataFrame) -> None:  # noqa: ANN401 dagster.AssetKey
        self._store.write(table_name(key), frame)

    @contextlib.contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[part] = time.perf_counter() - started


def _require_none(faults: Any) -> None:  # noqa: ANN401 any iterable of sentences
    if told := list(faults):
        raise FaultError("; ".join(told[:3]))


def _figures_of(board: pl.DataFrame) -> dict[str, float]:
    return {
        f"{row['candidate']}.{name}": float(row[name])
        for row in board.iter_rows(named=True)
        for name in ("mae", "rmse", "mase", "skill", "p_value", "coverage", "winkler")
        if row[name] is not None
    }
