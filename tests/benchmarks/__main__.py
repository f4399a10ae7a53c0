"""
Runs the benchmarks one after another, and writes the page of what they found.

``make bench``, or ``python -m tests.benchmarks big_sync pace --quick``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from importlib.util import find_spec

from tests.benchmarks.page import BENCHMARKS
from tests.benchmarks.record import ROOT

#: Where ``--quick`` keeps its records and its page: small numbers are none for the docs.
QUICK = ROOT / ".demo" / "bench" / "performance"


def main() -> int:
    """Run what was asked for, each in a process of its own; say which one failed."""
    there = [name for name in BENCHMARKS if find_spec(f"tests.benchmarks.{name}")]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name", help=f"all by default: {', '.join(there)}")
    parser.add_argument("--quick", action="store_true", help=f"small ones, kept in {QUICK.relative_to(ROOT)}")
    options = parser.parse_args()
    if unknown := set(options.names).difference(there):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(there)}")
    environment = dict(os.environ)
    if options.quick:
        QUICK.mkdir(parents=True, exist_ok=True)
        environment["BENCH_RECORDS"] = str(QUICK)
    failed = []
    for name in options.names or there:
        print(f"--- {name}", flush=True)
        start = time.monotonic()
        command = [sys.executable, "-m", f"tests.benchmarks.{name}", *(["--quick"] if options.quick else [])]
        if subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode:
            failed.append(name)
        print(f"--- {name}: {time.monotonic() - start:.0f} s", flush=True)
    subprocess.run([sys.executable, "-m", "tests.benchmarks.page"], env=environment, cwd=ROOT, check=True)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
