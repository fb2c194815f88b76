"""A run that is killed in the middle of a write: a script for a process of its own.

Arguments: the folder of a home, the YAML file, the method of `TableStore` and the table whose write
is cut short. The kill comes from a timer while the write goes on, or right after it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from mlops_assets.problem import load_problem
from mlops_assets.settings import Settings
from mlops_assets.storage.tables import TableStore
from mlops_assets_tests.end_to_end.problem_alone import run_alone

_MIDDLE_SECONDS = 0.002


def kill_within(method: str, table: str) -> None:
    """Kill this process during the next call of a method of `TableStore` on a table."""
    whole = getattr(TableStore, method)

    def cut_short(self: TableStore, name: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if name != table:
            return whole(self, name, *args, **kwargs)
        kill = threading.Timer(_MIDDLE_SECONDS, os.kill, [os.getpid(), signal.SIGKILL])
        kill.start()
        whole(self, name, *args, **kwargs)
        kill.join()
        raise AssertionError("the process should be dead")

    setattr(TableStore, method, cut_short)


if __name__ == "__main__":
    folder, yaml, method, table = sys.argv[1:]
    kill_within(method, table)
    settings = Settings(data="files", data_dir=Path(folder) / "data", home=Path(folder) / "home")
    run_alone(settings, load_problem(Path(yaml)).name, Path(yaml))
