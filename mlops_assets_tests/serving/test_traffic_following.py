"""Traffic settings of a real registry, from the tag to who answers."""

from __future__ import annotations

import asyncio

import pytest

from mlops_assets_tests.serving.published import MODEL_NAME, PROBLEM, World, model_files
from serving.app import create_app
from serving.dependencies import Parts
from serving.deployments import Chosen
from serving.domain_errors import NotReadyError, UnknownNameError, UnusableInputError
from serving.registry.writer import RegistryChange
from serving.settings import ServingSettings
from serving.traffic import TAG, Traffic

CALLERS = [f"caller-{n}" for n in range(200)]


class Service:
    """The parts of the service over a world with versions 1 (champion) and 2 (challenger)."""

    def __init__(self, world: World, **settings: float) -> None:
        self.world = world
        world.register(model_files(-0.1))
        world.register(model_files(-0.2), promote=False)
        world.client.set_registered_model_alias(MODEL_NAME, "challenger", "2")
        world.publish()
        app = create_app(ServingSettings.model_validate({"home": world.home, **settings}))
        self.parts: Parts = app.state.parts
        self.look()

    def look(self) -> None:
        """Look at snapshots and registry once, as the followers do."""
        asyncio.run(self.parts.models.look_now())

    def set_traffic(self, text: str | None) -> None:
        """Write the tag, and look."""
        self.parts.registry_writer.apply(MODEL_NAME, RegistryChange(tags={TAG: text}))
        self.look()

    def choose(self, caller: str = "", **asked: str) -> Chosen:
        """Who answers."""
        return asyncio.run(self.parts.choose(PROBLEM, caller=caller, **asked))

    def versions(self) -> dict[str, str]:
        """Caller -> version that answers."""
        return {c: self.choose(c).deployment.model.registered.version for c in CALLERS}

    @property
    def complaints(self) -> tuple[str, ...]:
        return self.parts.deployments.complaints(PROBLEM)


@pytest.fixture
def service(world: World) -> Service:
    return Service(world)


def test_without_settings_the_champion_answers_everybody(service: Service) -> None:
    assert set(service.versions().values()) == {"1"}
    assert service.choose().shadows == ()
    # The same object each time: nothing is made for a request.
    assert service.choose("a") is service.choose("b")


def test_settings_take_effect_change_and_end_without_a_restart(service: Service) -> None:
    half = Traffic.of({"champion": 0.5, "challenger": 0.5})
    service.set_traffic(half.to_json())
    numbers = {"champion": "1", "challenger": "2"}
    assert service.versions() == {c: numbers[half.alias_for(PROBLEM, c)] for c in CALLERS}
    assert set(service.versions().values()) == {"1", "2"}
    service.set_traffic('{"weights": {"challenger": 1}}')
    assert set(service.versions().values()) == {"2"}
    assert service.choose().deployment.alias == "challenger"
    service.set_traffic(None)
    assert set(service.versions().values()) == {"1"}
    assert service.complaints == ()


def test_a_moved_alias_moves_its_callers(service: Service) -> None:
    service.set_traffic('{"weights": {"challenger": 1}}')
    third = service.world.register(model_files(-0.3), promote=False)
    service.world.client.set_registered_model_alias(MODEL_NAME, "challenger", third)
    service.look()
    assert set(service.versions().values()) == {third}


def test_shadows_come_with_an_answer_by_traffic_and_with_no_other(service: Service) -> None:
    service.set_traffic('{"weights": {"champion": 1}, "shadow": ["challenger"]}')
    chosen = service.choose()
    assert chosen.deployment.alias == "champion"
    (shadow,) = chosen.shadows
    assert (shadow.alias, shadow.model.registered.version) == ("challenger", "2")
    assert service.choose(alias="champion").shadows == ()
    assert service.choose(version="1").shadows == ()


def test_whoever_answers_is_not_its_own_shadow(service: Service) -> None:
    service.set_traffic('{"weights": {"challenger": 1}, "shadow": ["challenger", "champion"]}')
    chosen = service.choose()
    assert chosen.deployment.alias == "challenger"
    assert [shadow.alias for shadow in chosen.shadows] == ["champion"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "it must be JSON"),
        ('{"weights": {"champion": 0.5}}', "they must sum to 1"),
        ('{"weights": {"next": 1}}', "alias next points to no version"),
        ('{"weights": {"champion": 1}, "shadow": ["next"]}', "alias next points to no version"),
    ],
)
def test_settings_that_cannot_be_used_are_a_complaint_and_the_champion_answers(
    service: Service, text: str, words: str
) -> None:
    service.set_traffic(text)
    assert set(service.versions().values()) == {"1"}
    assert service.choose().shadows == ()
    (complaint,) = service.complaints
    assert words in complaint
    assert complaint.endswith("the champion answers in its place")
    service.set_traffic('{"weights": {"champion": 1}}')
    assert service.complaints == ()


@pytest.mark.parametrize(
    ("slope", "change", "words"),
    [(-0.3, {"unit": "EUR"}, "'unit': 'EUR'"), (-0.3, {"problem": "ether_close"}, "ether_close")],
)
def test_a_variant_that_cannot_answer_is_a_complaint_and_leaves_its_callers_to_the_champion(
    service: Service, slope: float, change: dict[str, object], words: str
) -> None:
    third = service.world.register(model_files(slope, **change), promote=False)
    service.world.client.set_registered_model_alias(MODEL_NAME, "challenger", third)
    service.set_traffic('{"weights": {"challenger": 1}, "shadow": ["champion"]}')
    assert set(service.versions().values()) == {"1"}
    assert service.choose().deployment.alias == "champion"
    assert service.choose().shadows == ()
    (complaint,) = service.complaints
    assert "alias challenger cannot answer" in complaint
    assert words in complaint


def test_a_variant_is_fed_by_the_snapshot_that_is_in_service(service: Service) -> None:
    service.set_traffic('{"weights": {"challenger": 1}}')
    before = service.choose().deployment
    service.look()
    assert service.choose().deployment is before
    service.world.publish()
    service.look()
    after = service.choose().deployment
    assert after.snapshot.manifest.data_version == "data-2"
    assert after.model is before.model


def test_an_alias_or_a_version_can_be_asked_for(service: Service) -> None:
    by_alias = service.choose(alias="challenger").deployment
    assert (by_alias.alias, by_alias.model.registered.version) == ("challenger", "2")
    by_version = service.choose(version="2").deployment
    assert (by_version.alias, by_version.model) == (None, by_alias.model)
    assert service.choose(version="2").deployment is by_version
    assert service.choose(alias="champion").deployment is service.choose().deployment


def test_who_cannot_be_chosen_is_refused_with_what_is_known(service: Service) -> None:
    with pytest.raises(UnknownNameError) as alias:
        service.choose(alias="../next")
    assert alias.value.known == ("challenger", "champion")
    with pytest.raises(UnknownNameError) as version:
        service.choose(version="77")
    assert version.value.known == ("2", "1")
    with pytest.raises(UnusableInputError, match="chosen by one of them"):
        service.choose(alias="champion", version="1")
    refused = service.world.register(model_files(-0.3, problem="ether_close"), promote=False)
    with pytest.raises(UnusableInputError, match="is of problem 'ether_close'"):
        service.choose(version=refused)
    unfit = service.world.register(model_files(-0.3, unit="EUR"), promote=False)
    with pytest.raises(UnusableInputError, match="'unit': 'EUR'"):
        service.choose(version=unfit)


def test_without_a_registry_held_versions_answer_and_others_say_why_not(service: Service) -> None:
    assert service.choose(version="2").deployment.alias is None
    listed = asyncio.run(service.parts.models.versions(PROBLEM))
    third = service.world.register(model_files(-0.3), promote=False)
    service.world.database.unlink()
    assert service.choose(version="2").deployment.model.registered.version == "2"
    assert service.choose(alias="challenger").deployment.model.registered.version == "2"
    with pytest.raises(NotReadyError, match="for a version that is not held"):
        service.choose(version=third)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.parts.models, "_poll_seconds", 0.0)
        assert asyncio.run(service.parts.models.versions(PROBLEM)) == listed


def test_versions_are_listed_again_once_the_list_is_old(world: World) -> None:
    service = Service(world, api_poll_seconds=3600)
    numbers = [v.version for v in asyncio.run(service.parts.models.versions(PROBLEM))]
    assert numbers == ["2", "1"]
    world.register(model_files(-0.3), promote=False)
    again = [v.version for v in asyncio.run(service.parts.models.versions(PROBLEM))]
    assert again == ["2", "1"]
    service.look()
    newest = [v.version for v in asyncio.run(service.parts.models.versions(PROBLEM))]
    assert newest == ["3", "2", "1"]


def test_the_last_look_tells_aliases_and_tags(service: Service) -> None:
    service.set_traffic('{"weights": {"champion": 1}}')
    model = service.parts.models.registry(PROBLEM)
    assert model is not None
    assert model.aliases == {"champion": "1", "challenger": "2"}
    assert model.tags == {TAG: '{"weights": {"champion": 1}}'}
    assert service.parts.models.registry("ether_close") is None


def test_asked_for_versions_share_the_memory_and_champion_and_variants_stay(world: World) -> None:
    # Each model of this world is charged a little more than 200,000 bytes: three fit.
    service = Service(world, api_model_memory_mb=0.65)
    service.set_traffic('{"weights": {"champion": 1}, "shadow": ["challenger"]}')
    others = [world.register(model_files(-0.3 - n), promote=False) for n in range(3)]
    for version in others:
        assert service.choose(version=version).deployment.model.registered.version == version
    assert {k.version for k in service.parts.models.held.keys} == {"1", "2", others[-1]}
    metrics = service.parts.metrics.registry
    assert metrics.get_sample_value("serving_models_held") == 3
    held = metrics.get_sample_value("serving_model_memory_bytes")
    assert held is not None
    assert 600_000 < held < 650_000
