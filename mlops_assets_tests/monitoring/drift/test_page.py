from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mlops_assets.monitoring.drift.distance import normed_wasserstein
from mlops_assets.monitoring.drift.errors import ErrorWatch
from mlops_assets.monitoring.drift.page import compare, page_link, page_path, store_page
from mlops_assets.monitoring.drift.report import SCHEMA, ColumnDrift, DriftReport
from mlops_assets.storage.files import FileStore
from mlops_assets_tests.monitoring.drift.histories import DAY, START


def test_evidently_comes_to_the_same_distances_and_the_same_judgement() -> None:
    draw = np.random.default_rng(4)
    sides = {
        "moved": (draw.normal(size=1500), draw.normal(1, 2, size=90)),
        "still": (draw.standard_t(3, size=900), draw.standard_t(3, size=40)),
    }
    distances = {name: normed_wasserstein(*pair) for name, pair in sides.items()}
    columns = tuple(ColumnDrift(n, d, 0.8, len(sides[n][0]), len(sides[n][1]))
                    for n, d in distances.items())  # fmt: skip
    report = DriftReport(
        as_of=START, columns=columns, errors=ErrorWatch(0), concept_drift=False, sides=sides
    )

    snapshot = compare(report)
    counted, *told = [metric["value"] for metric in snapshot.dict()["metrics"]]

    assert [float(value) for value in told] == pytest.approx(list(distances.values()))
    assert counted["share"] == report.share_drifted == 0.5
    assert "moved" in snapshot.get_html_str(as_iframe=False)


def _history(reports: int) -> pl.DataFrame:
    paths = [page_path("coin_close", START + k * DAY) for k in range(reports)]
    rows = [{"as_of": START + k * DAY, "report": path} for k, path in enumerate(paths)]
    empty = dict.fromkeys(SCHEMA)
    return pl.DataFrame([{**empty, **row} for row in rows], schema=SCHEMA)


def test_only_the_newest_pages_are_kept(tmp_path: Path) -> None:
    files, history = FileStore(str(tmp_path)), _history(0)
    for number in range(5):
        path = page_path("coin_close", START + number * DAY)
        new = _history(number + 1).tail(1)
        history = store_page(files, pl.concat([history, new]), path, b"page", keep=3)

    kept = sorted(path.name for path in (tmp_path / "reports/coin_close/drift").iterdir())
    assert kept == ["20240103T000000Z.html", "20240104T000000Z.html", "20240105T000000Z.html"]
    assert history["report"].null_count() == 2


def test_thirty_pages_are_kept_unless_told_otherwise(tmp_path: Path) -> None:
    files, history = FileStore(str(tmp_path)), _history(31)
    for path in history["report"]:
        files.write(path, b"page")

    store_page(files, history, history["report"][-1], b"page")

    assert len(list((tmp_path / "reports/coin_close/drift").iterdir())) == 30


def test_a_report_on_the_past_keeps_its_own_page(tmp_path: Path) -> None:
    files, history = FileStore(str(tmp_path)), _history(4)
    for path in history["report"]:
        files.write(path, b"page")

    store_page(files, history, history["report"][0], b"again", keep=2)

    assert files.read(history["report"][0]) == b"again"


def test_a_page_in_a_folder_has_a_file_url(tmp_path: Path) -> None:
    path = page_path("coin_close", START + timedelta(hours=6, minutes=30))

    link = page_link(FileStore(str(tmp_path)), path)

    assert link == f"file://{tmp_path}/reports/coin_close/drift/20240101T063000Z.html"


def test_a_page_in_a_bucket_has_its_address() -> None:
    assert page_link(FileStore("s3://bucket/files"), "reports/a.html").startswith("s3://bucket/")
