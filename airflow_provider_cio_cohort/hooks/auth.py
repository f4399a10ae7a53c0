"""Who a request says it is from."""

from __future__ import annotations

from requests import PreparedRequest
from requests.auth import AuthBase


class NoAuth(AuthBase):
    """Sends no credentials, not even those that ``requests`` would find in a netrc file."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Leave ``request`` as it is."""
        return request


class BearerAuth(AuthBase):
    """
    Sends a bearer token.

    :param token: the token.
    """

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the header to ``request``."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request
