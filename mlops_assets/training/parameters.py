"""Checked parameters: what a family takes, read from a candidate's `params`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mlops_assets.problem import ProblemError

_P = TypeVar("_P", bound="Parameters")


class Parameters(BaseModel):
    """Base of a family's parameters: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def read(cls: type[_P], family: str, params: Mapping[str, Any]) -> _P:
        """Check `params`.

        Raises:
            ProblemError: a key is unknown, missing or out of range; the message names it.
        """
        try:
            return cls.model_validate(dict(params))
        except ValidationError as error:
            faults = "; ".join(
                f"params.{'.'.join(str(p) for p in f['loc'])}: {f['msg']}" for f in error.errors()
            )
            raise ProblemError(
                f"family {family!r}: {faults}; it takes {', '.join(cls.model_fields) or 'none'}"
            ) from error
