"""What the tests of the command line share: an empty home, free ports, a stand-in for `cli.run`."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from mlops_assets.cli.summary import (
    Champion,
    FirstForecast,
    LeaderboardRow,
    LeadScore,
    RunSummary,
    Verdict,
)
from mlops_assets.settings import Settings


def free_port() -> int:
    """A port that nothing listens on now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of an empty home with free ports; the environment says the same."""
    values = {
        "MLOPS_DATA": "sample",
        "MLOPS_HOME": str(tmp_path / "home"),
        "MLOPS_DAGSTER_PORT": str(free_port()),
        "MLOPS_MLFLOW_PORT": str(free_port()),
        "MLOPS_API_PORT": str(free_port()),
        "MLOPS_DASHBOARD_PORT": str(free_port()),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    for name in ("DAGSTER_HOME", "DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "")  # restored afterwards, whatever `prepare` writes
    monkeypatch.chdir(tmp_path)
    return Settings()


@pytest.fixture
def summary() -> RunSummary:
    """An outcome with a champion, a baseline without p-value, and a forecast."""
    return RunSummary(
        problem="bitcoin_close",
        as_of=datetime(2025, 6, 19, tzinfo=UTC),
        leaderboard=(
            LeaderboardRow(
                candidate="ridge",
                mae=275.68,
                rmse=428.02,
                n=12096,
                skill=0.0036,
                p_value=3e-13,
                coverage=0.901,
                worst_week_coverage=0.839,
                winkler=226.7,
                winkler_unit="bp",
                by_lead={
                    "1": LeadScore(mae=275.68, rmse=428.02, n=12096, coverage=0.901, winkler=226.7)
                },
            ),
            LeaderboardRow(
                candidate="last_value",
                mae=276.67,
                rmse=428.49,
                n=12096,
                skill=None,
                p_value=None,
                coverage=None,
                winkler=None,
                winkler_unit="bp",
                by_lead={
                    "1": LeadScore(mae=276.67, rmse=428.49, n=12096, coverage=None, winkler=None)
                },
            ),
        ),
        verdict=Verdict(decision="promote", reasons=("ridge beats last_value [p = 0.0004]",)),
        champion=Champion(candidate="ridge", version="3", run_id="abc", data_version="d1"),
        forecast=FirstForecast(
            series="btc",
            origin=datetime(2025, 6, 19, tzinfo=UTC),
            valid_time=datetime(2025, 6, 19, 1, tzinfo=UTC),
            point=104_500.25,
            lower=103_900.0,
            upper=105_100.5,
            unit="USDT",
        ),
    )


class FakeRun(ModuleType):
    """Stands in for `mlops_assets.cli.run`: remembers its calls, answers what it is told to."""

    def __init__(self, outcome: RunSummary) -> None:
        super().__init__("mlops_assets.cli.run")
        self.outcome = outcome
        self.published: RunSummary | None = None
        self.error: Exception | None = None
        self.calls: list[tuple[str, str | None, str | None]] = []

    def run_problem(
        self,
        settings: Settings,
        problem_name: str,
        *,
        as_of: str | None,
        evaluate_from: str | None,
        progress: Callable[[str], None],
    ) -> RunSummary:
        """Pretend to run, noisily."""
        assert settings.data in {"sample", "files"}
        self.calls.append((problem_name, as_of, evaluate_from))
        progress("materialising raw_btc")
        print("a library that prints")
        if self.error is not None:
            raise self.error
        self.published = self.outcome
        return self.outcome

    def read_summary(self, settings: Settings, problem_name: str) -> RunSummary | None:
        """What was published last."""
        assert settings.data in {"sample", "files"}
        return self.published if problem_name == self.outcome.problem else None


@pytest.fixture
def fake_run(summary: RunSummary, monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    """Replaces the module that runs problems, which takes minutes."""
    module = FakeRun(summary)
    monkeypatch.setitem(sys.modules, "mlops_assets.cli.run", module)
    return module
