"""The checks of the docs find what is wrong: a page that says it is right would prove nothing otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import DOCS, Block
from tests.docs.test_blocks import CHECKERS

CONNECTION = '{"conn_type": "amplitude", "login": "a", "password": "b", "extra": {"regio": "eu"}}'
WRONG = {
    "no such command": ("bash", "airflow cohort-sync valdate dags/*.yaml"),
    "no such flag": ("bash", "airflow cohort-sync plan power_users --exakt"),
    "no such command of Airflow's own": ("bash", "airflow connection add x"),
    "behind a pipe": ("bash", "echo x | airflow cohort-sync nope"),
    "in another shell": ("bash", "sh -c 'airflow cohort-sync nope'"),
    "in a container": ("bash", "docker compose exec worker airflow cohort-sync nope"),
    "in a pod": ("bash", "kubectl exec deploy/x -- airflow cohort-sync nope"),
    "no such service": ("bash", "docker compose up wroker"),
    "no such target": ("bash", "make everything"),
    "no such variable of make": ("bash", "make test-matrix CELL=3.1/3.11"),
    "no such module": ("bash", "python -m airflow_provider_cio_cohort.sandboks"),
    "no such flag of a module": ("bash", "python -m airflow_provider_cio_cohort.sandbox --peeple 7"),
    "no such file": ("bash", "helm upgrade x y --values deploy/kubernetes/value.yaml"),
    "an unknown program": ("bash", "frobnicate"),
    "our name misspelt": ("bash", "pip install airflow-provider-cio-cohorts"),
    "an open quote": ("bash", "echo 'x"),
    "no such option": ("bash", "export AIRFLOW__CIO_COHORT__RETRY_BUGDET=1"),
    "no such section": ("bash", "AIRFLOW__CIO_COHORTS__RETRY_BUDGET=1 airflow info"),
    "one underscore": ("bash", "export AIRFLOW__CIO_COHORT_RETRY_BUDGET=1"),
    "no such connection field": ("bash", f"export AIRFLOW_CONN_X='{CONNECTION}'"),
    "no JSON in a command": ("bash", "airflow dags trigger x --conf '{dry_run: true}'"),
    "nothing is typed": ("console", "file | sync\n"),
    "typed wrongly": ("console", "$ airflow cohort-sync nope\nfine\n"),
    "no such key": ("yaml", "syncs:\n  - {name: a, cohort_id: b, segment_id: 1, cadense: daily}"),
    "no such key in a part": ("yaml", "cadense: daily"),
    "a wrong value in a part": ("yaml", "cadence: dayly"),
    "a wrong key of an alert": ("yaml", "alerts:\n  - {notifier: airflow.providers.http.x.Y, onn: [stale]}"),
    "a workflow that runs what is not there": (
        "yaml",
        "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: airflow cohort-sync nope",
    ),
    "no such option in the values": ("yaml", "config:\n  secrets:\n    backends: x"),
    "a DAG that cannot be imported": ("python", "from airflow.sdk import DAG\n\nDAG(dag_id='a b')"),
    "no such parameter": (
        "python",
        "from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook\n\nAmplitudeHook(conn_id='x')",
    ),
    "no such method": (
        "python",
        "from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook\n\n"
        "hook = AmplitudeHook()\nhook.cohorts()",
    ),
    "no such parameter of a method": (
        "python",
        "from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook\n\n"
        "hook = CustomerIOHook()\nhook.add_members(17, [], kind='id')",
    ),
    "no such name": (
        "python",
        "from airflow_provider_cio_cohort.exceptions import NoError  # noqa: F401",
    ),
    "an unknown name": ("python", "print(x)"),
    "no JSON": ("json", "{'a': 1}"),
    "no such class": ("json", '[{"classpath": "airflow.dag_processing.bundles.local.NoBundle"}]'),
    "no such option in the configuration": ("ini", "[core]\nload_exampels = False"),
    "no TOML": ("toml", "a = b"),
    "a variable that is none": ("dotenv", "AIRFLOW__CORE__LOAD_EXAMPELS=False"),
    "no instruction": ("dockerfile", "FROM x\nRUNN pip install y"),
    "no diagram": ("mermaid", "flowchat LR"),
    "a command as text": ("text", "$ airflow cohort-sync status"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_found(name: str, tmp_path: Path) -> None:
    language, text = WRONG[name]
    block = Block(DOCS / "cli.md", 1, language, text + "\n")
    with pytest.raises(Exception) as caught:  # noqa: PT011 (whatever the reader of that language raises)
        CHECKERS[language](block, tmp_path)
    assert not isinstance(caught.value, (KeyError, AttributeError, IndexError))
