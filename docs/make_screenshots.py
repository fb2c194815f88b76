"""`make screenshots`: pictures of the running pages, for README.

Run it beside `mlops up`. Here: which pages, in which size, and where the pictures go. Not here: the
pages. A page whose service does not answer ends the script by name.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dashboard.settings import load_dashboard_settings
from mlops_assets.settings import load_settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FOLDER: Final = Path(__file__).with_name("images")
CHROMIUM: Final = "/usr/bin/chromium"
FLAGS: Final = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update",
                "--disable-sync"]  # fmt: skip
LAPTOP: Final = (1366, 1000)
PHONE: Final = (390, 844)
PATIENCE_MS: Final = 60_000
_DRAWN: Final = (
    "document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"
    " && !document.querySelector('[data-testid=stSkeleton]')"
)


def main() -> None:
    """Take every picture."""
    from playwright.sync_api import Error, sync_playwright

    pages, dagster = load_dashboard_settings(), load_settings().dagster_page
    address = f"{pages.api_page.rpartition(':')[0]}:{pages.dashboard_port}"
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            for name, path in {"market": "", **{n: n for n in _OTHERS}}.items():
                _shoot(browser, f"{address}/{path}", f"dashboard-{name}")
            _shoot(browser, address, "dashboard-market-dark", dark=True)
            _shoot(browser, address, "dashboard-market-phone", size=PHONE)
            _shoot(browser, address, "dashboard-market-korean", locale="ko-KR")
            _shoot(browser, f"{dagster}/asset-groups/", "dagster-lineage", streamlit=False)
        except Error as error:
            sys.exit(f"{error.message}\nStart the services with `mlops up`, then try again")
        finally:
            browser.close()


_OTHERS: Final = ("search", "models", "live", "replay")


def _shoot(
    browser: Browser,
    address: str,
    name: str,
    *,
    size: tuple[int, int] = LAPTOP,
    dark: bool = False,
    locale: str = "en-US",
    streamlit: bool = True,
) -> None:
    """One picture of a page, once it is drawn."""
    page = browser.new_page(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        locale=locale,
    )
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    if streamlit:
        page.get_by_role("heading", level=1).wait_for()
        page.wait_for_function(_DRAWN)
    page.wait_for_load_state("networkidle")
    page.screenshot(path=FOLDER / f"{name}.png")
    page.close()
    print(FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
