"""Finds the browser that the tests drive."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from playwright.sync_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NONE = (
    f"no Chromium: install it, or name one in $CHROMIUM (looked for {', '.join(NAMES)} and Playwright's own)"
)


def find(playwright: Playwright) -> str | None:
    """Return the path of the browser; ``None`` if there is none."""
    installed = (shutil.which(name) for name in NAMES)
    found = os.environ.get("CHROMIUM") or next(filter(None, installed), None)
    if found:
        return found
    own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def launch(playwright: Playwright, path: str) -> Browser:
    """Start the browser without a window."""
    # Its own sandbox does not work for root, who runs the tests in a container.
    as_root = ("--no-sandbox",) if os.geteuid() == 0 else ()
    return playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS, *as_root])
