"""``make compose-env``: writes ``.env`` for ``docker-compose.yaml``, with new secrets."""

from __future__ import annotations

import base64
import os
import re
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def password() -> str:
    """Return 32 random bytes in hexadecimal: letters and digits alone, so that it can stand in an address."""
    return secrets.token_hex(32)


def fernet_key() -> str:
    """Return a Fernet key: 32 random bytes in URL-safe base64 (github.com/fernet/spec)."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


#: What docker-compose.yaml does not start without.
SECRETS: dict[str, Callable[[], str]] = {
    "FERNET_KEY": fernet_key,
    "JWT_SECRET": password,
    "API_SECRET_KEY": password,
    "POSTGRES_PASSWORD": password,
    "REDIS_PASSWORD": password,
    "ADMIN_PASSWORD": password,
}

TEMPLATE = """\
# The secrets of docker-compose.yaml. Keep this file to yourself, and a copy of it with your back-ups:
# without FERNET_KEY the connections in the database cannot be read any more.

# Encrypts the connections in the database.
FERNET_KEY={FERNET_KEY}
# Sign what the components and the browsers show to the API server.
JWT_SECRET={JWT_SECRET}
API_SECRET_KEY={API_SECRET_KEY}
# Letters and digits only: they become parts of addresses. PostgreSQL takes its own at the very first start.
POSTGRES_PASSWORD={POSTGRES_PASSWORD}
REDIS_PASSWORD={REDIS_PASSWORD}
# Of the user `admin`, who is made at the first start; change it in Airflow's UI.
ADMIN_PASSWORD={ADMIN_PASSWORD}

# The connections amplitude_default and customer_io_default. They are written into the database, encrypted,
# at each `docker compose up`; none is while its keys are empty. Values with $ or # go into single quotes.
AMPLITUDE_API_KEY=
AMPLITUDE_SECRET_KEY=
AMPLITUDE_REGION=us
CUSTOMER_IO_SITE_ID=
CUSTOMER_IO_TRACKING_API_KEY=
CUSTOMER_IO_APP_API_KEY=
CUSTOMER_IO_REGION=us

# Further connections, as Airflow reads them from the environment; this one is called amplitude_b:
# AIRFLOW_CONN_AMPLITUDE_B='{{"conn_type": "amplitude", "login": "", "password": "", "extra": {{}}}}'

# Where Airflow's UI and the sandbox's page are found, on this machine alone; and the address of the UI as
# others know it, for the links in alerts.
AIRFLOW_PORT=8080
AIRFLOW_URL=http://localhost:8080
SANDBOX_PORT=9700
# Tasks that one worker runs at once.
WORKER_CONCURRENCY=4
"""


def write(path: Path) -> None:
    """
    Write the file with new secrets, readable by its owner alone.

    :param path: where.
    :raises FileExistsError: if there is something already.
    """
    text = TEMPLATE.format(**{name: make() for name, make in SECRETS.items()})
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def missing(path: Path) -> list[str]:
    """Return which secrets a file does not give a value."""
    given = set(re.findall(r"^(\w+)=.", path.read_text(encoding="utf-8"), re.MULTILINE))
    return [name for name in SECRETS if name not in given]


def main(path: Path = ROOT / ".env") -> int:
    """Write the file; return what the shell is to be told."""
    try:
        write(path)
    except FileExistsError:
        if lacking := missing(path):
            print(f"{path.name} exists and is left as it is, but has no value for {', '.join(lacking)}.")
            return 1
        print(f"{path.name} exists and is left as it is.")
        return 0
    print(f"{path.name} is written, with new secrets. The keys of Amplitude and Customer.io go there too.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
