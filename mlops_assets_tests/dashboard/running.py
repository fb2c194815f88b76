"""Runs the dashboard in tests: the real Streamlit process, a real browser, and an API to switch."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx
import pytest

from mlops_assets_tests.serving.running import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

CHROMIUM: Final = "/usr/bin/chromium"
CHROMIUM_FLAGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS: Final = 20_000
"""Longest wait for something on a page: this machine may be busy."""

LAPTOP: Final = (1366, 900)
PHONE: Final = (390, 844)


def free_port() -> int:
    """A port that nothing listens on now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def dashboard(folder: Path, *, api_port: int, **settings: str) -> Iterator[str]:
    """The address of a dashboard of the API at a port; `settings` are further variables."""
    port = free_port()
    environment = {
        **os.environ,
        "MLOPS_HOST": "127.0.0.1",
        "MLOPS_API_PORT": str(api_port),
        "MLOPS_DASHBOARD_PORT": str(port),
        **settings,
    }
    log = folder / f"dashboard-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "dashboard"],
            cwd=folder,
            env={**environment, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        address = f"http://127.0.0.1:{port}"
        try:
            until(lambda: process.poll() is not None or _is_up(address), what="the pages answer")
            assert process.poll() is None, log.read_text(encoding="utf-8")
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's browser, which asks nothing of the world by itself; skips where it is absent."""
    if not Path(CHROMIUM).exists():
        pytest.skip(f"{CHROMIUM} is not installed; it is in the Debian package chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@contextmanager
def reader(
    browser: Browser,
    *,
    size: tuple[int, int] = LAPTOP,
    dark: bool = False,
    locale: str = "en-US",
) -> Iterator[Page]:
    """A page of a reader of one's own.

    Raises:
        AssertionError: a request left this machine.
    """
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        locale=locale,
    )
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    page.on("request", note)
    yield page
    context.close()
    outside = [url for url in asked if _leaves(url)]
    assert asked, "no request was seen, so that none could be judged"
    assert not outside, outside


@dataclass
class SwitchedApi:
    """An API without problems that answers at once, or only when it is let go."""

    port: int
    go: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)


@contextmanager
def switched_api(port: int) -> Iterator[SwitchedApi]:
    """Listen on a port; every answer waits for `go`."""
    held = SwitchedApi(port)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            held.asked.set()
            held.go.wait(60)
            body = b'{"problems": []}'
            try:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                self.close_connection = True  # the client has given up

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield held
        finally:
            held.go.set()
            server.shutdown()
            thread.join()


def _is_up(address: str) -> bool:
    try:
        return httpx.get(f"{address}/_stcore/health", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _leaves(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in {"http", "https", "ws", "wss"} and parts.hostname != "127.0.0.1"
