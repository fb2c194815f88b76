from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets_tests.serving.published import PROBLEM, World
from serving.contract.snapshot import CALIBRATION, INPUTS, LATEST, MANIFEST, VERDICT, problem_prefix
from serving.deployments import Deployments
from serving.instrumentation import Metrics
from serving.polling import Retries
from serving.snapshots import SnapshotFollower
from serving.storage import PublishedStorage


class Following:
    """A follower of a world's snapshots, and what it has offered."""

    def __init__(self, root: Path | str, *, max_bytes: int = 10**6, looks: int = 1) -> None:
        self.metrics = Metrics()
        self.deployments = Deployments(self.metrics)
        self.follower = SnapshotFollower(
            PublishedStorage(str(root)),
            self.deployments,
            max_bytes=max_bytes,
            retries=Retries(looks),
        )

    def held(self) -> str | None:
        """The id of the newest verified snapshot after one more look."""
        self.follower.poll()
        snapshot = self.deployments.newest_snapshot(PROBLEM)
        return None if snapshot is None else snapshot.manifest.snapshot_id

    @property
    def refusals(self) -> float:
        """How many refusals were counted."""
        value = self.metrics.registry.get_sample_value(
            "serving_snapshot_refusals_total", {"problem": PROBLEM}
        )
        return value or 0.0


def test_nothing_published_is_no_problem_and_no_complaint(world: World) -> None:
    following = Following(world.namespace / "storage")
    assert following.held() is None
    assert following.deployments.problems == ()
    assert following.deployments.complaints() == ()


def test_a_folder_without_latest_is_not_yet_published(world: World) -> None:
    world.publish()
    (world.namespace / "storage" / problem_prefix(PROBLEM) / LATEST).unlink()
    assert Following(world.namespace / "storage").held() is None


def test_the_newest_snapshot_is_followed_by_folder_and_by_address(world: World) -> None:
    root = world.namespace / "storage"
    by_folder, by_address = Following(root), Following(root.as_uri())
    first = world.publish()
    assert (by_folder.held(), by_address.held()) == (first, first)
    second = world.publish()
    assert (by_folder.held(), by_address.held()) == (second, second)


@pytest.mark.parametrize("file", [INPUTS, CALIBRATION, VERDICT])
def test_a_snapshot_with_a_changed_file_is_refused_and_the_last_one_kept(
    world: World, file: str
) -> None:
    following = Following(world.namespace / "storage")
    first = world.publish()
    assert following.held() == first
    world.publish(corrupt=file)
    assert following.held() == first
    (complaint,) = following.deployments.complaints(PROBLEM)
    assert file in complaint
    assert "a file that was changed is not served" in complaint
    assert following.refusals == 1


def test_a_snapshot_that_is_restored_is_taken_after_the_stated_number_of_looks(
    world: World,
) -> None:
    following = Following(world.namespace / "storage", looks=3)
    snapshot_id = world.publish(corrupt=INPUTS)
    assert following.held() is None
    path = world.namespace / "storage" / problem_prefix(PROBLEM) / snapshot_id / INPUTS
    path.write_bytes(path.read_bytes()[:-1])
    assert [following.held() for _ in range(3)] == [None, None, snapshot_id]
    assert following.deployments.complaints(PROBLEM) == ()


def test_a_changed_manifest_is_refused(world: World) -> None:
    snapshot_id = world.publish()
    manifest = world.namespace / "storage" / problem_prefix(PROBLEM) / snapshot_id / MANIFEST
    manifest.write_text(manifest.read_text().replace("Bitcoin", "Bitcoins"))
    following = Following(world.namespace / "storage")
    assert following.held() is None
    assert MANIFEST in following.deployments.complaints(PROBLEM)[0]


def test_a_file_above_the_cap_is_refused_with_the_setting_to_raise(world: World) -> None:
    world.publish()
    following = Following(world.namespace / "storage", max_bytes=1000)
    assert following.held() is None
    assert "MLOPS_API_MAX_SNAPSHOT_MB" in following.deployments.complaints(PROBLEM)[0]


def test_a_snapshot_of_another_problem_is_refused(world: World) -> None:
    world.publish(problem="ether_close")
    following = Following(world.namespace / "storage")
    assert following.held() is None
    assert "is of problem ether_close" in following.deployments.complaints(PROBLEM)[0]


def test_a_storage_that_does_not_answer_is_a_complaint_until_it_does_again(
    world: World, tmp_path: Path
) -> None:
    root = tmp_path / "storage"
    (root).mkdir()
    (root / "published").write_text("a file where a folder should be")
    following = Following(root)
    assert following.held() is None
    (complaint,) = following.deployments.complaints()
    assert "MLOPS_STORAGE_URI" in complaint
    assert str(tmp_path) not in complaint
    (root / "published").unlink()
    following.held()
    assert following.deployments.complaints() == ()
