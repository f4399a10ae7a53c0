"""
Writes the parameters in ``docs/operator.md`` from the models.

``python -m dev.operator_reference``, or ``make docs``.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from airflow_provider_cio_cohort.dag_generation.spec import Sync
from airflow_provider_cio_cohort.sync.parameters import (
    TEMPLATED,
    ExportParameters,
    SharedExportParameters,
    TaskParameters,
)

PAGE = Path(__file__).parents[1] / "docs" / "operator.md"
#: The model of each marker in the page.
MODELS: dict[str, type[ExportParameters]] = {
    "AmplitudeCohortToCustomerIOOperator": TaskParameters,
    "AmplitudeCohortExportOperator": SharedExportParameters,
}
_TABLE = re.compile(r"(<!-- parameters: (\w+) -->\n\n).*?(\n\n<!-- end -->)", re.DOTALL)
_UNBROKEN: dict[str, bool] = {"break_long_words": False, "break_on_hyphens": False}
#: Values in files and names of parameters, in the descriptions of the models.
_CODE = re.compile(
    r"`[^`]+`|[a-z0-9]+://[^\s,]+[^\s,.]|\[cio_cohort\] \w+"
    r"|\b(?:gp:)?[a-z]+(?:_[a-z]+)+\b|\bAmp\w+Operator\b"
)


def render(text: str) -> str:
    """
    Return the page with its tables generated from the models.

    :param text: the page.
    """
    return _TABLE.sub(lambda found: f"{found[1]}{_table(MODELS[found[2]])}{found[3]}", text)


def _table(model: type[ExportParameters]) -> str:
    """Return the parameters that the YAML has, too, as a list, and all others as a table."""
    fields = model.model_fields
    shared = [
        name
        for name, field in fields.items()
        if name in Sync.model_fields and name not in ("deferrable", "on_guard")  # these differ
    ]
    lines = [
        f"As [in the YAML](yaml.md#the-keys-of-a-sync): {', '.join(f'`{name}`' for name in shared)}.",
        "",
        "| parameter | default | |",
        "|---|---|---|",
    ]
    for name, field in fields.items():
        if name in shared:
            continue
        default = f"`{field.default!r}`".replace("'", "")
        if name == "deferrable":
            default = "Airflow's `[operators] default_deferrable`"
        words = _CODE.sub(
            lambda found: found[0] if found[0][0] == "`" else f"`{found[0]}`", str(field.description)
        )
        lines.append(f"| `{name}` | {default} | {words.removesuffix('.')} |")
    templated = [f"`{name}`" for name, field in fields.items() if TEMPLATED in field.metadata]
    lines += ["", f"Templated: {', '.join(templated)}."]
    return "\n".join(textwrap.fill(line, 120, **_UNBROKEN) if line[:1] != "|" else line for line in lines)


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
