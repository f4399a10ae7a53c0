"""
The process that is measured: ``python -m tests.benchmarks.child <module>``.

The module's ``prepare()`` imports and builds all that it needs, and returns the work; what that takes before
the work begins is what an empty process takes. ``--idle`` ends there.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.vendors import peak_mib


def main(name: str, modules: Path, idle: bool) -> None:
    """
    Do a module's work, and print what it took as one line of JSON.

    :param name: the module.
    :param modules: a file with the modules that the work was seen to import: they count as part of the empty
        process. It is written where it is not there yet.
    :param idle: do no work.
    """
    work = importlib.import_module(name).prepare()
    known = modules.read_text().split() if modules.exists() else []
    for module in known:
        importlib.import_module(module)
    before, began = _cpu(), time.monotonic()
    result: Any = None if idle else work()
    ended = time.monotonic()
    figures = {
        "began": began,
        "ended": ended,
        "seconds": ended - began,
        "cpu": _cpu() - before,
        "peak_mib": peak_mib(),
        "result": result,
    }
    if not known and not idle:
        loaded = (each for each, module in list(sys.modules.items()) if module and not each.startswith("__"))
        modules.write_text("\n".join(each for each in loaded if _imports(each)))
    print(json.dumps(figures))


def _imports(name: str) -> bool:
    spec = getattr(sys.modules[name], "__spec__", None)
    return spec is not None and spec.name == name


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), "--idle" in sys.argv)
