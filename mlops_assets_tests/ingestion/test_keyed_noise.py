from __future__ import annotations

import numpy as np
import pytest

from mlops_assets.ingestion.keyed_noise import generator, normals


def test_a_day_is_the_same_alone_and_among_others() -> None:
    many = normals(7, "price", 700_000, 30, 4)

    assert np.array_equal(normals(7, "price", 700_012, 1, 4)[0], many[12])


@pytest.mark.parametrize("other", [(8, "price", 9), (7, "volume", 9), (7, "price", 10)])
def test_another_seed_stream_or_day_is_drawn_apart(other: tuple[int, str, int]) -> None:
    one, two = generator(7, "price", 9).random(4), generator(*other).random(4)

    assert not np.isclose(one, two).any()
