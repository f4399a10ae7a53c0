"""The health checks of ``docker-compose.yaml`` over HTTP: cheap enough to be made often."""

from __future__ import annotations

import json
import sys
import urllib.request


def main(url: str, part: str = "") -> int:
    """
    Ask an address; return what Docker is to be told.

    :param url: must answer with a status below 400, in 8 seconds.
    :param part: a part of Airflow that the answer must call healthy.
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
