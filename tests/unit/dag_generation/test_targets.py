"""Several segments that share one export, and changes that somebody approves."""

from __future__ import annotations

from copy import copy
from datetime import timedelta

import pytest
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_cio_cohort.operators.amplitude import AmplitudeCohortExportOperator
from airflow_provider_cio_cohort.operators.approval import ApproveChangeOperator

TWO = """
defaults: {segment_name: Nowhere, cadence: hourly}
syncs:
- name: both
  cohort_id: a1b2c3d
  user_id_property: customer_id
  max_removal_percent: 20
  targets:
  - {name: eu, segment_name: Power users, customer_io_conn_id: customer_io_eu}
  - {name: mail, segment_id: 7, user_id_property: email, id_type: email, mode: add_only}
"""


def test_each_target_is_a_task_beside_the_others_behind_one_export(dags_of) -> None:
    dag = dags_of(TWO)["cohort_sync__both"]
    assert set(dag.task_ids) == {"export", "sync__eu", "sync__mail"}
    export = dag.get_task("export")
    assert isinstance(export, AmplitudeCohortExportOperator)
    assert export.downstream_task_ids == {"sync__eu", "sync__mail"}
    assert export.properties == ["customer_id", "email"]
    assert all(task.max_active_tis_per_dag == 1 for task in dag.tasks)
    eu, mail = dag.get_task("sync__eu"), dag.get_task("sync__mail")
    assert (eu.segment_name, eu.segment_id, eu.customer_io_conn_id) == (
        "Power users",
        None,
        "customer_io_eu",
    )
    assert (eu.user_id_property, eu.mode, eu.max_removal_percent) == ("customer_id", "mirror", 20)
    assert (mail.segment_name, mail.segment_id, mail.user_id_property) == (None, 7, "email")
    assert (mail.id_type, mail.mode, mail.customer_io_conn_id) == ("email", "add_only", "customer_io_default")
    assert eu.export == mail.export == "{{ ti.xcom_pull(task_ids='export') | tojson }}"


def test_the_docs_name_every_target(dags_of) -> None:
    doc = dags_of(TWO)["cohort_sync__both"].doc_md
    assert "segment “Power users”, connection `customer_io_eu`, target `eu`" in doc
    assert "segment number 7, connection `customer_io_default`, target `mail`" in doc
    assert "One export serves several segments" in doc


def test_an_approval_stands_between_plan_and_sync(dag_with) -> None:
    dag = dag_with("on_guard: approve", "approval_timeout_hours: 1.5")
    chain = [dag.get_task(name) for name in ("export", "plan", "approve", "sync")]
    assert [task.downstream_task_ids for task in chain] == [{"plan"}, {"approve"}, {"sync"}, set()]
    _, plan, approve, sync = chain
    assert isinstance(approve, ApproveChangeOperator)
    assert approve.response_timeout == timedelta(hours=1, minutes=30)
    assert (plan.dry_run, sync.dry_run) == (True, "{{ params.dry_run }}")
    assert sync.approved_plan == "{{ ti.xcom_pull(task_ids='approve') | tojson }}"
    assert plan.approved_plan is None
    assert "asks for approval (*Required actions*) before it writes anything" in dag.doc_md


def test_one_target_may_ask_and_another_not(dags_of) -> None:
    dag = dags_of(TWO.replace("segment_id: 7,", "segment_id: 7, on_guard: approve,"))["cohort_sync__both"]
    assert set(dag.task_ids) == {"export", "sync__eu", "plan__mail", "approve__mail", "sync__mail"}
    assert dag.get_task("sync__mail").upstream_task_ids == {"approve__mail"}


def test_such_dags_survive_airflows_own_serialization(dags_of) -> None:
    for content in (TWO, TWO.replace("max_removal", "on_guard: approve\n  max_removal")):
        for dag in dags_of(content).values():
            assert DagSerialization.from_dict(DagSerialization.to_dict(dag)).dag_id == dag.dag_id


def test_a_segments_name_is_no_template_in_the_question(dag_with) -> None:
    dag = dag_with("on_guard: approve", "segment_name: '{{ 1 + 1 }}'")
    approve = dag.get_task("approve")
    approve.render_template_fields({"params": dag.params.dump()})
    assert "{{ 1 + 1 }}" in approve.subject


HEAD = "syncs:\n- {name: good, cohort_id: a, segment_id: 1}\n- name: one\n  cohort_id: b\n"


@pytest.mark.parametrize(
    ("lines", "place", "message"),
    [
        ("  targets: []\n", ":5: sync one, key targets: ", "it must be a list of targets"),
        ("  targets: eu\n", ":5: sync one, key targets: ", "it must be a list of targets"),
        (
            "  targets:\n  - {name: eu}\n",
            ":6: sync one, key targets eu: segment_name: ",
            "it is missing",
        ),
        (
            "  targets:\n  - {name: eu, segment_id: 7, cadence: daily}\n",
            ":6: sync one, key targets eu: cadence: ",
            "It belongs to the sync.",
        ),
        (
            "  targets:\n  - {name: eu, segment_id: 7, id_tipe: id}\n",
            ":6: sync one, key targets eu: id_tipe: ",
            "Did you mean id_type?",
        ),
        (
            "  targets:\n  - {name: eu, segment_id: 7, id_type: phone}\n",
            ":6: sync one, key targets eu: id_type: ",
            "it must be id, email or cio_id",
        ),
        (
            "  targets:\n  - {name: eu, segment_id: 7}\n  - {name: eu, segment_id: 8}\n",
            ":7: sync one, key targets, item 2: ",
            '"eu" is used twice',
        ),
        (
            "  targets:\n  - {segment_id: 7}\n",
            ":6: sync one, key targets, item 1: ",
            "it has no valid name",
        ),
        (
            "  segment_id: 9\n  targets:\n  - {name: eu, segment_id: 7}\n",
            ":5: sync one, key segment_id: ",
            "Move it into a target.",
        ),
        (
            "  skip_unchanged: true\n  targets:\n  - {name: eu, segment_id: 7}\n",
            ":5: sync one, key skip_unchanged: ",
            "it cannot be combined with targets",
        ),
        (
            "  targets:\n  - {name: eu, segment_id: 7}\n  - {name: us}\n",
            ":7: sync one, key targets us: segment_name: ",
            "it is missing",
        ),
        (
            "  targets:\n  - {name: eu, segment_id: 7}\n  - {name: us, segment_id: 1}\n",
            ":7: sync one, key targets us: segment_id: ",
            "good (mirror)",
        ),
        (
            "  segment_id: 9\n  on_guard: approve\n  skip_unchanged: true\n",
            ":7: sync one, key skip_unchanged: ",
            "it cannot be combined with on_guard: approve",
        ),
        (
            "  targets:\n  - {name: eu, segment_id: 7}\n  - {name: us, segment_id: 7}\n",
            ":6: sync one, key targets eu: segment_id: ",
            "one, target us (mirror)",
        ),
        (
            "  targets:\n  - {name: eu, segment_id: 1}\n",
            ":6: sync one, key targets eu: segment_id: ",
            "good (mirror)",
        ),
    ],
)
def test_a_mistake_names_sync_target_and_key(problems_of, lines: str, place: str, message: str) -> None:
    problems = problems_of(HEAD + lines)
    assert len(problems["one"]) == 1, problems["one"]
    assert problems["one"][0].startswith(f"my_syncs.yaml{place}")
    assert message in problems["one"][0]


def test_targets_are_no_default(problems_of) -> None:
    problems = problems_of("defaults: {targets: [{name: a, segment_id: 1}]}\n" + HEAD)
    assert any("key defaults.targets: targets belong to one sync" in each for each in problems["good"])


def test_what_a_default_says_of_skip_unchanged_holds_for_targets_too(problems_of) -> None:
    content = "defaults: {skip_unchanged: true}\n" + HEAD + "  targets:\n  - {name: eu, segment_id: 7}\n"
    (problem,) = problems_of(content)["one"]
    assert problem.startswith("my_syncs.yaml:1: sync one, key skip_unchanged (from defaults): ")
    assert problems_of(content.replace("cohort_id: b", "cohort_id: b\n  skip_unchanged: false")) == {
        "good": [],
        "one": [],
    }


@pytest.mark.parametrize(
    ("eu", "us", "start"), [(True, False, False), (False, True, False), (True, True, True)]
)
def test_a_segment_is_handed_over_by_its_own_target_or_by_the_form(
    dags_of, eu: bool, us: bool, start: bool
) -> None:
    dag = dags_of(
        "syncs:\n- name: one\n  cohort_id: b\n  targets:\n"
        f"  - {{name: eu, segment_id: 7, adopt_segment: {str(eu).lower()}}}\n"
        f"  - {{name: us, segment_id: 8, adopt_segment: {str(us).lower()}, on_guard: approve}}\n"
    )["cohort_sync__one"]
    assert dag.params.dump()["adopt_segment"] is start
    for chosen in (start, True):
        for task_id, own in (("sync__eu", eu), ("plan__us", us), ("sync__us", us)):
            task = copy(dag.get_task(task_id))
            task.render_template_fields(
                {"params": {**dag.params.dump(), "adopt_segment": chosen}, "ti": _NoXcoms()}
            )
            assert str(task.adopt_segment) == str(own or chosen), (task_id, chosen)


class _NoXcoms:
    def xcom_pull(self, *, task_ids: str) -> None:
        return None


def test_the_form_and_the_docs_do_not_pass_one_targets_limits_off_as_those_of_all(dags_of) -> None:
    dag = dags_of(
        "syncs:\n- name: one\n  cohort_id: b\n  targets:\n"
        "  - {name: eu, segment_id: 7, max_removal_percent: 5, on_guard: approve}\n"
        "  - {name: us, segment_id: 8}\n"
        "  - {name: all, segment_id: 9, mode: add_only}\n"
    )["cohort_sync__one"]
    assert dag.description == "Amplitude cohort b goes to 3 Customer.io segments"
    doc = dag.doc_md
    assert "The Customer.io segment of `eu`, `us` becomes exactly the cohort" in doc
    assert "The Customer.io segment of `all` gets everyone in the cohort; nobody is removed" in doc
    of_us = doc.split("**A run of target `us` fails before it writes anything** if\n\n")[1].split("**A run")[
        0
    ]
    assert "- the cohort is empty" in of_us
    asks = doc.split(
        "**A run of target `eu` asks for approval (*Required actions*) before it writes anything** if"
    )
    assert "more than 5 % of the segment" in asks[1].split("**A run of target `us`")[0]
    assert "A run waits up to 24 hours" in doc
    removal, shortfall = (
        dag.params.get_param(name).description for name in ("allow_large_removal", "allow_short_cohort")
    )
    assert "(max_removal_percent: set per target)" in removal
    assert "(max_shortfall_percent: 30)" in shortfall


def test_the_docs_of_a_disabled_sync_name_every_target(dags_of) -> None:
    dag = dags_of(TWO.replace("max_removal", "enabled: false\n  max_removal"))["cohort_sync__both"]
    assert dag.task_ids == ["sync"]
    assert "target `eu`" in dag.doc_md
    assert "target `mail`" in dag.doc_md


def test_one_way_of_mapping_excludes_the_other_from_defaults_and_sync(dags_of) -> None:
    """A list of identifiers needs no null beside it, and neither does a single one."""
    text = """
    defaults: {user_id_property: mail, id_type: email, cadence: hourly}
    syncs:
    - name: several
      cohort_id: a1b2c3d
      segment_id: 1
      identifiers: [{property: customer_id, id_type: id}, {property: mail, id_type: email}]
    - name: both
      cohort_id: a1b2c3d
      identifiers: [{property: a, id_type: id}, {property: b, id_type: email}]
      targets:
      - {name: one, segment_id: 2, user_id_property: c}
      - {name: same, segment_id: 3}
    """
    dags = dags_of(text)
    several = dags["cohort_sync__several"].get_task("sync")
    assert [each["property"] for each in several.identifiers] == ["customer_id", "mail"]
    assert (several.user_id_property, several.id_type) == ("user_id", "id")
    both = dags["cohort_sync__both"]
    assert both.get_task("export").properties == ["a", "b", "c"]
    one, same = both.get_task("sync__one"), both.get_task("sync__same")
    assert (one.identifiers, one.user_id_property) == (None, "c")
    assert [each["id_type"] for each in same.identifiers] == ["id", "email"]
