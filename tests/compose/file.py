"""What ``docker-compose.yaml`` and ``Dockerfile`` say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PATH = ROOT / "docker-compose.yaml"
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(PATH.read_text(encoding="utf-8"))["services"]
#: Those that run from our image.
OURS = [name for name, service in SERVICES.items() if "build" in service]
(PYTHON_IMAGE,) = re.findall(r"^ARG PYTHON_IMAGE=(.*)$", DOCKERFILE, re.MULTILINE)
#: The images that are not ours.
BASES = sorted({PYTHON_IMAGE, *(SERVICES[name]["image"] for name in SERVICES if name not in OURS)})
