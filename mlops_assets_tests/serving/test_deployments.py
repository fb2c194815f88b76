from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from mlops_assets_tests.serving.published import (
    AS_OF,
    PROBLEM,
    RECIPE,
    Row,
    World,
    calibration_rows,
    input_rows,
    model_files,
    registered,
)
from mlops_assets_tests.serving.published_shares import (
    SHARES,
    publish_shares,
    share_calibration,
    share_files,
    share_rows,
)
from serving.deployments import Deployments, misfit
from serving.domain_errors import NotReadyError, UnknownNameError
from serving.instrumentation import Metrics
from serving.model_files import load_model
from serving.polling import Retries
from serving.served_model import ServedModel
from serving.snapshot_content import Snapshot
from serving.snapshots import SnapshotFollower
from serving.storage import PublishedStorage


def model(version: str = "1", /, **changes: object) -> ServedModel:
    """A verified model with some fields of its card changed."""
    files = model_files(**changes)
    return load_model(files, registered(files, version=version), problem=PROBLEM)


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "home" / "sample").mkdir(parents=True)
    return World(tmp_path / "home")


def snapshot(world: World, **publication: object) -> Snapshot:
    """A published snapshot, read back by the follower."""
    world.publish(**publication)  # type: ignore[arg-type]  # the fields of the test's choice
    return newest_snapshot(world, PROBLEM)


def newest_snapshot(world: World, problem: str) -> Snapshot:
    """The newest snapshot of a problem, read back by the follower."""
    aside = Deployments(Metrics())
    SnapshotFollower(
        PublishedStorage(str(world.namespace / "storage")),
        aside,
        max_bytes=10**6,
        retries=Retries(1),
    ).poll()
    found = aside.newest_snapshot(problem)
    assert found is not None
    return found


def pair(deployments: Deployments) -> tuple[str, str]:
    """Version and data version in service."""
    deployment = deployments.serving(PROBLEM)
    return deployment.model.registered.version, deployment.snapshot.manifest.data_version


def newest_vectors(deployments: Deployments) -> list[list[float]]:
    """What the model is given for the newest origin."""
    deployment = deployments.serving(PROBLEM)
    vectors: list[list[float]] = deployment.vectors(
        deployment.snapshot.inputs.at("btc", AS_OF)
    ).tolist()
    return vectors


def test_a_new_recipe_takes_over_only_once_a_snapshot_with_its_calibration_is_there(
    world: World,
) -> None:
    deployments = Deployments(Metrics())
    deployments.offer_snapshot(PROBLEM, snapshot(world))
    deployments.offer_model(PROBLEM, model("1"))
    deployments.offer_model(PROBLEM, model("2", recipe_id="r2"))
    assert pair(deployments) == ("1", "data-1")
    (complaint,) = deployments.complaints(PROBLEM)
    assert "no band_quantile of by_hand for btc" in complaint
    both = calibration_rows() + calibration_rows(recipe_id="r2")
    deployments.offer_snapshot(PROBLEM, snapshot(world, calibration=both))
    assert pair(deployments) == ("2", "data-2")
    assert deployments.complaints(PROBLEM) == ()


def test_a_snapshot_that_only_the_coming_model_can_use_waits_for_it(world: World) -> None:
    deployments = Deployments(Metrics())
    deployments.offer_snapshot(PROBLEM, snapshot(world))
    deployments.offer_model(PROBLEM, model("1"))
    only_new = calibration_rows(recipe_id="r2")
    deployments.offer_snapshot(PROBLEM, snapshot(world, calibration=only_new))
    assert pair(deployments) == ("1", "data-1")
    deployments.offer_model(PROBLEM, model("2", recipe_id="r2"))
    assert pair(deployments) == ("2", "data-2")


@pytest.mark.parametrize(
    ("card", "publication", "words"),
    [
        ({"unit": "EUR"}, {}, "'unit': 'EUR'"),
        ({"synthetic": False}, {}, "'synthetic': False"),
        (
            {"features": [{"name": n, "source": "observed"} for n in ("ret", "vol", "rsi")]},
            {},
            "no feature rsi",
        ),
        (
            {"refit_at": AS_OF + timedelta(seconds=1)},
            {},
            "up to 2026-03-02T12:00:01",
        ),
        ({"recipe_id": "r9"}, {}, "no band_quantile"),
        (
            {},
            {"inputs": input_rows("btc") + input_rows("alt")},
            "for alt",
        ),
    ],
)
def test_a_snapshot_that_cannot_feed_a_model_says_why(
    world: World, card: dict[str, object], publication: dict[str, object], words: str
) -> None:
    reason = misfit(model(**card).card, snapshot(world, **publication))
    assert reason is not None
    assert words in reason


def test_a_model_without_observed_features_is_fed_by_calibration_alone(world: World) -> None:
    bare = [{k: v for k, v in row.items() if k not in {"ret", "vol"}} for row in input_rows()]
    calibration = [{**row, "ret": 0.01, "vol": 0.005} for row in calibration_rows()]
    deployments = Deployments(Metrics())
    features = [{"name": n, "source": "calibration"} for n in ("ret", "vol", "band_quantile")]
    deployments.offer_model(PROBLEM, model(features=features))
    deployments.offer_snapshot(PROBLEM, snapshot(world, inputs=bare, calibration=calibration))
    assert newest_vectors(deployments) == [[0.01, 0.005, 1.6]]


def test_a_vector_has_the_order_of_the_card_not_of_the_file(world: World) -> None:
    swapped = [{k: row[k] for k in reversed(row)} for row in input_rows()]
    deployments = Deployments(Metrics())
    deployments.offer_model(PROBLEM, model())
    deployments.offer_snapshot(PROBLEM, snapshot(world, inputs=swapped))
    assert newest_vectors(deployments) == [[0.01, 0.005, 1.6]]


def test_swaps_are_counted_once_each(world: World) -> None:
    metrics = Metrics()
    deployments = Deployments(metrics)
    deployments.offer_snapshot(PROBLEM, snapshot(world))
    deployments.offer_model(PROBLEM, model("1"))
    deployments.offer_snapshot(PROBLEM, snapshot(world))
    deployments.offer_model(PROBLEM, model("2"))
    for name, count in (("model", 2), ("snapshot", 2)):
        sample = f"serving_{name}_swaps_total"
        assert metrics.registry.get_sample_value(sample, {"problem": PROBLEM}) == count


def test_before_anything_is_there_the_error_says_what_to_run(world: World) -> None:
    deployments = Deployments(Metrics())
    with pytest.raises(NotReadyError, match="mlops run bitcoin_close"):
        deployments.serving(PROBLEM)
    deployments.offer_snapshot(PROBLEM, snapshot(world))
    with pytest.raises(NotReadyError, match="no model has been loaded yet"):
        deployments.serving(PROBLEM)
    with pytest.raises(UnknownNameError, match="it must be published"):
        deployments.serving("ether_close")


def test_calibration_of_another_recipe_is_never_used(world: World) -> None:
    deployments = Deployments(Metrics())
    rows = calibration_rows() + [
        {**row, "band_quantile": 9.0} for row in calibration_rows(recipe_id="r2")
    ]
    deployments.offer_snapshot(PROBLEM, snapshot(world, calibration=rows))
    deployments.offer_model(PROBLEM, model(recipe_id=RECIPE))
    assert newest_vectors(deployments) == [[0.01, 0.005, 1.6]]


def shares_misfit(
    world: World, inputs: list[Row] | None = None, calibration: list[Row] | None = None
) -> str | None:
    """Why a snapshot of shares cannot feed the model of shares."""
    publish_shares(world, inputs, calibration)
    files = share_files()
    model_of_shares = load_model(files, registered(files), problem=SHARES)
    return misfit(model_of_shares.card, newest_snapshot(world, SHARES))


def test_a_snapshot_of_whole_segments_feeds_a_model_of_shares(world: World) -> None:
    assert shares_misfit(world) is None


def test_shares_need_every_series_of_the_segment_at_the_newest_origin(world: World) -> None:
    absent = ("토레타/male/20대", AS_OF, 2)
    rows = [r for r in share_rows() if (r["series"], r["origin"], r["step"]) != absent]
    reason = shares_misfit(world, rows)
    assert reason is not None
    assert "only some series of the segment of 게토레이/male/20대" in reason


def test_calibration_is_needed_at_every_step_of_the_newest_origin(world: World) -> None:
    gap = ("토레타/male/20대", AS_OF, 2)
    rows = [
        {**r, "band_upper": None} if (r["series"], r["origin"], r["step"]) == gap else r
        for r in share_calibration()
    ]
    reason = shares_misfit(world, calibration=rows)
    assert reason is not None
    assert (
        "no band_upper of by_hand for 토레타/male/20대 at 2026-03-02T12:00:00+00:00, step 2"
        in reason
    )
