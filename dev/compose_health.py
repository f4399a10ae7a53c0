"""The HTTP health checks of ``docker-compose.yaml``, which are cheap enough to run often."""

from __future__ import annotations

import json
import sys
import urllib.request


def main(url: str, part: str = "") -> int:
    """
    Check a URL; return the exit code for Docker.

    :param url: must respond with a status below 400 within 8 seconds.
    :param part: a part of Airflow that must be healthy according to the response.
    """
    try:
        with urllib.request.urlopen(url, timeout=8) as answer:
            told = json.load(answer)[part] if part else {"status": "healthy"}
    except (OSError, ValueError) as error:
        print(f"{url}: {error}")
        return 1
    if told["status"] != "healthy":
        print(f"{part}: {told}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
