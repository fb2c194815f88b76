"""A failed run is told under the problems whose assets or checks it was to make."""

from __future__ import annotations

from uuid import uuid4

import dagster as dg
import pytest

from mlops_assets.automation.alerts_runs import problem_of

PROBLEMS = ("bitcoin_close", "sports_drink_share")


def run_of(
    job: str, *, assets: tuple[str, ...] = (), checked: tuple[str, ...] = ()
) -> dg.DagsterRun:
    return dg.DagsterRun(
        job_name=job,
        run_id=str(uuid4()),
        asset_selection=frozenset(map(dg.AssetKey.from_user_string, assets)) or None,
        asset_check_selection=frozenset(
            dg.AssetCheckKey(dg.AssetKey.from_user_string(asset), "drift") for asset in checked
        )
        or None,
    )


@pytest.mark.parametrize(
    ("run", "named"),
    [
        (run_of("__ASSET_JOB", assets=("bitcoin_close/features",)), "bitcoin_close"),
        (run_of("__ASSET_JOB", checked=("bitcoin_close/drift_report",)), "bitcoin_close"),
        (
            run_of("__ASSET_JOB", assets=("sports_drink_share/champion", "bitcoin_close/champion")),
            "bitcoin_close, sports_drink_share",
        ),
        (run_of("sports_drink_share_loop"), "sports_drink_share"),
        (run_of("tidy_up"), "tidy_up"),
    ],
)
def test_a_run_belongs_to_the_problems_it_touches_or_else_to_its_job(
    run: dg.DagsterRun, named: str
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_run(run)
        assert problem_of(instance, run, PROBLEMS) == named
