"""A browser in front of the running Airflow, and where its pictures go."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Locator,
    Page,
    expect,
    sync_playwright,
)

from airflow_provider_cio_cohort.sandbox import Sandbox
from dev.airflow_instance import AirflowInstance
from tests.system.browser import chromium
from tests.system.browser.history import Past, make_past

Picture = Callable[[str, "Locator | Page"], None]
#: What the addresses of our own page, its style sheet and its scripts have in common.
OURS = "/cohort-syncs/"
#: A warning about the frame that Airflow shows every plugin in.
OF_AIRFLOWS_FRAME = "can escape its sandboxing"
PATIENCE = 30_000
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def executable() -> str:
    """The browser; without one there is nothing to do, but on CI that is a failure."""
    with sync_playwright() as playwright:
        path = chromium.find(playwright)
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(chromium.NONE)
    return path


# As long as Playwright lives, asyncio.run() of other tests does not work; so it ends with each file.
@pytest.fixture(scope="module")
def browser(executable: str) -> Iterator[Browser]:
    with sync_playwright() as playwright, chromium.launch(playwright, executable) as launched:
        yield launched


@pytest.fixture(scope="module")
def context(browser: Browser, airflow: AirflowInstance) -> Iterator[BrowserContext]:
    """One cache for all tests of a file: Airflow's UI is large."""
    with browser.new_context(base_url=airflow.url, locale="en-GB", timezone_id="UTC") as opened:
        opened.set_default_timeout(PATIENCE)
        opened.new_page()  # keeps its window open: otherwise each test's tab would open and close one
        yield opened


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A tab that knows where Airflow is; whatever goes wrong in our own page fails the test."""
    wrong: list[str] = []

    def note(message: ConsoleMessage) -> None:
        ours = OURS in message.location["url"] and OF_AIRFLOWS_FRAME not in message.text
        if message.type in ("error", "warning") and ours:
            wrong.append(message.text)

    def note_error(error: Error) -> None:
        if OURS in (error.stack or ""):
            wrong.append(str(error))

    with context.new_page() as opened:
        opened.set_viewport_size({"width": 1280, "height": 800})
        opened.on("console", note)
        opened.on("pageerror", note_error)
        yield opened
    assert not wrong


@pytest.fixture
def picture(tmp_path: Path) -> Picture:
    """Write a picture of what is shown, for the docs where ``$SCREENSHOTS`` says their directory."""
    directory = Path(os.environ.get("SCREENSHOTS") or tmp_path)
    directory.mkdir(parents=True, exist_ok=True)

    def take(name: str, shown: Locator | Page) -> None:
        path = directory / f"{name}.png"
        shown.screenshot(path=path, animations="disabled")
        assert path.stat().st_size > 5_000  # more than an empty page

    return take


@pytest.fixture(scope="session", autouse=True)
def making(executable: str, airflow: AirflowInstance, vendors: Sandbox) -> Iterator[Future[Past]]:
    """Make a past while the tests of the forms, which come first and need none, are run."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(make_past, airflow, vendors)


@pytest.fixture(scope="session")
def past(making: Future[Past]) -> Past:
    """Syncs that have run a few times, well and not so well."""
    return making.result()
