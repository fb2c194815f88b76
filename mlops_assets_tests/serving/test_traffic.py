from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import Counter

import pytest

from serving.traffic import Traffic, TrafficError, position

CALLERS = 10_000


def counted(traffic: Traffic, problem: str = "bitcoin_close") -> Counter[str]:
    """How many of `CALLERS` callers meet each alias."""
    return Counter(traffic.alias_for(problem, f"caller-{n}") for n in range(CALLERS))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.01])
def test_callers_are_split_by_weight_within_binomial_bounds(share: float) -> None:
    met = counted(Traffic.of({"champion": 1 - share, "challenger": share}))
    # Four standard deviations of a binomial number: passed by chance but for 6 in 100,000 cases,
    # and the callers of this test are always the same.
    bound = 4 * math.sqrt(CALLERS * share * (1 - share))
    assert abs(met["challenger"] - CALLERS * share) <= bound
    assert met.total() == CALLERS


def test_a_caller_meets_the_same_variant_in_every_process() -> None:
    program = (
        "from serving.traffic import Traffic; t = Traffic.of({'champion': 0.5, 'b': 0.5}); "
        "print([t.alias_for('bitcoin_close', f'caller-{n}') for n in range(50)])"
    )
    elsewhere = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    traffic = Traffic.of({"b": 0.5, "champion": 0.5})
    here = [traffic.alias_for("bitcoin_close", f"caller-{n}") for n in range(50)]
    assert elsewhere.stdout.strip() == str(here)
    assert set(here) == {"champion", "b"}


def test_the_place_of_a_caller_is_the_hash_that_is_documented() -> None:
    # blake2b of 8 bytes over "p\0c", its first 53 bits over 2**53; worked out with b2sum -l 64.
    digest = subprocess.run(
        ["b2sum", "-l", "64"], input=b"p\0c", capture_output=True, check=True
    ).stdout.split()[0]
    assert position("p", "c") == (int(digest, 16) // 2048) / 2**53


def test_more_weight_keeps_the_callers_that_an_alias_had() -> None:
    few = Traffic.of({"a": 0.1, "champion": 0.9})
    many = Traffic.of({"a": 0.3, "champion": 0.7})
    callers = [f"caller-{n}" for n in range(1000)]
    had = {c for c in callers if few.alias_for("p", c) == "a"}
    assert had < {c for c in callers if many.alias_for("p", c) == "a"}


def test_problems_are_split_apart_from_each_other() -> None:
    traffic = Traffic.of({"a": 0.5, "champion": 0.5})
    first, second = (
        [traffic.alias_for(problem, f"caller-{n}") for n in range(100)] for problem in ("p", "q")
    )
    assert first != second


def test_one_alias_may_take_everybody() -> None:
    assert counted(Traffic.of({"challenger": 1})) == {"challenger": CALLERS}


def test_weights_that_miss_one_by_rounding_leave_nobody_out() -> None:
    traffic = Traffic.of(dict.fromkeys("abcdefghij", 0.1))
    assert counted(traffic).total() == CALLERS


def test_settings_survive_being_written_and_read() -> None:
    traffic = Traffic.of({"champion": 0.75, "challenger": 0.25}, ["challenger", "next"])
    again = Traffic.parse(traffic.to_json())
    assert again == traffic
    assert again.aliases == ("challenger", "champion", "next")
    assert json.loads(traffic.to_json()) == {
        "weights": {"champion": 0.75, "challenger": 0.25},
        "shadow": ["challenger", "next"],
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("weights", "it must be JSON"),
        ("[" * 4000, "it must be JSON"),
        ("[]", "an object of `weights` and `shadow`"),
        ('{"weights": {"champion": 1}, "share": 1}', "an object of `weights` and `shadow`"),
        ("{}", "weights = None: an object of alias and weight"),
        ('{"weights": {}}', "weights that sum to 0: they must sum to 1"),
        ('{"weights": {"champion": 0.5}}', "weights that sum to 0.5: they must sum to 1"),
        ('{"weights": {"champion": 1, "b": 0}}', "weight of b = 0: a weight is above 0"),
        ('{"weights": {"champion": 2, "b": -1}}', "weight of champion = 2: a weight is above 0"),
        ('{"weights": {"champion": NaN}}', "weight of champion = nan: a weight is above 0"),
        ('{"weights": {"champion": true}}', "weight of champion = True: a weight is a number"),
        ('{"weights": {"champion": "1"}}', "weight of champion = '1': a weight is a number"),
        ('{"weights": {"champion": 1}, "shadow": "b"}', "shadow = 'b': a list of aliases"),
        ('{"weights": {"champion": 1}, "shadow": [1]}', "shadow = [1]: a list of aliases"),
        ('{"weights": {"champion": 1}, "shadow": ["b", "b"]}', "each alias once"),
    ],
)
def test_settings_that_cannot_be_used_say_value_rule_and_remedy(text: str, words: str) -> None:
    with pytest.raises(TrafficError) as refused:
        Traffic.parse(text)
    assert words in str(refused.value)
    assert refused.value.remedy
    assert len(refused.value.value) <= 80


def test_a_weight_of_a_thousand_digits_is_refused_and_not_shown() -> None:
    with pytest.raises(TrafficError, match="a weight is above 0 and at most 1") as refused:
        Traffic.parse('{"weights": {"champion": 1' + "0" * 1000 + "}}")
    assert len(str(refused.value)) < 300
