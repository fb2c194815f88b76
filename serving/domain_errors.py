"""What can go wrong while answering, said without HTTP.

Here: the errors that services raise and the refusals of models and snapshots. Not here: status
codes and the body that a caller sees (`errors`).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar


class ServingError(Exception):
    """A request that cannot be answered, with the value, the rule it breaks and the remedy."""

    code: ClassVar[str]
    title: ClassVar[str]

    def __init__(
        self, *, rule: str, remedy: str, value: str | None = None, known: Sequence[str] = ()
    ) -> None:
        """Describe the fault; `known` lists what would have been accepted."""
        self.value = value
        self.rule = rule
        self.remedy = remedy
        self.known = tuple(known)
        said = "" if value is None else f"{value}: "
        super().__init__(f"{said}{rule}; {remedy}")


class UnknownNameError(ServingError):
    """A problem, series or origin that is not published."""

    code = "unknown-name"
    title = "There is nothing of that name"


class UnusableInputError(ServingError):
    """An input that is understood, but cannot give a forecast."""

    code = "unusable-input"
    title = "The input cannot be used"


class NotReadyError(ServingError):
    """Nothing is published or promoted that could answer."""

    code = "not-ready"
    title = "No forecast can be served yet"


class NotLoggedError(ServingError):
    """A forecast that could be computed, but not be written down."""

    code = "not-logged"
    title = "The forecast cannot be logged"


class KeyNeededError(ServingError):
    """A request without an API key that is in force, where one is needed."""

    code = "key-needed"
    title = "An API key is needed"


class NotAllowedError(ServingError):
    """A request whose API key does not allow the operation."""

    code = "not-allowed"
    title = "The API key does not allow this"


class RateExceededError(ServingError):
    """More requests under one API key than it may send."""

    code = "rate-exceeded"
    title = "Too many requests"

    def __init__(self, *, rule: str, remedy: str, value: str, wait_seconds: float) -> None:
        """Describe the fault; the next request may come after `wait_seconds`."""
        super().__init__(rule=rule, remedy=remedy, value=value)
        self.wait_seconds = wait_seconds


class LargeHeadError(ServingError):
    """More headers, or a longer address, than any request needs."""

    code = "large-head"
    title = "Address and headers are too large"


class SlowRequestError(ServingError):
    """A body that did not arrive in time."""

    code = "slow-request"
    title = "The request took too long to arrive"


class TimeIsUpError(ServingError):
    """An answer that could not be computed in time."""

    code = "timeout"
    title = "The answer took too long"


class RefusalReason(StrEnum):
    """Why a model was refused; a label of the metric that counts refusals."""

    TAGS = "tags"
    SIZE = "size"
    CHECKSUM = "checksum"
    CARD = "card"
    CONTRACT = "contract"
    FORMAT = "format"
    EXTERNAL_DATA = "external_data"
    OPERATOR_DOMAIN = "operator_domain"
    SIGNATURE = "signature"
    WARM_UP = "warm_up"


class ModelRefusedError(Exception):
    """A model file or card that must not take traffic; the message names value, rule, remedy."""

    def __init__(self, reason: RefusalReason, message: str) -> None:
        """Name the reason, and say it in words that are fit for a public health page."""
        self.reason = reason
        super().__init__(message)


class SnapshotRefusedError(Exception):
    """A snapshot that must not be served; the message names value, rule and remedy."""


class StorageUnreachableError(Exception):
    """The storage of snapshots does not answer."""


class RegistryUnreachableError(Exception):
    """The model registry, or the store of its files, does not answer."""
