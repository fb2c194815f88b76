from __future__ import annotations

import json
from datetime import timedelta

import pytest

from mlops_assets.promotion import registry as registry_module
from mlops_assets.promotion.registry import Registry, RegistryError
from mlops_assets_tests.evaluation.frames import START
from mlops_assets_tests.promotion.registered import Shelf, verdict

WEEK = timedelta(days=7)
ORDER = ["ridge", "boosting", "last_value"]


def test_nobody_holds_an_alias_that_was_never_set(shelf: Shelf) -> None:
    assert shelf.registry.holder() is None
    # Nor where the problem has registered nothing at all.
    assert Registry(shelf.settings, "other_problem").holder() is None


def test_a_promotion_moves_champion_dated_alias_and_challenger(shelf: Shelf) -> None:
    versions = shelf.add("last_value", "ridge", "boosting")

    champion = shelf.registry.apply(verdict("promote", "ridge", losses=ORDER), versions)

    assert (champion.candidate, champion.version) == ("ridge", versions["ridge"])
    assert shelf.aliases() == {
        "champion": versions["ridge"],
        "origin-20240201": versions["ridge"],
        "origin-20240201-last_value": versions["last_value"],
        "origin-20240201-ridge": versions["ridge"],
        "origin-20240201-boosting": versions["boosting"],
        "challenger": versions["boosting"],
    }


def test_what_the_holder_is_comes_from_its_tags(shelf: Shelf) -> None:
    versions = shelf.add("ridge", as_of=START)
    shelf.registry.apply(verdict("promote", "ridge", losses=ORDER), versions)

    holder = shelf.registry.holder()

    assert holder is not None
    assert (holder.recipe_id, holder.as_of, holder.data_version) == ("ridge-1", START, "data-1")
    assert holder.incumbent.candidate == "ridge"


def test_the_challenger_is_the_best_of_the_others(shelf: Shelf) -> None:
    versions = shelf.add(*ORDER)

    shelf.registry.apply(verdict("promote", "last_value", losses=ORDER), versions)

    assert shelf.aliases()["challenger"] == versions["ridge"]


def test_a_refresh_moves_the_alias_to_the_new_version_of_the_same_recipe(shelf: Shelf) -> None:
    first = shelf.add("ridge", as_of=START)
    shelf.registry.apply(verdict("promote", "ridge", losses=ORDER), first)
    second = shelf.add("ridge", as_of=START + WEEK)

    refreshed = verdict("refresh", "ridge", losses=ORDER, as_of=START + WEEK)
    shelf.registry.apply(refreshed, second)

    aliases = shelf.aliases()
    assert aliases["champion"] == second["ridge"] != first["ridge"]
    # The dated aliases keep what was served when.
    assert aliases["origin-20240201"] == first["ridge"]
    assert aliases["origin-20240208"] == second["ridge"]


def test_keep_leaves_the_champion_and_dates_it(shelf: Shelf) -> None:
    first = shelf.add("ridge")
    shelf.registry.apply(verdict("promote", "ridge", losses=["ridge"]), first)
    before = shelf.aliases()
    second = shelf.add("ridge", as_of=START + WEEK)

    kept = verdict("keep", "ridge", losses=["ridge"], as_of=START + WEEK)
    champion = shelf.registry.apply(kept, second)

    assert champion.version == first["ridge"]
    assert shelf.aliases() == before | {
        "origin-20240208": first["ridge"],  # who serves after that verdict
        "origin-20240208-ridge": second["ridge"],  # what was fitted for it
    }


def test_the_verdict_is_tagged_on_the_champions_version(shelf: Shelf) -> None:
    versions = shelf.add("ridge", "last_value")

    shelf.registry.apply(verdict("promote", "ridge", losses=ORDER), versions)

    tags = shelf.tags(versions["ridge"])
    assert tags["verdict"] == "promote"
    assert tags["verdict_as_of"] == "2024-02-01T00:00:00+00:00"
    assert tags["verdict_reasons"] == "ridge proved better.\nIt takes the alias."
    figures = json.loads(tags["verdict_figures"])
    assert figures["mean_losses"] == {"ridge": 0.0, "boosting": 1.0, "last_value": 2.0}
    assert "verdict" not in shelf.tags(versions["last_value"])


def test_a_verdict_for_a_candidate_without_a_version_is_refused(shelf: Shelf) -> None:
    versions = shelf.add("last_value")

    with pytest.raises(
        RegistryError, match=r"names 'ridge', which registered no version .*last_value"
    ):
        shelf.registry.apply(verdict("promote", "ridge", losses=ORDER), versions)

    assert shelf.aliases() == {}


def test_keeping_a_champion_that_is_gone_is_refused(shelf: Shelf) -> None:
    versions = shelf.add("ridge")

    with pytest.raises(RegistryError, match=r"files\.coin_close has no champion"):
        shelf.registry.apply(verdict("keep", "ridge", losses=ORDER), versions)


def test_a_roll_back_moves_the_alias_to_an_existing_version_and_keeps_the_dated_ones(
    shelf: Shelf,
) -> None:
    first = shelf.add("ridge", as_of=START)
    shelf.registry.apply(verdict("promote", "ridge", losses=ORDER), first)
    second = shelf.add("boosting", as_of=START + WEEK)
    promoted = verdict("promote", "boosting", losses=ORDER, as_of=START + WEEK)
    shelf.registry.apply(promoted, second)
    (target,) = shelf.registry.versions(candidate="ridge")

    back = verdict("roll_back", "ridge", losses=ORDER, as_of=START + 2 * WEEK)
    champion = shelf.registry.roll_back(back, target)

    assert champion == target
    assert shelf.aliases() == {
        "champion": first["ridge"],
        "challenger": second["boosting"],
        "origin-20240201": first["ridge"],
        "origin-20240201-ridge": first["ridge"],
        "origin-20240208": second["boosting"],
        "origin-20240208-boosting": second["boosting"],
        "origin-20240215": first["ridge"],
    }
    assert shelf.tags(first["ridge"])["verdict"] == "roll_back"


def test_versions_are_listed_newest_first_by_candidate_and_recipe(shelf: Shelf) -> None:
    late = shelf.add("ridge", as_of=START + WEEK)
    early = shelf.add("ridge", "boosting", as_of=START)
    changed = shelf.add("ridge", as_of=START, recipe="2")

    def numbers(**chosen: str) -> list[str]:
        return [v.version for v in shelf.registry.versions(**chosen)]

    assert numbers() == [late["ridge"], changed["ridge"], early["boosting"], early["ridge"]]
    assert numbers(candidate="ridge") == [late["ridge"], changed["ridge"], early["ridge"]]
    assert numbers(recipe_id="ridge-1") == [late["ridge"], early["ridge"]]
    assert numbers(candidate="boosting", recipe_id="ridge-1") == []


def test_a_version_that_someone_registered_by_hand_is_not_listed(shelf: Shelf) -> None:
    shelf.client.create_model_version(shelf.registry.name, source=str(shelf.settings.namespace))

    assert shelf.registry.versions() == []


def test_versions_beyond_the_newest_of_their_candidate_go_unless_an_alias_holds_them(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_module, "KEPT_VERSIONS", 2)
    weeks = [START + k * WEEK for k in range(4)]
    ridges = [shelf.add("ridge", as_of=week)["ridge"] for week in weeks]
    forest = shelf.add("forest", as_of=START)["forest"]
    shelf.client.set_registered_model_alias(shelf.registry.name, "mine", ridges[0])

    assert shelf.registry.retire(as_of=weeks[-1]) == [ridges[1]]

    left = {v.version for v in shelf.registry.versions()}
    assert left == {ridges[0], ridges[2], ridges[3], forest}
    assert shelf.registry.retire(as_of=weeks[-1]) == []


def test_a_dated_alias_is_removed_after_104_weeks_and_frees_its_version(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_module, "KEPT_VERSIONS", 1)
    first = shelf.add("ridge", as_of=START)
    shelf.registry.apply(verdict("promote", "ridge", losses=["ridge"]), first)
    second = shelf.add("ridge", as_of=START + WEEK)
    next_week = verdict("refresh", "ridge", losses=["ridge"], as_of=START + WEEK)
    shelf.registry.apply(next_week, second)

    assert shelf.registry.retire(as_of=START + 104 * WEEK) == []
    assert "origin-20240201" in shelf.aliases()

    assert shelf.registry.retire(as_of=START + 105 * WEEK - timedelta(days=6)) == [first["ridge"]]
    assert shelf.aliases() == {
        "champion": second["ridge"],
        "origin-20240208": second["ridge"],
        "origin-20240208-ridge": second["ridge"],
    }


def test_a_version_of_another_hand_is_never_removed(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_module, "KEPT_VERSIONS", 0)
    shelf.client.create_model_version(shelf.registry.name, source=str(shelf.settings.namespace))

    assert shelf.registry.retire(as_of=START) == []

    assert shelf.client.get_model_version(shelf.registry.name, "1").version
