"""BentoML's way to serve the same ONNX graph; run by `bentoml serve` in an environment of its own.

This file is imported there, where nothing of this project is installed: it reads the graph that
`FOREST_GRAPH` names and knows nothing else. One worker and one onnxruntime thread, as ours.
"""

import os

import bentoml  # type: ignore[import-not-found]  # in its own environment only
import numpy as np
import onnxruntime


@bentoml.service(workers=1)
class Forest:
    """The forest."""

    def __init__(self) -> None:
        """Open the graph."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            os.environ["FOREST_GRAPH"], options, providers=["CPUExecutionProvider"]
        )

    @bentoml.api  # type: ignore[untyped-decorator]  # no stubs
    async def predict(self, features: np.ndarray) -> np.ndarray:
        """Middle column of the graph's output, shape (rows,)."""
        (quantiles,) = self.session.run(["quantiles"], {"features": features.astype("float32")})
        return np.asarray(quantiles[:, 1])
