"""Checks a model's two files before they may take traffic, and opens them.

Here: size, sha256, card, ONNX content, signature and warm-up. Not here: where the files come from
(`model_store`). Everything runs in the background; onnx and onnxruntime are imported on use.
An ONNX file is data, not code, but it can be replaced, point to other files of the machine, call
operators of a plug-in, or be huge: each of these is refused, with a reason fit for a public page.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import ValidationError

from serving.contract.model_card import CARD_FILE, CONTRACT_VERSION, MODEL_FILE, ModelCard
from serving.contract.steps import FloatArray, needs_segment
from serving.domain_errors import ModelRefusedError, RefusalReason
from serving.memory import give_back
from serving.served_model import RegisteredVersion, ServedModel, Session

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

ALLOWED_DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})
"""Operators of the ONNX standard; any other domain may call code of a plug-in."""

TOLERANCE: Final = {"float32": 1e-4, "float64": 1e-6}
"""Largest relative difference between the warm-up's output and the card's expected one."""

MAX_CARD_BYTES: Final = 5_000_000


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The bytes of the two files of a version."""

    model: bytes
    card: bytes


def load_model(files: ModelFiles, registered: RegisteredVersion, *, problem: str) -> ServedModel:
    """Verify a version's files, open a session and compare it with the card's example.

    Raises:
        ModelRefusedError: one of the checks fails; the message names value, rule and remedy.
    """
    _check_sha256(files.model, registered.model_sha256, file=MODEL_FILE)
    _check_sha256(files.card, registered.card_sha256, file=CARD_FILE)
    card = parse_card(files.card, problem=problem)
    if card.model_sha256 != registered.model_sha256:
        raise ModelRefusedError(
            RefusalReason.CHECKSUM,
            f"{CARD_FILE} names another {MODEL_FILE} than the registry; both must name the same "
            "content; register the version again",
        )
    check_graph(files.model)
    model = ServedModel(registered, card, open_session(files.model, card))
    warm_up(model)
    # The parsed graph is gone, and was several times the file.
    give_back()
    return model


def _check_sha256(content: bytes, expected: str | None, *, file: str) -> None:
    if not expected:
        raise ModelRefusedError(
            RefusalReason.TAGS,
            f"the version has no sha256 tag for {file}; an unpinned file is not served; "
            "register the version with its tags",
        )
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ModelRefusedError(
            RefusalReason.CHECKSUM,
            f"{file} has sha256 {found[:12]}..., the registry says {expected[:12]}...; a file that "
            "was changed is not served; restore it or register a new version",
        )


def parse_card(content: bytes, *, problem: str) -> ModelCard:
    """Read a model card.

    Raises:
        ModelRefusedError: it is no card of this contract version, or of another problem.
    """
    try:
        document = json.loads(content)
    except ValueError as error:
        raise ModelRefusedError(
            RefusalReason.CARD, f"{CARD_FILE} is no JSON; write it from ModelCard"
        ) from error
    version = document.get("contract_version") if isinstance(document, dict) else None
    if version != CONTRACT_VERSION:
        raise ModelRefusedError(
            RefusalReason.CONTRACT,
            f"{CARD_FILE} has contract version {version!r}, this service reads {CONTRACT_VERSION}; "
            "use a service and a pipeline of the same release",
        )
    try:
        card = ModelCard.model_validate_json(content)
    except ValidationError as error:
        keys = ", ".join(".".join(map(str, fault["loc"])) for fault in error.errors()[:5])
        raise ModelRefusedError(
            RefusalReason.CARD, f"{CARD_FILE}: {keys} cannot be used; write it from ModelCard"
        ) from error
    if card.problem != problem:
        raise ModelRefusedError(
            RefusalReason.CARD,
            f"{CARD_FILE} is of problem {card.problem!r}, the alias of {problem!r} points to it; "
            "move the alias to a version of that problem",
        )
    return card


def check_graph(content: bytes) -> None:
    """Refuse content that is no ONNX graph, reads other files, or calls unknown operators.

    Raises:
        ModelRefusedError: one of these holds.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # no stubs

    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise ModelRefusedError(
            RefusalReason.FORMAT, f"{MODEL_FILE} is no ONNX graph; export the model to ONNX"
        ) from error
    if not model.graph.node:
        raise ModelRefusedError(
            RefusalReason.FORMAT, f"{MODEL_FILE} has no operator; export the model to ONNX"
        )
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in _tensors(model)):
        raise ModelRefusedError(
            RefusalReason.EXTERNAL_DATA,
            f"{MODEL_FILE} keeps tensors in another file; they could be any file of the machine; "
            "save the model with its tensors inside",
        )
    imported = {opset.domain for opset in model.opset_import}
    domains = imported | {node.domain for node in _nodes(model)}
    if unknown := sorted(domains - ALLOWED_DOMAINS):
        raise ModelRefusedError(
            RefusalReason.OPERATOR_DOMAIN,
            f"{MODEL_FILE} uses operator domain {', '.join(unknown)}; only "
            f"{', '.join(sorted(ALLOWED_DOMAINS - {''}))} are allowed; export with those",
        )


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    yield graph
    for node in graph.node:
        yield from _subgraphs(node)


def _subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            yield from _graphs(inner) if inner.node else (inner,)


def _nodes(model: ModelProto) -> Iterator[NodeProto]:
    for graph in _graphs(model.graph):
        yield from graph.node
    for function in model.functions:
        for node in function.node:
            yield node
            for graph in _subgraphs(node):
                yield from graph.node


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    roots = [model.graph, *(g for f in model.functions for n in f.node for g in _subgraphs(n))]
    for root in roots:
        for graph in _graphs(root):
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
    for node in _nodes(model):
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def open_session(content: bytes, card: ModelCard) -> Session:
    """Open an onnxruntime session with one thread and compare its signature with the card.

    Raises:
        ModelRefusedError: the runtime cannot load the graph, or names, types or shapes differ.
    """
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    options = onnxruntime.SessionOptions()
    # A forecast is a few rows: more threads only add a hand-over, and take cores from requests.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            content, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NotImplemented,
        state.RuntimeException,
    ) as error:
        raise ModelRefusedError(
            RefusalReason.FORMAT,
            f"{MODEL_FILE} cannot be loaded by onnxruntime ({type(error).__name__}); "
            "export the model again",
        ) from error
    _check_signature(session, card)
    return session  # type: ignore[no-any-return]  # onnxruntime ships no types


def _check_signature(session: Any, card: ModelCard) -> None:  # noqa: ANN401 - onnxruntime has no types
    element = {"float32": "tensor(float)", "float64": "tensor(double)"}[card.input_type]
    wanted = f"{card.input_name} {element} (rows, {len(card.features)})"
    found = [
        f"{i.name} {i.type} (rows, {', '.join(map(str, i.shape[1:]))})"
        for i in session.get_inputs()
    ]
    outputs = [output.name for output in session.get_outputs()]
    if found != [wanted] or card.output_name not in outputs:
        raise ModelRefusedError(
            RefusalReason.SIGNATURE,
            f"{MODEL_FILE} has inputs {found} and outputs {outputs}, the card says {wanted} and "
            f"{card.output_name}; write card and graph together",
        )


def warm_up(model: ServedModel) -> None:
    """Run the card's example and compare with its expected output.

    Raises:
        ModelRefusedError: the outputs differ by more than the tolerance of the input type.
    """
    example = model.card.example
    features = np.array(
        [[np.nan if v is None else v for v in row] for row in example.features], dtype=np.float64
    )
    if features.ndim != 2 or features.shape[1] != len(model.card.features) or not len(features):
        raise ModelRefusedError(
            RefusalReason.CARD,
            f"the example of {CARD_FILE} has shape {features.shape}; it must be (rows >= 1, "
            f"{len(model.card.features)}); write it from the model's own input",
        )
    if needs_segment(model.card.steps) and len(example.segment) != len(features):
        raise ModelRefusedError(
            RefusalReason.CARD,
            f"the example of {CARD_FILE} has {len(features)} rows and {len(example.segment)} "
            "segments; a forecast of shares needs one segment a row; write it from whole segments",
        )
    segment = np.array(example.segment, dtype=np.int64) if example.segment else None
    try:
        actual = model.quantiles(features, np.array(example.last_value), segment)
    except ValueError as error:
        raise ModelRefusedError(RefusalReason.WARM_UP, f"{MODEL_FILE}: {error}") from error
    _compare(actual, np.array(example.expected), model.card)


def _compare(actual: FloatArray, expected: FloatArray, card: ModelCard) -> None:
    tolerance = TOLERANCE[card.input_type]
    # A bound of a share may be zero, where only an absolute difference, in percent, has a meaning.
    absolute = tolerance if needs_segment(card.steps) else 0.0
    same_shape = actual.shape == expected.shape
    if not same_shape or not np.allclose(actual, expected, rtol=tolerance, atol=absolute):
        with np.errstate(divide="ignore", invalid="ignore"):
            shown = f"{np.abs(actual / expected - 1).max():.2g}" if same_shape else "of shape"
        raise ModelRefusedError(
            RefusalReason.WARM_UP,
            f"the card's example gives a relative difference {shown}, {tolerance:g} is allowed; "
            "the graph is not the model that was evaluated; export it again",
        )
