"""A small builder of ONNX graphs: float64 throughout, converted ensembles as subgraphs.

Here: nodes and constants by name. Not here: which nodes a model needs (`onnx_export` and the
families' `add_to_graph`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from mlops_assets.training.forecaster import FloatArray

if TYPE_CHECKING:
    import onnx

OPSET: Final = 17
OPSET_ML: Final = 3


class GraphBuilder:
    """Collects the nodes of one graph with an input (rows, columns) and an output (rows, 3)."""

    def __init__(self) -> None:
        """Start an empty graph."""
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._count = 0

    def node(self, operator: str, *inputs: str, place: int = 0, **attributes: Any) -> str:  # noqa: ANN401 ONNX attributes are of any type
        """Add a node and return the name of its output at `place`; the others are not used."""
        from onnx import helper

        output = self._name(operator.lower())
        outputs = [*[""] * place, output]
        self._nodes.append(helper.make_node(operator, list(inputs), outputs, **attributes))
        return output

    def narrowed(self, tensor: str) -> str:
        """A float64 tensor as float32."""
        from onnx import TensorProto

        return self.node("Cast", tensor, to=TensorProto.FLOAT)

    def widened(self, tensor: str) -> str:
        """A float32 tensor as float64."""
        from onnx import TensorProto

        return self.node("Cast", tensor, to=TensorProto.DOUBLE)

    def constant(self, values: npt.NDArray[Any]) -> str:
        """Add a constant and return its name."""
        from onnx import numpy_helper

        name = self._name("constant")
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def columns(self, matrix: str, positions: list[int]) -> str:
        """The given columns of (rows, columns), in that order."""
        return self.node("Gather", matrix, self.constant(np.array(positions, np.int64)), axis=1)

    def fill_missing(self, matrix: str, fill: FloatArray) -> str:
        """Replace NaN in each column by that column's `fill` (columns,)."""
        missing = self.node("IsNaN", matrix)
        return self.node("Where", missing, self.constant(fill[None, :]), matrix)

    def constant_column(self, matrix: str, value: float) -> str:
        """A column (rows, 1) of one value, with as many rows as `matrix`."""
        shape = self.node("Shape", matrix)
        rows = self.node("Gather", shape, self.constant(np.array([0], np.int64)), axis=0)
        wanted = self.node("Concat", rows, self.constant(np.array([1], np.int64)), axis=0)
        return self.node("Expand", self.constant(np.array([[value]])), wanted)

    def scikit_learn(self, estimator: Any, matrix: str, *, columns: int) -> str:  # noqa: ANN401 any scikit-learn regressor
        """Add a converted regressor; casts to float32 on the way in, to float64 on the way out."""
        from onnx import compose
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import FloatTensorType

        converted = convert_sklearn(
            estimator,
            initial_types=[("x", FloatTensorType([None, columns]))],
            target_opset={"": OPSET, "ai.onnx.ml": OPSET_ML},
        )
        part = compose.add_prefix(converted, f"{self._name('trees')}_").graph
        narrow = self.narrowed(matrix)
        self._nodes.append(_identity(narrow, part.input[0].name))
        self._nodes.extend(part.node)
        self._constants.extend(part.initializer)
        return self.widened(part.output[0].name)

    def model(
        self, *, input_name: str, columns: int, output: str, output_name: str
    ) -> onnx.ModelProto:
        """The checked model.

        Raises:
            onnx.checker.ValidationError: the graph is not valid ONNX.
        """
        from onnx import TensorProto, checker, helper

        self._nodes.append(_identity(output, output_name))
        rows: list[Any] = ["rows", columns]
        graph = helper.make_graph(
            self._nodes,
            "forecast",
            [helper.make_tensor_value_info(input_name, TensorProto.DOUBLE, rows)],
            [helper.make_tensor_value_info(output_name, TensorProto.DOUBLE, ["rows", 3])],
            self._constants,
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", OPSET_ML)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="mlops-assets")
        model.ir_version = 8
        checker.check_model(model)
        return model

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"


def _identity(source: str, target: str) -> Any:  # noqa: ANN401 onnx.NodeProto, imported lazily
    from onnx import helper

    return helper.make_node("Identity", [source], [target])
