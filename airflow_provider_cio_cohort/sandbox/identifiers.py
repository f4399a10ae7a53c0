"""Reads the lists of identifiers in requests to both of Customer.io's APIs."""

from __future__ import annotations

from aiohttp import web

ID_TYPES = ("id", "email", "cio_id")
#: The number of identifiers in a request.
IDS = web.RequestKey("ids", int)


async def read_ids(request: web.Request, most: int) -> list[str] | None:
    """
    Return the ``ids`` of a request, ``None`` if they are invalid.

    :param request: the request; its body is ``{"ids": […]}``.
    """
    try:
        ids = (await request.json())["ids"]
    except (ValueError, KeyError, TypeError):
        return None
    if isinstance(ids, list):
        request[IDS] = len(ids)
    usable = isinstance(ids, list) and 1 <= len(ids) <= most and set(map(type, ids)) == {str}
    return ids if usable else None
