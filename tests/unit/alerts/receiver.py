"""A notifier that keeps what it is to send."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk import BaseNotifier

from airflow_provider_cio_cohort.alerts.rendering import Rendered

RECEIVER = f"{__name__}.Receiver"


class Receiver(BaseNotifier):
    """Keeps each message, or fails while its name is in ``down``."""

    got: list[Rendered] = []  # noqa: RUF012
    names: list[str] = []  # noqa: RUF012
    down: set[str] = set()  # noqa: RUF012

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self.name = name

    def notify(self, context: Any) -> None:
        """Keep the message, or fail."""
        if self.name in self.down:
            raise OSError("nobody listens")
        self.got.append(context["alert"])
        self.names.append(self.name)


@pytest.fixture
def receiver() -> Iterator[type[Receiver]]:
    """The notifier at :data:`RECEIVER`, which has got nothing yet."""
    with pytest.MonkeyPatch.context() as patch:
        for name, nothing in (("got", []), ("names", []), ("down", set())):
            patch.setattr(Receiver, name, nothing)
        yield Receiver
