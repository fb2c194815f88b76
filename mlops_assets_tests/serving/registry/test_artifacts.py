from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mlops_assets_tests.serving.published import model_files, registered
from serving.contract.model_card import CARD_FILE, MODEL_FILE
from serving.domain_errors import ModelRefusedError, RefusalReason, RegistryUnreachableError
from serving.registry.artifacts import Artifacts
from serving.served_model import RegisteredVersion

FILES = model_files()


def version_at(source: str) -> RegisteredVersion:
    """A version whose files are at an address."""
    return replace(registered(FILES), source=source)


def written(folder: Path) -> Path:
    """The two files in a folder."""
    folder.mkdir()
    (folder / MODEL_FILE).write_bytes(FILES.model)
    (folder / CARD_FILE).write_bytes(FILES.card)
    return folder


@contextmanager
def bucket(objects: dict[str, bytes]) -> Iterator[str]:
    """The address of an object store that answers for these objects alone."""

    class Store(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            content = objects.get(self.path.split("?")[0].lstrip("/"))
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.send_header("Last-Modified", "Mon, 02 Mar 2026 12:00:00 GMT")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content or b"")

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Keys that the object store of these tests does not look at."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    return monkeypatch


def test_files_are_read_from_a_folder_by_path_and_by_address(tmp_path: Path) -> None:
    folder = written(tmp_path / "a folder")
    store = Artifacts(max_model_bytes=10**6)
    assert store.files(version_at(str(folder))) == FILES
    assert store.files(version_at(folder.as_uri())) == FILES
    assert store.files(version_at(f"{folder}/")) == FILES


def test_files_are_read_from_the_object_store_that_mlflow_uses(
    credentials: pytest.MonkeyPatch,
) -> None:
    objects = {f"bucket/1/m/{MODEL_FILE}": FILES.model, f"bucket/1/m/{CARD_FILE}": FILES.card}
    with bucket(objects) as address:
        credentials.setenv("MLFLOW_S3_ENDPOINT_URL", address)
        store = Artifacts(max_model_bytes=len(FILES.model))
        assert store.files(version_at("s3://bucket/1/m")) == FILES
        with pytest.raises(ModelRefusedError, match=f"has no file {CARD_FILE}"):
            store.files(version_at("s3://bucket/2/m"))
        with pytest.raises(ModelRefusedError, match=f"{MODEL_FILE} has {len(FILES.model)} bytes"):
            Artifacts(max_model_bytes=10).files(version_at("s3://bucket/1/m"))
    with pytest.raises(RegistryUnreachableError, match="OSError"):
        Artifacts(max_model_bytes=1).files(version_at("s3://bucket/1/m"))


@pytest.mark.parametrize("absent", [MODEL_FILE, CARD_FILE])
def test_an_absent_file_is_named(tmp_path: Path, absent: str) -> None:
    folder = written(tmp_path / "folder")
    (folder / absent).unlink()
    with pytest.raises(ModelRefusedError, match=f"has no file {absent}") as refused:
        Artifacts(max_model_bytes=10**6).files(version_at(str(folder)))
    assert refused.value.reason is RefusalReason.FORMAT


def test_a_file_above_the_cap_is_refused_before_it_is_read(tmp_path: Path) -> None:
    folder = written(tmp_path / "folder")
    with pytest.raises(ModelRefusedError, match="raise MLOPS_API_MAX_MODEL_MB") as refused:
        Artifacts(max_model_bytes=len(FILES.model) - 1).files(version_at(str(folder)))
    assert refused.value.reason is RefusalReason.SIZE


@pytest.mark.parametrize(
    "source",
    [
        "http://169.254.169.254/latest",
        "runs:/1/model",
        "mlflow-artifacts:/1/model",
        "mlflow-artifacts://elsewhere/1/model",
        "gs://bucket/model",
    ],
)
def test_an_address_that_is_not_read_is_refused_by_its_scheme(source: str) -> None:
    scheme = source.partition(":")[0]
    with pytest.raises(ModelRefusedError, match=f"has the scheme {scheme}:") as refused:
        Artifacts(max_model_bytes=1).files(version_at(source))
    assert "MLOPS_MLFLOW_TRACKING_URI" in str(refused.value)


def test_a_folder_that_may_not_be_read_is_an_unreachable_store(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(RegistryUnreachableError, match="OSError"):
        Artifacts(max_model_bytes=1).files(version_at(str(loop)))
