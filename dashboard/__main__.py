"""`python -m dashboard`: becomes the Streamlit process that serves the pages.

Here: how Streamlit is started. Not here: the pages (`app`).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dashboard.settings import DashboardSettings, DashboardSettingsError, load_dashboard_settings


def command(settings: DashboardSettings) -> list[str]:
    """The command that serves the pages; nothing in it reaches beyond this machine."""
    options = {
        "server.address": settings.host,
        "server.port": settings.dashboard_port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "viewer",
        "runner.magicEnabled": "false",
        "global.developmentMode": "false",
    }
    script = Path(__file__).with_name("app.py")
    flags = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "streamlit", "run", str(script), *flags]


def main() -> None:
    """Replace this process by Streamlit's, so that a signal to it ends the pages."""
    try:
        settings = load_dashboard_settings()
    except DashboardSettingsError as error:
        sys.exit(str(error))
    called = command(settings)
    # Streamlit puts the script's own folder first on the path; the package is found above it.
    root = str(Path(__file__).resolve().parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    os.execve(called[0], called, {**os.environ, "PYTHONPATH": os.pathsep.join(paths)})


if __name__ == "__main__":
    main()
