"""`python -m serving`: run the service with the settings of this process."""

from __future__ import annotations

import sys

import uvicorn

from serving.app import create_app
from serving.settings import ServingSettingsError, load_serving_settings


def main() -> int:
    """Serve until interrupted; returns the exit status."""
    try:
        settings = load_serving_settings()
    except ServingSettingsError as error:
        print(error, file=sys.stderr)
        return 2
    uvicorn.run(create_app(settings), host=settings.host, port=settings.api_port)
    return 0


if __name__ == "__main__":
    sys.exit(main())
