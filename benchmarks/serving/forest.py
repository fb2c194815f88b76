"""The model that every peer serves: one random forest of a fixed seed, twice.

Here: the scikit-learn object, the same forest as an ONNX graph with a band, and rows to ask with.
Not here: the registry and the snapshot around it (`forest_home`), and the peers (`peer_services`).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestRegressor

FloatArray = npt.NDArray[np.float32]

INPUTS: Final = tuple(f"x{number:02d}" for number in range(17))
"""Names of the features, in the order of the columns."""
HALF_WIDTH: Final = 0.5
"""Half the width of the band, on the scale of the forest's output."""
LAST_VALUE: Final = 100.0
"""The last value of every question: the forest forecasts the change from it."""
_SEED: Final = 20_260_301
_OPSET: Final = 17
_IR_VERSION: Final = 8


@dataclass(frozen=True)
class Forest:
    """A fitted forest and rows that it was not fitted on."""

    fitted: RandomForestRegressor
    rows: FloatArray
    """Shape (1000, 17)."""

    @cached_property
    def changes(self) -> npt.NDArray[np.float64]:
        """Shape (1000,): what scikit-learn forecasts for `rows`."""
        found: npt.NDArray[np.float64] = self.fitted.predict(self.rows)
        return found

    def onnx(self, half_width: float = HALF_WIDTH) -> bytes:
        """The graph `(rows, 17) -> (rows, 3)`: the forest in the middle of a constant band.

        Args:
            half_width: distance of the outer columns to the middle one; another width is another
                file with the same point forecast.
        """
        from onnx import TensorProto, helper, numpy_helper
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import FloatTensorType

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # skl2onnx hands booleans to onnx
            model = convert_sklearn(
                self.fitted,
                initial_types=[("features", FloatTensorType([None, len(INPUTS)]))],
                target_opset={"": _OPSET, "ai.onnx.ml": 3},
            )
        graph = model.graph
        point = graph.output[0].name
        graph.initializer.append(
            numpy_helper.from_array(
                np.array([[-half_width, 0.0, half_width]], dtype=np.float32), "sides"
            )
        )
        graph.node.append(helper.make_node("Add", [point, "sides"], ["quantiles"]))
        del graph.output[:]
        graph.output.append(
            helper.make_tensor_value_info("quantiles", TensorProto.FLOAT, [None, 3])
        )
        model.ir_version = _IR_VERSION
        content: bytes = model.SerializeToString()
        return content


def fit_forest(*, trees: int, depth: int, rows: int) -> Forest:
    """Fit a forest on generated rows; the same arguments give the same forest.

    Args:
        trees: number of trees.
        depth: largest depth of a tree.
        rows: generated rows that it is fitted on; they decide how full the trees are.
    """
    from sklearn.ensemble import RandomForestRegressor

    random = np.random.default_rng(_SEED)
    inputs = random.normal(size=(rows + 1000, len(INPUTS))).astype(np.float32)
    signal = inputs[:, 0] * inputs[:, 1] + np.sin(2.0 * inputs[:, 2]) + np.abs(inputs[:, 3])
    targets = signal + random.normal(scale=0.5, size=len(inputs))
    fitted = RandomForestRegressor(
        n_estimators=trees, max_depth=depth, random_state=_SEED, n_jobs=-1
    )
    fitted.fit(inputs[:rows], targets[:rows])
    # Joblib's hand-over would cost more than one row, in the peers that call scikit-learn.
    fitted.n_jobs = 1
    return Forest(fitted=fitted, rows=inputs[rows:])
