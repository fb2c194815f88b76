"""Fetches the two files of a version: from a folder, an object store or an MLflow server.

Here: addresses, size caps, absent files. Not here: what the files hold (`model_files`) and how a
server is asked (`rest`, which lends its connection). A server is asked only where the registry
itself is that server: credentials never travel to a host that a version names.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote, unquote, urlsplit

from serving.contract.model_card import CARD_FILE, MODEL_FILE
from serving.domain_errors import ModelRefusedError, RefusalReason, RegistryUnreachableError
from serving.model_files import MAX_CARD_BYTES, ModelFiles
from serving.served_model import RegisteredVersion

_S3_SECONDS: Final = 10.0


class ProxiedFiles(Protocol):
    """A server that hands out the files of its own artifact store."""

    def download(self, path: str, *, max_bytes: int) -> bytes | int | None:
        """The content of a file, its size where that is above the cap, None where it is absent.

        Raises:
            RegistryUnreachableError: the server does not answer.
        """


class Artifacts:
    """Files of versions, by the address that the registry gives as a version's source."""

    def __init__(self, *, max_model_bytes: int, proxy: ProxiedFiles | None = None) -> None:
        """Cap the model file; `proxy` answers for `mlflow-artifacts:` addresses."""
        self._max_bytes = {MODEL_FILE: max_model_bytes, CARD_FILE: MAX_CARD_BYTES}
        self._proxy = proxy
        self._s3: Any = None

    def files(self, version: RegisteredVersion) -> ModelFiles:
        """The two files of a version.

        Raises:
            ModelRefusedError: a file is absent or too large, or its address cannot be read.
            RegistryUnreachableError: the store of the files does not answer.
        """
        # The card comes first: it is small, and without it the model is not worth fetching.
        card, model = (self._file(version.source, name) for name in (CARD_FILE, MODEL_FILE))
        return ModelFiles(model=model, card=card)

    def _file(self, source: str, name: str) -> bytes:
        limit = self._max_bytes[name]
        content = self._read(source, name, limit)
        if content is None:
            raise ModelRefusedError(
                RefusalReason.FORMAT,
                f"the version has no file {name}; a model is {MODEL_FILE} and {CARD_FILE}; "
                "register a version whose source is the folder of both",
            )
        if isinstance(content, int):
            raise ModelRefusedError(
                RefusalReason.SIZE,
                f"{name} has {content} bytes, {limit} are allowed; "
                "register a smaller model or raise MLOPS_API_MAX_MODEL_MB",
            )
        return content

    def _read(self, source: str, name: str, limit: int) -> bytes | int | None:
        """The content, or a size above the limit, or None for no such file."""
        parts = urlsplit(source)
        if parts.scheme in {"", "file"}:
            folder = unquote(parts.path) if parts.scheme else source
            return _from_disk(Path(folder) / name, limit)
        if parts.scheme in {"s3", "s3a"}:
            return self._from_s3(f"{parts.netloc}{parts.path.rstrip('/')}/{name}", limit)
        if parts.scheme == "mlflow-artifacts" and self._proxy is not None and not parts.netloc:
            path = quote(f"{unquote(parts.path).strip('/')}/{name}")
            return self._proxy.download(path, max_bytes=limit)
        raise ModelRefusedError(
            RefusalReason.FORMAT,
            f"the version's source has the scheme {parts.scheme}:, which this service does not "
            "read from its registry; use a folder, an s3:// address, or the mlflow-artifacts: "
            "store of the server that MLOPS_MLFLOW_TRACKING_URI names",
        )

    def _from_s3(self, path: str, limit: int) -> bytes | int | None:
        from pyarrow import fs

        try:
            if self._s3 is None:
                self._s3 = _s3_filesystem()
            info = self._s3.get_file_info(path)
            if info.type != fs.FileType.File:
                return None
            if info.size > limit:
                return int(info.size)
            with self._s3.open_input_stream(path) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RegistryUnreachableError(type(error).__name__) from error


def _from_disk(path: Path, limit: int) -> bytes | int | None:
    try:
        size = path.stat().st_size
        return size if size > limit else path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise RegistryUnreachableError(type(error).__name__) from error


def _s3_filesystem() -> Any:  # noqa: ANN401 - pyarrow has no types
    """The object store that MLflow's clients use too: MLFLOW_S3_ENDPOINT_URL and AWS_* name it."""
    from pyarrow import fs

    options: dict[str, Any] = {
        "connect_timeout": _S3_SECONDS,
        "request_timeout": _S3_SECONDS,
        # A store that is down is noticed within seconds; pyarrow's own retries take much longer.
        "retry_strategy": fs.AwsStandardS3RetryStrategy(max_attempts=2),
    }
    if endpoint := os.environ.get("MLFLOW_S3_ENDPOINT_URL"):
        parts = urlsplit(endpoint)
        options |= {"endpoint_override": parts.netloc, "scheme": parts.scheme}
        # A store of one's own has no region to look up.
        options["region"] = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
    return fs.S3FileSystem(**options)
