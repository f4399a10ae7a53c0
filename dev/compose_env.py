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
    """Return 32 random bytes in hexadecimal: only letters and digits, so that it can be part of a URL."""
    return secrets.token_hex(32)


def fernet_key() -> str:
    """Return a Fernet key: 32 random bytes in URL-safe base64 (github.com/fernet/spec)."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


#: The secrets that docker-compose.yaml requires.
SECRETS: dict[str, Callable[[], str]] = {
    "FERNET_KEY": fernet_key,
    "JWT_SECRET": password,
    "API_SECRET_KEY": password,
    "POSTGRES_PASSWORD": password,
    "REDIS_PASSWORD": password,
    "ADMIN_PASSWORD": password,
}

TEMPLATE = """\
# The secrets of docker-compose.yaml. Keep this file secret, and keep a copy with your backups:
# without FERNET_KEY the connections in the database can no longer be read.

# Encrypts the connections in the database.
FERNET_KEY={FERNET_KEY}
# Sign the tokens that components and browsers send to the API server.
JWT_SECRET={JWT_SECRET}
API_SECRET_KEY={API_SECRET_KEY}
# Letters and digits only, because they are parts of URLs. PostgreSQL stores its password at the first start.
POSTGRES_PASSWORD={POSTGRES_PASSWORD}
REDIS_PASSWORD={REDIS_PASSWORD}
# The password of the user `admin`, created at the first start; change it in Airflow's UI.
ADMIN_PASSWORD={ADMIN_PASSWORD}

# The connections amplitude_default and customer_io_default. They are written to the database, encrypted, at
# each `docker compose up`, unless their keys are empty. Put values with $ or # in single quotes. A region is
# europe, or empty for the United States.
AMPLITUDE_API_KEY=
AMPLITUDE_SECRET_KEY=
AMPLITUDE_REGION=
CUSTOMER_IO_SITE_ID=
CUSTOMER_IO_TRACKING_API_KEY=
CUSTOMER_IO_APP_API_KEY=
CUSTOMER_IO_REGION=

# Further connections, in Airflow's format for environment variables; this one is amplitude_b:
# AIRFLOW_CONN_AMPLITUDE_B='{{"conn_type": "amplitude", "login": "", "password": "", "extra": {{}}}}'

# The ports of Airflow's UI and the sandbox's page, on this machine only; and the public URL of the UI, for
# the links in alerts.
AIRFLOW_PORT=8080
AIRFLOW_URL=http://localhost:8080
SANDBOX_PORT=9700
# Concurrent tasks of each worker.
WORKER_CONCURRENCY=4
"""


def write(path: Path) -> None:
    """
    Write the file with new secrets, readable only by its owner.

    :param path: the path of the file.
    :raises FileExistsError: if it exists already.
    """
    text = TEMPLATE.format(**{name: make() for name, make in SECRETS.items()})
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def missing(path: Path) -> list[str]:
    """Return the secrets that have no value in a file."""
    given = set(re.findall(r"^(\w+)=.", path.read_text(encoding="utf-8"), re.MULTILINE))
    return [name for name in SECRETS if name not in given]


def main(path: Path = ROOT / ".env") -> int:
    """Write the file; return the exit code."""
    try:
        write(path)
    except FileExistsError:
        if lacking := missing(path):
            print(f"{path.name} exists and was left unchanged, but has no value for {', '.join(lacking)}.")
            return 1
        print(f"{path.name} exists and was left unchanged.")
        return 0
    print(f"Wrote {path.name} with new secrets. Add the keys of Amplitude and Customer.io there.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
