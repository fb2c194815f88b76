from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from mlops_assets_tests.serving.published import AS_OF, World, model_files, parquet
from mlops_assets_tests.serving.published_past import (
    REPLAY,
    VERDICT_HISTORY,
    candles,
    forecasts,
    past,
)
from mlops_assets_tests.serving.running import served, until
from serving.contract.snapshot import (
    DRIFT,
    EVIDENCE_FILES,
    FORECASTS,
    LEADERBOARD,
    MAX_VERDICTS,
    OBSERVED,
    REPLAYS,
    VERDICTS,
)
from serving.domain_errors import SnapshotRefusedError
from serving.published_evidence import Evidence, read_evidence


def test_a_snapshot_without_evidence_holds_none() -> None:
    assert read_evidence({}) == Evidence()
    assert Evidence().size_bytes == 0


def test_every_file_of_evidence_is_read(tmp_path: Path) -> None:
    files = past(tmp_path)
    assert set(files) == set(EVIDENCE_FILES)

    held = read_evidence(files)

    assert held.observed is not None
    assert held.forecasts is not None
    assert held.live_scores is not None
    assert (held.observed.rows, held.forecasts.rows, held.live_scores.rows) == (8, 16, 3)
    assert held.verdicts is not None
    assert [json.loads(v.json) for v in held.verdicts] == VERDICT_HISTORY
    assert [v.number for v in held.verdicts] == [0, 0, 1]
    assert held.drift is not None
    assert held.drift.newest.as_of == AS_OF
    assert held.replays is not None
    assert json.loads(held.replays["spring"].json) == REPLAY


def test_forecasts_of_an_earlier_pipeline_are_not_held(tmp_path: Path) -> None:
    rows = [{k: v for k, v in row.items() if k != "champion"} for row in forecasts()]

    assert read_evidence({FORECASTS: parquet(rows, tmp_path)}).forecasts is None


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        (LEADERBOARD, b"{}", "leaderboard.json is no JSON array"),
        (LEADERBOARD, b'[{"mae": NaN}]', "leaderboard.json is no JSON array"),
        (VERDICTS, b"[1]", "verdicts.json has an entry without the instant as_of"),
        (VERDICTS, b'[{"as_of": "2026-03-02T12:00:00"}]', "an instant needs a zone"),
        (VERDICTS, json.dumps([0] * (MAX_VERDICTS + 1)).encode(), "has 201 entries, 200 are"),
        (DRIFT, b"{}", "drift.json does not have the contract's form"),
        (REPLAYS, b"[{}]", "replays.json has a ledger without the contract's form"),
        (FORECASTS, b"no", "forecasts.parquet is not readable as Parquet"),
    ],
)
def test_evidence_without_the_contracts_form_is_refused(
    file: str, content: bytes, words: str
) -> None:
    with pytest.raises(SnapshotRefusedError, match=words):
        read_evidence({file: content})


def test_observed_values_are_candles_or_values(tmp_path: Path) -> None:
    rows = [{k: v for k, v in row.items() if k != "volume"} for row in candles()]

    with pytest.raises(SnapshotRefusedError, match="it needs open, high, low, close, volume, or"):
        read_evidence({OBSERVED: parquet(rows, tmp_path)})


def test_a_snapshot_with_broken_evidence_leaves_the_last_one_serving(world: World) -> None:
    world.register(model_files())
    first = world.publish(files=past(world.home))

    def held(client: httpx.Client) -> str:
        answer = client.get("/v1/leaderboard/bitcoin_close")
        assert answer.status_code == 200
        return str(answer.json()["snapshot_id"])

    with served(world) as client:
        world.publish(files=past(world.home) | {VERDICTS: b"[1]"})
        until(lambda: "verdicts.json" in client.get("/health").text, what="the snapshot is refused")
        assert held(client) == first
