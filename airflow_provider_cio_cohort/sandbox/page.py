"""The page that shows what the sandbox holds: names and counts, no person and no key."""

from __future__ import annotations

from collections.abc import Iterable
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
td.number { text-align: right; font-variant-numeric: tabular-nums; }
"""


def render(state: dict[str, Any]) -> str:
    """
    Return the page.

    :param state: what ``GET /state`` tells.
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
            "unknown" if c["size"] is None else c["size"],
            "archived" if c["archived"] else "",
        )
        for project in state["projects"]
        for c in project["cohorts"]
    ]
    quota = ", ".join(f"{p['used']} of {p['limit']} exports used" for p in state["projects"])
    people = ", ".join(f"{w['people']:,} people" for w in state["workspaces"])
    requests = sorted(state["requests"].items())
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sandbox: Amplitude and Customer.io</title>
<meta http-equiv="refresh" content="3"><meta name="viewport" content="width=device-width">
<style>{STYLE}</style></head><body>
<h1>Sandbox</h1>
<p>Amplitude and Customer.io on this machine, with made-up people. Renewed every three seconds.</p>
<h2>Customer.io segments</h2><p>{people}</p>
{_table(("id", "name", "type", "members", "description"), segments)}
<h2>Amplitude cohorts</h2><p>{quota} this month</p>
{_table(("id", "name", "size", ""), cohorts)}
<h2>Requests so far</h2>
{_table(("API", "requests"), requests)}
</body></html>"""


def _table(titles: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f'<td class="number">{value:,}</td>'
    return f"<td>{escape(str(value))}</td>"
