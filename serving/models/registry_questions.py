"""Questions to the registry from a request: off the event loop, and never without an answer.

Here: the name of a problem's registered model, and a call of the registry in a thread. Not here:
the registry itself (`registry`), nor the models that are held ready (`model_store`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from serving.deployments import Deployments
from serving.domain_errors import NotReadyError, RegistryUnreachableError, UnknownNameError
from serving.registry.reader import RegisteredModel, Registry, VersionDescription

P = ParamSpec("P")
R = TypeVar("R")

_SHOWN_VERSIONS = 10


async def ask(question: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Ask the registry in a thread.

    Raises:
        NotReadyError: the registry does not answer.
    """
    try:
        return await asyncio.to_thread(question, *args, **kwargs)
    except RegistryUnreachableError as error:
        raise NotReadyError(
            value="the model registry",
            rule=f"it must answer ({error})",
            remedy="ask again in a few seconds; forecasts go on meanwhile with the models that "
            "are held; operators find the cause in /health",
        ) from error


def registered_name(deployments: Deployments, problem: str) -> str:
    """The registered model of a problem.

    Raises:
        UnknownNameError: nothing is published under that name, but under others.
        NotReadyError: nothing is published at all.
    """
    snapshot = deployments.newest_snapshot(problem)
    if snapshot is None:
        return deployments.serving(problem).model.registered.name
    return snapshot.manifest.registered_model


async def ask_model(registry: Registry, name: str) -> RegisteredModel:
    """A registered model with its aliases and tags, as they are now.

    Raises:
        UnknownNameError: there is none of that name.
        NotReadyError: the registry does not answer.
    """
    found = await ask(registry.model, name)
    if found is None:
        raise UnknownNameError(
            value=f"registered model {name}",
            rule="it must be in the registry",
            remedy="materialise the problem's model assets, for example with `mlops run`",
        )
    return found


def version_of(versions: list[VersionDescription], number: str) -> VersionDescription:
    """The version of that number.

    Raises:
        UnknownNameError: there is none.
    """
    for version in versions:
        if version.version == number:
            return version
    raise UnknownNameError(
        value=f"version {number[:20]}",
        rule=f"it must be one of the {len(versions)} registered versions",
        remedy="use a known version",
        known=[version.version for version in versions[:_SHOWN_VERSIONS]],
    )
