"""Which of the production assets a run of a replay materialises.

Raw assets never do: no source is called. Nor does the log of the API's answers: nobody asks a
replay.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import dagster as dg

from mlops_assets.ingestion.assets import raw_key
from mlops_assets.problem import ForecastProblem
from mlops_assets.replay.isolation import ReplayError

REFRESH: Final = ("observations", "features", "forecasts", "live_scores", "published")
"""What every step materialises: new rows come in, and the models that stand forecast from them."""

DRIFT_REPORT: Final = "drift_report"

ROLL_BACK: Final = ("champion", "forecasts", "published")
"""What follows an alarm of the champion's control."""

LOOK_BACK: Final = ("observations", "features", "forecasts", "live_scores")
"""What scores the last step: its models forecast until the next origin would be."""

_UP_TO_DATE: Final = ("observations", "features", "live_scores")
"""What a training finds done already in a step that has been refreshed."""

_NEVER: Final = ("prediction_log",)


class Selections:
    """The assets of one problem that a replay may run, and the parts of them that a run takes."""

    def __init__(
        self,
        definitions: dg.Definitions,
        problem: ForecastProblem,
        only: Sequence[str] | None,
        *,
        without: Sequence[str] = (),
    ) -> None:
        """See what there is.

        Args:
            definitions: of the problem.
            problem: whose assets count.
            only: names of the assets to run; None: all.
            without: names of assets that are left out; one that the problem does not have is no
                error, since there is nothing to leave out.

        Raises:
            ReplayError: a name is unknown, or one of a raw asset.
        """
        closed = {raw_key(problem.name, source) for source in problem.sources}
        closed |= {dg.AssetKey([problem.name, name]) for name in _NEVER}
        specs = definitions.resolve_all_asset_specs()
        keys = {s.key for s in specs if s.key.path[0] == problem.name} - closed
        self._keys = {key.path[-1]: key for key in sorted(keys)}
        self._keys = {name: key for name, key in self._keys.items() if name not in without}
        strange = sorted(set(only or ()) - set(self._keys))
        if strange:
            raise ReplayError(
                f"assets {', '.join(strange)} cannot be replayed; "
                f"choose from {', '.join(self._keys)}"
            )
        if only is not None:
            self._keys = {name: self._keys[name] for name in only}

    def everything(self) -> list[dg.AssetKey]:
        """All assets of the replay."""
        return list(self._keys.values())

    def refresh(self, *, drift: bool) -> list[dg.AssetKey]:
        """The assets of a step that only forecasts, with the drift report where it is due."""
        return self._named([*REFRESH, *([DRIFT_REPORT] if drift else [])])

    def training(self, *, drift: bool) -> list[dg.AssetKey]:
        """The assets of a step that fits the candidates for the first time."""
        return self._named(name for name in self._keys if drift or name != DRIFT_REPORT)

    def training_alone(self, *, drift: bool) -> list[dg.AssetKey]:
        """The assets of a training within a step that has been refreshed."""
        done = _UP_TO_DATE if drift else (*_UP_TO_DATE, DRIFT_REPORT)
        return self._named(name for name in self._keys if name not in done)

    def roll_back(self) -> list[dg.AssetKey]:
        """The assets of a look that an alarm asks for."""
        return self._named(ROLL_BACK)

    def look_back(self) -> list[dg.AssetKey]:
        """The assets of the look back at the last step.

        Raises:
            ReplayError: the replay leaves one of them out, so nothing can be scored.
        """
        absent = [name for name in LOOK_BACK if name not in self._keys]
        if absent:
            raise ReplayError(
                f"the replay leaves out {', '.join(absent)}; what came true is scored by "
                f"{', '.join(LOOK_BACK)}; add them to its assets, or do not look back"
            )
        return self._named(LOOK_BACK)

    def _named(self, names: Iterable[str]) -> list[dg.AssetKey]:
        return [self._keys[name] for name in names if name in self._keys]
