from __future__ import annotations

import pytest

from mlops_assets_tests.serving.published import PROBLEM, model_files, registered
from serving.held_models import HeldModels, ModelKey, charge
from serving.model_files import load_model
from serving.served_model import ServedModel


def key(version: str) -> ModelKey:
    return ModelKey("name", version)


@pytest.fixture(scope="module")
def model() -> ServedModel:
    files = model_files()
    return load_model(files, registered(files), problem=PROBLEM)


def held(model: ServedModel, *versions: str, room_for: int = 3) -> HeldModels:
    """Models of 10 bytes each, put in the order given."""
    models = HeldModels(room_for * 10)
    for version in versions:
        models.put(key(version), model, memory_bytes=10)
    return models


def versions_of(models: HeldModels) -> list[str]:
    return [k.version for k in models.keys]


def test_the_model_that_was_used_longest_ago_goes_first(model: ServedModel) -> None:
    models = held(model, "1", "2", "3")
    assert models.get(key("1")) is model
    models.put(key("4"), model, memory_bytes=10)
    assert versions_of(models) == ["3", "1", "4"]
    models.put(key("5"), model, memory_bytes=20)
    assert versions_of(models) == ["4", "5"]
    assert models.memory_bytes == 30
    assert models.get(key("1")) is None


def test_a_pinned_model_stays_until_it_is_pinned_no_longer(model: ServedModel) -> None:
    models = held(model, "1", "2", "3")
    models.pin("problem", {key("1")})
    models.pin("other", {key("2")})
    models.put(key("4"), model, memory_bytes=10)
    assert versions_of(models) == ["1", "2", "4"]
    models.pin("problem", set())
    models.put(key("5"), model, memory_bytes=10)
    assert versions_of(models) == ["2", "4", "5"]


def test_pinned_models_may_take_more_than_the_memory(model: ServedModel) -> None:
    models = HeldModels(15)
    models.pin("problem", {key("1"), key("2")})
    for version in ("1", "2", "3"):
        models.put(key(version), model, memory_bytes=10)
    assert versions_of(models) == ["1", "2"]
    assert models.memory_bytes == 20


def test_a_model_larger_than_the_memory_is_not_held_and_drives_nobody_out(
    model: ServedModel,
) -> None:
    models = held(model, "1", "2")
    models.put(key("3"), model, memory_bytes=31)
    assert versions_of(models) == ["1", "2"]


def test_a_model_that_is_put_again_is_counted_once(model: ServedModel) -> None:
    models = held(model, "1", "1")
    assert models.memory_bytes == 10


def test_a_file_is_charged_six_times_its_size_and_a_session_beside_it() -> None:
    assert charge(0) == 200_000
    assert charge(1_000_000) == 6_200_000
