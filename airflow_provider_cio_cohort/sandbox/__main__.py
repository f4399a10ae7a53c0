"""``python -m airflow_provider_cio_cohort.sandbox``: serve both vendors until Ctrl-C."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading

from airflow_provider_cio_cohort.sandbox.server import SERVERS, Sandbox


def main() -> int:
    """Serve, and print the connections that use the sandbox."""
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_cio_cohort.sandbox", description=__doc__
    )
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address (default: %(default)s)")
    parser.add_argument(
        "--container-network",
        action="store_true",
        help="let --host be a name or private address of this container, for the containers beside it",
    )
    parser.add_argument(
        "--port", type=int, default=9700, help="the first of eight ports; 0 for any free ones"
    )
    parser.add_argument("--people", type=int, default=12_000, help="made-up people (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="the same people for the same seed")
    parser.add_argument(
        "--export-seconds", type=float, default=2, help="how long Amplitude computes an export"
    )
    parser.add_argument("--latency-ms", type=float, default=0, help="added to every response")
    options = vars(parser.parse_args())
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with Sandbox(**options) as sandbox:
            _tell(sandbox)
            stop.wait()
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _tell(sandbox: Sandbox) -> None:
    lines = [f"  {name:<13} {sandbox.urls[name]}" for name in SERVERS]
    exports = [
        f"export AIRFLOW_CONN_{conn_id.upper()}='{json.dumps(connection)}'"
        for conn_id, connection in sandbox.connections().items()
    ]
    words = [
        "Amplitude and Customer.io on this machine, with made-up people; Ctrl-C ends it.",
        "",
        *lines,
        "",
        f"The page: {sandbox.urls['control']}   The keys work in the sandbox only:",
        "",
        *exports,
    ]
    print("\n".join(words), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
