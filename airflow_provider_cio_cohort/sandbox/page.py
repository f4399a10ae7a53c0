"""The page that shows the sandbox's data: names and counts, but no people and no keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0; opacity: .8; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .7rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { background: var(--soft); font-weight: 600; }
td { overflow-wrap: anywhere; }
.short { width: 5rem; overflow-wrap: normal; }
.number { width: 5rem; overflow-wrap: normal; text-align: right; font-variant-numeric: tabular-nums; }
.name { width: 18rem; }
"""
#: The CSS classes of columns.
CLASSES = {"id": "short", "type": "short", "members": "number", "size": "number", "name": "name"}
#: The vendors' APIs, to show those without requests as well.
APIS = ("amplitude", "storage", "track", "app")


def render(state: dict[str, Any]) -> str:
    """
    Return the page.

    :param state: the response of ``GET /state``.
    """
    segments = [
        (s["id"], s["name"], s["type"], s["members"], s["description"])
        for workspace in state["workspaces"]
        for s in workspace["segments"]
    ]
    cohorts = [
        (
            c["id"],
            c["name"],
            "" if c["size"] is None else c["size"],
            ", ".join(_remarks(c)),
        )
        for project in state["projects"]
        for c in project["cohorts"]
    ]
    quota = ", ".join(f"{p['used']} of {p['limit']} exports used" for p in state["projects"])
    people = ", ".join(f"{w['people']:,} people" for w in state["workspaces"])
    requests = ", ".join(f"{state['requests'].get(api, 0):,} {api}" for api in APIS)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sandbox: Amplitude and Customer.io</title>
<meta http-equiv="refresh" content="3"><meta name="viewport" content="width=device-width">
<style>{STYLE}</style></head><body>
<h1>Sandbox</h1>
<p>Amplitude and Customer.io on this machine, with made-up people. Refreshed every three seconds.</p>
<h2>Customer.io segments</h2><p>{people}</p>
{_table(("id", "name", "type", "members", "description"), segments)}
<h2>Amplitude cohorts</h2><p>{quota} this month</p>
{_table(("id", "name", "size", "remark"), cohorts)}
<h2>Requests so far</h2><p>{requests}</p>
</body></html>"""


def _remarks(cohort: dict[str, Any]) -> Iterable[str]:
    if cohort["archived"]:
        yield "archived"
    if cohort["group"] != "User":
        yield f"of groups: {cohort['group']}"
    if cohort["size"] is None:
        yield "never computed"


def _table(titles: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    classes = [CLASSES.get(title, "") for title in titles]
    head = "".join(_cell("th", title, kind) for title, kind in zip(titles, classes, strict=True))
    body = "".join(
        f"<tr>{''.join(_cell('td', value, kind) for value, kind in zip(row, classes, strict=True))}</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(tag: str, value: object, kind: str) -> str:
    text = f"{value:,}" if kind == "number" and isinstance(value, int) else str(value)
    return f'<{tag} class="{kind}">{escape(text)}</{tag}>'
