"""An instance with real events, a fake Slack over HTTP, and one sensor's looks at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final, get_args
from uuid import uuid4

import dagster as dg
import polars as pl

import mlops_assets
from mlops_assets.automation.alerts import build_alert_sensors
from mlops_assets.orchestration.clock import real_now
from mlops_assets.problem import ForecastProblem, load_problem
from mlops_assets.promotion.control_state import ControlTest, control_table, no_control
from mlops_assets.settings import Settings
from mlops_assets.storage.tables import TableStore
from mlops_assets_tests.ingestion.services import Answer, Call, Service, running

PROBLEM: Final = "bitcoin_close"
TOKEN: Final = "xoxb-planted-secret-token"
WEBHOOK_PATH: Final = "/services/T000/B000/planted-secret-path"
DOWN: Final = Answer(503, "no")


@cache
def shipped_problem() -> ForecastProblem:
    """The problem that the alerts are about."""
    return load_problem(Path(mlops_assets.__file__).parent / f"defs/{PROBLEM}/defs.yaml")


def accepts(call: Call) -> Answer:
    """Slack in good health: a bot is answered in JSON, a webhook with a word."""
    if call.path == "/api/chat.postMessage":
        known = call.headers.get("Authorization") == f"Bearer {TOKEN}"
        return Answer(200, {"ok": True} if known else {"ok": False, "error": "invalid_auth"})
    return Answer(200, "ok") if call.path == WEBHOOK_PATH else Answer(404, "no_service")


def bot(service: Service) -> dict[str, Any]:
    """Settings of a bot at the fake Slack."""
    return {
        "slack_token": TOKEN,
        "slack_channel": "#forecasts",
        "slack_api_url": f"{service.url}/api/",
    }


def webhook(service: Service) -> dict[str, Any]:
    """Settings of a webhook at the fake Slack."""
    return {"slack_webhook_url": service.url + WEBHOOK_PATH}


@dataclass
class World:
    """The instance, the settings, and the cursor that each sensor left behind."""

    instance: dg.DagsterInstance
    settings: Settings
    slack: Service
    now: Callable[[], datetime] = real_now
    cursors: dict[str, str | None] = field(default_factory=dict)

    def look(self, sensor: str = "alerts_of_problems") -> list[str]:
        """One tick of a sensor that was built anew; the texts that Slack was sent in it.

        They stand here whether Slack took them or not.
        """
        heard = len(self.slack.calls)
        built = build_alert_sensors(self.settings, [shipped_problem()], now=self.now)
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursors.get(sensor), sensor_name=sensor
        )
        with context:
            {s.name: s for s in built}[sensor](context)
            self.cursors[sensor] = context.cursor
        return [call.body["text"] for call in self.slack.calls[heard:]]

    def check(self, asset: str, check: str, *, passed: bool, says: str = "said") -> None:
        """Report the evaluation of a check."""
        self.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey([PROBLEM, asset]),
                check_name=check,
                passed=passed,
                metadata={},
                severity=dg.AssetCheckSeverity.WARN,
                description=says,
            )
        )

    def verdict(self, decision: str, candidate: str, *, version: str = "7") -> None:
        """Report a verdict, with the metadata of the asset `champion`."""
        figures = {
            "decision": decision,
            "candidate": candidate,
            "previous": "last_value",
            "reasons": ["ridge passed both tests."],
            "trigger": "schedule",
        }
        metadata: Mapping[str, Any] = {
            "figures": dg.MetadataValue.json(figures),
            "champion_version": dg.MetadataValue.text(version),
            "mlflow_run": dg.MetadataValue.md("[abc123](http://127.0.0.1:5000/#/runs/abc123)"),
        }
        key = dg.AssetKey([PROBLEM, "champion"])
        self.instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata=metadata))

    def control(self, *alarms: str) -> None:
        """Store a look of the control in which these tests alarm."""
        tests = get_args(ControlTest)
        rows = pl.DataFrame({"test": tests, "alarm": [test in alarms for test in tests]})
        look = pl.concat([no_control(), rows], how="diagonal")
        TableStore(self.settings.storage).write(control_table(PROBLEM), look)

    def failed_run(self, message: str = "killed", **tags: str) -> str:
        """Report the failure of a run that made no step; its id. `tags` are Dagster's own."""
        run = dg.DagsterRun(
            job_name=f"{PROBLEM}_loop",
            run_id=str(uuid4()),
            tags={f"dagster/{name}": value for name, value in tags.items()},
        )
        self.instance.add_run(run)
        self.instance.report_run_failed(run, message)
        return run.run_id


@contextmanager
def world(
    instance: dg.DagsterInstance, home: Path, *, connect: Callable[[Service], dict[str, Any]] = bot
) -> Iterator[World]:
    """A world whose sensors have looked once, and told nothing of what the instance holds."""
    with running(accepts) as slack:
        settings = Settings(home=home, data="live", _env_file=None, **connect(slack))  # type: ignore[call-arg]  # pydantic-settings' own
        made = World(instance, settings, slack)
        assert made.look() == []
        assert made.look("alerts_of_failed_runs") == []
        yield made
