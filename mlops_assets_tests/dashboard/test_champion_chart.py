from __future__ import annotations

from dashboard.champion_chart import Reign, reigns, timeline
from mlops_assets_tests.dashboard.worlds import VERDICT_LIST
from mlops_assets_tests.serving.published import AS_OF, HOUR
from mlops_assets_tests.serving.published_past import instant


def test_a_kept_champion_reigns_on_until_another_is_promoted() -> None:
    found = reigns(VERDICT_LIST[::-1], until=instant(AS_OF))

    assert found == [
        Reign("ridge", "2", instant(AS_OF - 96 * HOUR), instant(AS_OF - 24 * HOUR)),
        Reign("forest", "3", instant(AS_OF - 24 * HOUR), instant(AS_OF)),
    ]


def test_nobody_reigns_before_the_first_promotion() -> None:
    nobody = {"as_of": instant(AS_OF - 99 * HOUR), "decision": "keep", "candidate": None}

    found = reigns([*VERDICT_LIST[::-1], nobody], until=instant(AS_OF))

    assert found[0].since == instant(AS_OF - 96 * HOUR)


def test_every_verdict_is_marked_with_its_reasons() -> None:
    marks = timeline(VERDICT_LIST[::-1], until=instant(AS_OF)).data[-1]

    assert list(marks.y) == ["forest", "ridge", "ridge"]
    assert [list(data) for data in marks.customdata][2] == [
        "promote",
        "ridge beats last_value with p = 0.012, below 0.05.",
    ]
