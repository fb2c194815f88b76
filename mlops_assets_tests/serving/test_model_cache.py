from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlops_assets_tests.serving.published import MODEL_NAME, PROBLEM, model_files, registered
from serving.atomic_files import CacheError
from serving.contract.model_card import MODEL_FILE
from serving.domain_errors import ModelRefusedError, RefusalReason
from serving.model_cache import CHAMPION_FILE, ModelCache
from serving.registry.reader import RegisteredModel

FILES = model_files()
MODEL = RegisteredModel(MODEL_NAME, {"champion": "1"}, {"serving.traffic": "{}"})


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    """A cache that holds version 1."""
    cache = ModelCache(tmp_path)
    cache.write(PROBLEM, registered(FILES), MODEL, FILES)
    return cache


def test_a_champion_is_read_back_as_it_was_written(cache: ModelCache) -> None:
    assert cache.problems == (PROBLEM,)
    found = cache.read(PROBLEM, max_model_bytes=10**6)
    assert (found.registered, found.model, found.files) == (registered(FILES), MODEL, FILES)
    assert cache.holds(PROBLEM, registered(FILES))


def test_the_next_champion_takes_the_place_of_the_last_one(
    cache: ModelCache, tmp_path: Path
) -> None:
    files = model_files(-0.2)
    cache.write(PROBLEM, registered(files, version="2"), MODEL, files)
    assert cache.read(PROBLEM, max_model_bytes=10**6).files == files
    assert not cache.holds(PROBLEM, registered(FILES))
    folders = [p for p in (tmp_path / "models" / PROBLEM).iterdir() if p.is_dir()]
    assert len(folders) == 1


def test_aliases_and_tags_are_renewed_without_the_files(cache: ModelCache) -> None:
    moved = RegisteredModel(MODEL_NAME, {"champion": "1", "challenger": "2"}, {})
    cache.write(PROBLEM, registered(FILES), moved, None)
    found = cache.read(PROBLEM, max_model_bytes=10**6)
    assert (found.model, found.files) == (moved, FILES)


def test_an_empty_or_absent_folder_holds_nothing(tmp_path: Path) -> None:
    assert ModelCache(tmp_path / "absent").problems == ()
    with pytest.raises(ModelRefusedError, match="cannot be read"):
        ModelCache(tmp_path / "absent").read(PROBLEM, max_model_bytes=1)


@pytest.mark.parametrize(
    "change",
    [
        {"version": "../../elsewhere"},
        {"model_sha256": "../../elsewhere"},
        {"model_sha256": None},
        {"more": 1},
    ],
)
def test_an_entry_of_another_form_is_refused(
    cache: ModelCache, tmp_path: Path, change: dict[str, object]
) -> None:
    entry = tmp_path / "models" / PROBLEM / CHAMPION_FILE
    entry.write_text(json.dumps(json.loads(entry.read_text()) | change), encoding="utf-8")
    with pytest.raises(ModelRefusedError, match="ValidationError") as refused:
        cache.read(PROBLEM, max_model_bytes=10**6)
    assert "MLOPS_API_CACHE" in str(refused.value)
    assert str(tmp_path) not in str(refused.value)


def test_a_model_file_that_is_gone_or_too_large_is_refused(
    cache: ModelCache, tmp_path: Path
) -> None:
    with pytest.raises(ModelRefusedError, match="10 are allowed") as large:
        cache.read(PROBLEM, max_model_bytes=10)
    assert large.value.reason is RefusalReason.SIZE
    (model,) = tmp_path.glob(f"models/{PROBLEM}/*/{MODEL_FILE}")
    model.unlink()
    with pytest.raises(ModelRefusedError, match="FileNotFoundError"):
        cache.read(PROBLEM, max_model_bytes=10**6)


def test_a_problem_whose_name_leads_elsewhere_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="no plain name"):
        ModelCache(tmp_path / "cache").write("../out", registered(FILES), MODEL, FILES)
    assert not (tmp_path / "cache").exists()


def test_a_disk_that_takes_nothing_is_said_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CacheError) as refused:
        ModelCache(tmp_path / "file").write(PROBLEM, registered(FILES), MODEL, FILES)
    assert str(tmp_path) not in str(refused.value)
