"""
Writes the tables of parameters in ``docs/operator.md`` from the models.

``python -m dev.operator_reference``, or ``make docs``.
"""

from __future__ import annotations

import re
from pathlib import Path

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
    lines = ["| parameter | default | |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        if field.is_required():
            default = "required"
        elif name == "deferrable":
            default = "Airflow's `[operators] default_deferrable`"
        else:
            default = f"`{field.default!r}`".replace("'", "")
        templated = "; templated" if TEMPLATED in field.metadata else ""
        words = _CODE.sub(
            lambda found: found[0] if found[0][0] == "`" else f"`{found[0]}`", str(field.description)
        )
        lines.append(f"| `{name}` | {default} | {words.removesuffix('.')}{templated} |")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
