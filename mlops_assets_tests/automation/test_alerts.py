"""Each event reaches Slack once, late if need be, and never with a secret in it."""

# No `from __future__ import annotations`: Dagster reads return annotations as objects.

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.automation import alerts_events
from mlops_assets.automation.alerts import MESSAGES_PER_LOOK, build_alert_sensors
from mlops_assets.automation.alerts_cursor import MESSAGES_PER_HOUR
from mlops_assets.orchestration.clock import real_now
from mlops_assets.settings import Settings, SettingsError
from mlops_assets_tests.automation.alert_world import (
    DOWN,
    PROBLEM,
    TOKEN,
    WEBHOOK_PATH,
    World,
    bot,
    shipped_problem,
    webhook,
    world,
)
from mlops_assets_tests.ingestion.services import Answer, Service

FAILED_RUNS = "alerts_of_failed_runs"


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """A real instance; each test begins behind the events of those before it."""
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as made:
        yield made


@pytest.fixture
def alerts(instance: dg.DagsterInstance, tmp_path: Path) -> Iterator[World]:
    """A world with live data and a bot."""
    with world(instance, tmp_path) as made:
        yield made


def titles(texts: list[str]) -> list[str]:
    return [text.splitlines()[0] for text in texts]


def fail_a_run(instance: dg.DagsterInstance) -> str:
    """Run an asset of the problem whose body raises; the run's id."""

    @dg.asset(key=[PROBLEM, "features"])
    def features() -> None:
        raise ValueError("no rows in /srv/place/x.parquet <!channel>")

    return dg.materialize([features], instance=instance, raise_on_error=False).run_id


def fail_a_blocking_check(instance: dg.DagsterInstance) -> str:
    """Run an asset whose blocking check fails; the run's id."""
    spec = dg.AssetCheckSpec("schema", asset=dg.AssetKey([PROBLEM, "observations"]), blocking=True)

    @dg.asset(key=[PROBLEM, "observations"], check_specs=[spec])
    def observations() -> dg.MaterializeResult:  # type: ignore[type-arg]
        result = dg.AssetCheckResult(
            check_name="schema", passed=False, description="close is -1; prices are above 0"
        )
        return dg.MaterializeResult(check_results=[result])

    return dg.materialize([observations], instance=instance, raise_on_error=False).run_id


@pytest.mark.parametrize("connect", [bot, webhook])
def test_each_kind_of_event_arrives_once_and_in_order(
    instance: dg.DagsterInstance, tmp_path: Path, connect: Callable[[Service], dict[str, Any]]
) -> None:
    with world(instance, tmp_path, connect=connect) as alerts:
        alerts.check("raw_ndx", "recency", passed=False, says="newest close is 9 days old")
        alerts.check("drift_report", "drift", passed=False)
        alerts.verdict("promote", "ridge")
        alerts.control("coverage", "against_baseline")
        alerts.check("live_scores", "control", passed=False)
        alerts.verdict("roll_back", "last_value", version="3")
        fail_a_run(alerts.instance)
        sent = titles(alerts.look())
        failures = titles(alerts.look(FAILED_RUNS))
    assert sent == [
        "*bitcoin_close: source ndx is dead*",
        "*bitcoin_close: what arrives has drifted*",
        "*bitcoin_close: promoted ridge, version 7*",
        "*bitcoin_close: the champion is worse than what it must beat*",
        "*bitcoin_close: coverage lost: the champion's bands hold too few values*",
        "*bitcoin_close: rolled back to last_value, version 3*",
    ]
    assert failures == ["*bitcoin_close: a run failed in step bitcoin_close__features*"]


def test_nothing_is_told_twice_after_a_restart(alerts: World) -> None:
    alerts.verdict("promote", "ridge")
    alerts.failed_run()
    assert len(alerts.look()) == 1
    assert len(alerts.look(FAILED_RUNS)) == 1
    # A sensor built anew has nothing but the cursor that the instance kept.
    assert alerts.look() == []
    assert alerts.look(FAILED_RUNS) == []


def test_what_happened_before_the_first_look_is_not_told(alerts: World) -> None:
    alerts.verdict("promote", "ridge")
    alerts.failed_run()
    alerts.cursors.clear()
    assert alerts.look() == []
    assert alerts.look(FAILED_RUNS) == []
    alerts.verdict("promote", "random_forest")
    assert len(alerts.look()) == 1


def test_a_check_that_stays_failing_alarms_once_and_is_back_once(alerts: World) -> None:
    for passed in (False, False):
        alerts.check("drift_report", "drift", passed=passed)
    assert titles(alerts.look()) == ["*bitcoin_close: what arrives has drifted*"]
    alerts.check("drift_report", "drift", passed=False)
    assert alerts.look() == []
    for passed in (True, True):
        alerts.check("drift_report", "drift", passed=passed)
    assert titles(alerts.look()) == ["*bitcoin_close: what arrives is back to what it was*"]


def test_a_source_is_dead_while_any_of_its_checks_fails(alerts: World) -> None:
    alerts.check("raw_vix", "fetched", passed=False)
    alerts.check("raw_vix", "recency", passed=False)
    alerts.check("raw_vix", "fetched", passed=True)
    assert titles(alerts.look()) == ["*bitcoin_close: source vix is dead*"]
    alerts.check("raw_vix", "recency", passed=True)
    assert titles(alerts.look()) == ["*bitcoin_close: source vix is back*"]


def test_coverage_and_errors_of_one_control_check_alarm_apart(alerts: World) -> None:
    alerts.control("coverage")
    alerts.check("live_scores", "control", passed=False)
    assert titles(alerts.look()) == [
        "*bitcoin_close: coverage lost: the champion's bands hold too few values*"
    ]
    alerts.control("coverage", "against_previous")
    alerts.check("live_scores", "control", passed=False)
    assert titles(alerts.look()) == [
        "*bitcoin_close: the champion is worse than what it must beat*"
    ]


def test_a_control_check_without_its_table_speaks_about_errors(alerts: World) -> None:
    alerts.check("live_scores", "control", passed=False)
    assert titles(alerts.look()) == [
        "*bitcoin_close: the champion is worse than what it must beat*"
    ]


@pytest.mark.parametrize("decision", ["keep", "refresh"])
def test_a_verdict_that_changes_no_recipe_is_not_told(alerts: World, decision: str) -> None:
    alerts.verdict(decision, "ridge")
    assert alerts.look() == []


def test_a_long_row_of_kept_champions_does_not_hide_the_next_promotion(
    alerts: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts_events, "EVENTS_PER_LOOK", 2)
    for decision in ("keep", "keep", "keep", "promote"):
        alerts.verdict(decision, "ridge")
    assert alerts.look() == []
    assert titles(alerts.look()) == ["*bitcoin_close: promoted ridge, version 7*"]


def test_a_message_waits_until_slack_is_back_and_comes_once(alerts: World) -> None:
    alerts.slack.first.extend([DOWN, Answer(429, {"ok": False, "error": "ratelimited"})])
    alerts.verdict("promote", "ridge")
    alerts.verdict("roll_back", "last_value")
    for _ in range(2):
        assert titles(alerts.look()) == ["*bitcoin_close: promoted ridge, version 7*"]
    assert titles(alerts.look()) == [
        "*bitcoin_close: promoted ridge, version 7*",
        "*bitcoin_close: rolled back to last_value, version 7*",
    ]
    assert alerts.look() == []


@pytest.mark.parametrize("connect", [bot, webhook])
def test_a_slack_that_cannot_be_reached_fails_no_look(
    instance: dg.DagsterInstance, tmp_path: Path, connect: Callable[[Service], dict[str, Any]]
) -> None:
    with world(instance, tmp_path, connect=connect) as alerts:
        there = alerts.settings
        nowhere = {"slack_api_url": "http://127.0.0.1:9/api/"}
        if connect is webhook:
            nowhere = {"slack_webhook_url": "http://127.0.0.1:9/services"}
        unreachable: dict[str, Any] = {**connect(alerts.slack), **nowhere, "_env_file": None}
        alerts.settings = Settings(home=tmp_path, data="live", **unreachable)
        alerts.verdict("promote", "ridge")
        assert alerts.look() == []
        alerts.settings = there
        assert len(alerts.look()) == 1


def test_a_message_that_waited_for_a_day_is_dropped(alerts: World) -> None:
    alerts.slack.first.append(DOWN)
    alerts.verdict("promote", "ridge")
    alerts.look()
    alerts.now = lambda: real_now() + timedelta(hours=25)
    assert alerts.look() == []
    alerts.now = real_now
    assert alerts.look() == []


def test_more_messages_than_the_limit_are_held_back_and_counted_in_the_next(alerts: World) -> None:
    for _ in range(MESSAGES_PER_HOUR + 2):
        alerts.verdict("promote", "ridge")
    alerts.verdict("roll_back", "last_value")  # another kind has a limit of its own
    assert len(alerts.look()) == MESSAGES_PER_HOUR + 1
    alerts.now = lambda: real_now() + timedelta(hours=1, minutes=1)
    alerts.verdict("promote", "ridge")
    alerts.verdict("promote", "ridge")
    first, second = alerts.look()
    assert "2 more of this kind (promotion) were held back" in first
    assert "held back" not in second


def test_a_look_sends_only_so_many_messages_and_the_next_goes_on(alerts: World) -> None:
    events = [(source, check) for source in ("ndx", "vix", "gold") for check in (False, True)]
    for source, passed in events[:MESSAGES_PER_HOUR]:
        alerts.check(f"raw_{source}", "recency", passed=passed)
    for candidate in ("ridge", "random_forest", "ridge", "random_forest", "ridge"):
        alerts.verdict("promote", candidate)
    assert len(alerts.look()) == MESSAGES_PER_LOOK
    assert len(alerts.look()) == 2 * MESSAGES_PER_HOUR - MESSAGES_PER_LOOK


def test_a_failed_run_names_problem_step_reason_and_page(alerts: World) -> None:
    run_id = fail_a_run(alerts.instance)
    (text,) = alerts.look(FAILED_RUNS)
    assert "ValueError: no rows in .../x.parquet" in text
    assert f"<http://127.0.0.1:3000/runs/{run_id}|Dagster run>" in text
    assert "<http://127.0.0.1:8000/models/bitcoin_close|served model>" in text


def test_a_failed_blocking_check_is_named_with_what_it_found(alerts: World) -> None:
    fail_a_blocking_check(alerts.instance)
    (text,) = alerts.look(FAILED_RUNS)
    assert titles([text]) == [
        "*bitcoin_close: a run failed in check schema of bitcoin_close/observations*"
    ]
    assert "close is -1; prices are above 0" in text


def test_a_run_that_dagster_tries_again_is_not_told(alerts: World) -> None:
    alerts.failed_run(will_retry="true")
    assert alerts.look(FAILED_RUNS) == []


def test_an_error_message_cannot_call_a_whole_channel(alerts: World) -> None:
    alerts.failed_run("<!channel>")
    (text,) = alerts.look(FAILED_RUNS)
    assert "<!channel>" not in text
    assert "&lt;!channel&gt;" in text


def test_a_run_that_failed_outside_of_its_steps_tells_why(alerts: World) -> None:
    alerts.failed_run("The process was killed.")
    (text,) = alerts.look(FAILED_RUNS)
    assert titles([text]) == ["*bitcoin_close: a run failed before or after its steps*"]
    assert "Job bitcoin_close_loop. The process was killed." in text


@pytest.mark.parametrize("connect", [bot, webhook])
def test_secrets_are_in_no_message_and_no_log(
    instance: dg.DagsterInstance,
    tmp_path: Path,
    connect: Callable[[Service], dict[str, Any]],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    secret = TOKEN if connect is bot else WEBHOOK_PATH
    caplog.set_level(logging.DEBUG)
    with world(instance, tmp_path, connect=connect) as alerts:
        whole = alerts.slack.url + WEBHOOK_PATH if connect is webhook else TOKEN
        alerts.slack.first.extend([DOWN, Answer(200, {"ok": False, "error": f"not {secret}"})])
        alerts.check("drift_report", "drift", passed=False, says=f"sent with {whole}")
        texts = [text for _ in range(3) for text in alerts.look()]
        assert texts
        assert all("sent with ***" in text for text in texts)
        kept = str(alerts.cursors)
    output = capfd.readouterr()
    assert "Slack took no message" in output.err + output.out + caplog.text
    assert secret not in output.err + output.out + caplog.text + "".join(texts) + kept


def test_without_slack_alerts_are_in_the_log(
    instance: dg.DagsterInstance, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with world(instance, tmp_path, connect=lambda _: {}) as alerts:
        alerts.verdict("promote", "ridge")
        assert alerts.look() == []
    output = capfd.readouterr()
    assert "bitcoin_close: promoted ridge, version 7" in output.err + output.out
    assert "MLflow run: http://127.0.0.1:5000/#/runs/abc123" in output.err + output.out


def test_a_token_without_a_channel_is_refused_by_name(alerts: World, tmp_path: Path) -> None:
    alerts.settings = Settings(home=tmp_path, slack_token=TOKEN, _env_file=None)  # type: ignore[call-arg,arg-type]  # pydantic-settings' own
    with pytest.raises(SettingsError, match="MLOPS_SLACK_CHANNEL is not"):
        alerts.look()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ("sample", dg.DefaultSensorStatus.RUNNING),
        ("live", dg.DefaultSensorStatus.RUNNING),
        ("files", dg.DefaultSensorStatus.STOPPED),
    ],
)
def test_sensors_run_by_themselves_where_new_data_arrive(
    data: str, status: dg.DefaultSensorStatus
) -> None:
    settings = Settings(data=data, _env_file=None)  # type: ignore[call-arg,arg-type]  # pydantic-settings' own
    sensors = build_alert_sensors(settings, [shipped_problem()])
    assert [s.name for s in sensors] == ["alerts_of_failed_runs", "alerts_of_problems"]
    assert all(s.default_status is status for s in sensors)
