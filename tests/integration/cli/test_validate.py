from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_provider_cio_cohort.dag_generation import build_dags, tasks
from airflow_provider_cio_cohort.exceptions import ConfigurationError
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator
from tests.integration.cli.conftest import Answer

Run = Callable[..., Answer]
SHIPPED = Path(__file__).parents[3] / "dags" / "cohort_syncs.yaml"


def test_sound_files_need_no_database(process: Run, tmp_path: Path) -> None:
    nowhere = f"sqlite:////{tmp_path}/nowhere/airflow.db"
    env = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": nowhere}
    answer = process("validate", str(SHIPPED), "-o", "json", env=env)
    assert answer.code == 0
    assert [row["status"] for row in answer.rows] == ["ok"] * 4
    assert not (tmp_path / "airflow.db").exists()
    assert "85 of the 500 exports" in answer.err


def test_numbers_and_nulls_stay_what_they_are(airflow: Run, write: Any) -> None:
    path = write({"cadence": "weekly"}, {"name": "off", "segment_name": "B", "enabled": False})
    answer = airflow("validate", path, "-o", "json")
    assert answer.rows[0] == {
        "file": path,
        "sync": "sync",
        "status": "ok",
        "amplitude_conn_id": "amplitude_default",
        "exports_a_month": 5,
        "problems": [],
    }
    assert answer.rows[1]["status"] == "disabled"
    assert answer.rows[1]["exports_a_month"] == 0
    assert yaml.safe_load(airflow("validate", path, "-o", "yaml").out) == json.loads(answer.out)


def test_what_is_wrong_is_1_and_says_where(airflow: Run, tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(
        "syncs:\n- {name: good, cohort_id: a, segment_name: A}\n"
        "- name: bad\n  cohort_id: 123\n  segment_name: B\n  cadense: daily\n",
        encoding="utf-8",
    )
    answer = airflow("validate", str(path), "-o", "json")
    assert answer.code == 1
    good, bad = answer.rows
    assert (good["status"], bad["status"]) == ("ok", "wrong")
    assert bad["exports_a_month"] is None
    assert bad["problems"][0].startswith(f"{path}:4: sync bad, key cohort_id: ")
    assert bad["problems"][1].startswith(f"{path}:6: sync bad, key cadense: ")
    table = airflow("validate", str(path)).out
    assert bad["problems"][1] in table


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("syncs: [", "not valid YAML: brackets are not closed"),
        ("", "is empty"),
        (None, "there is no such file"),
        ("syncs:", "the key syncs is empty"),
    ],
    ids=["no YAML", "empty", "missing", "no syncs"],
)
def test_a_file_that_is_none_is_1(airflow: Run, tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "my.yaml"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    answer = airflow("validate", str(path), "-o", "json")
    assert answer.code == 1
    assert answer.row["sync"] is None
    assert answer.row["problems"][0].startswith(f"{path}:1: ")
    assert words in answer.row["problems"][0]


def test_a_folder_stands_for_the_files_in_it(airflow: Run, write: Any, tmp_path: Path) -> None:
    for place in ("team", ".hidden", "empty"):
        (tmp_path / place).mkdir()
    write({"name": "one"}, name="a.yaml")
    write({"name": "two", "segment_name": "B"}, name="team/b.yml")
    write({"name": "hidden", "segment_name": "C"}, name=".hidden/c.yaml")
    (tmp_path / "README.md").write_text("syncs:")
    answer = airflow("validate", str(tmp_path), str(tmp_path / "a.yaml"), "-o", "json")
    assert answer.code == 0
    assert [(row["file"], row["sync"]) for row in answer.rows] == [
        (f"{tmp_path}/a.yaml", "one"),
        (f"{tmp_path}/team/b.yml", "two"),
    ]
    assert f"{tmp_path}: a.yaml, team/b.yml" in answer.err
    (tmp_path / "team" / "b.yml").write_text("sync: []")
    answer = airflow("validate", str(tmp_path), "-o", "json")
    assert answer.code == 1
    assert [row["status"] for row in answer.rows] == ["ok", "wrong"]


def test_a_folder_without_files_is_1(airflow: Run, tmp_path: Path) -> None:
    answer = airflow("validate", str(tmp_path), "-o", "json")
    assert answer.code == 1
    assert answer.row["problems"] == [f"{tmp_path}:1: the folder has no file that ends with .yaml or .yml."]


WRONG = """syncs:
- name: bad
  cohort_id: a
  segment_name: "50%: x"
  cadence: "every 100%, day"
"""


def test_every_problem_begins_with_its_file_and_line(airflow: Run, write: Any, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(WRONG, encoding="utf-8")
    alone = {"alerts": [{"notifier": "airflow.providers.smtp.notifications.smtp.Nobody"}]}
    files = [
        write({**alone, "segment_name": "A"}, name="a.yaml"),
        write({"segment_name": "A"}, name="b.yaml"),
    ]
    answer = airflow(
        "validate", *files, str(tmp_path / "wrong.yaml"), str(tmp_path / "no.yaml"), "-o", "json"
    )
    problems = [problem for row in answer.rows for problem in row["problems"]]
    places = [re.match(r"(.+?\.yaml):(\d+): ", problem) for problem in problems]
    assert len(problems) >= 6
    for place, problem in zip(places, problems, strict=True):
        assert place, problem
        key = re.search(r", key ([a-z_]+)", problem)
        if key and Path(place[1]).exists():
            assert key[1] in Path(place[1]).read_text(encoding="utf-8").splitlines()[int(place[2]) - 1]


def test_github_shows_each_problem_beside_its_line(airflow: Run, tmp_path: Path) -> None:
    path = tmp_path / "a,b.yaml"
    path.write_text(WRONG, encoding="utf-8")
    answer = airflow("validate", str(path), "-o", "github")
    assert answer.code == 1
    line, *more = answer.out.splitlines()
    assert more == []
    place = f"::error file={tmp_path}/a%2Cb.yaml,line=5,title=cohort-sync::sync bad, key cadence: "
    assert line.startswith(f'{place}"every 100%25, day" is no cadence.')
    assert "Wrong: 1 of 1." in answer.err


def test_github_shows_nothing_where_nothing_is_wrong(airflow: Run, write: Any) -> None:
    answer = airflow("validate", write(), "-o", "github")
    assert (answer.code, answer.out) == (0, "")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("${COHORT_ID}", "it is a placeholder"),
        ("https://app.amplitude.com/analytics/acme/cohort/a1b2c3d", "Did you mean a1b2c3d?"),
        ("“a1b2c3d”", "typographic quotes"),
        ("a1b2\u200bc3d", "invisible character"),
    ],
)
def test_a_cohort_id_that_a_run_would_refuse_is_1(airflow: Run, write: Any, value: str, words: str) -> None:
    answer = airflow("validate", write({"cohort_id": value}), "-o", "json")
    assert answer.code == 1
    [problem] = answer.row["problems"]
    assert "key cohort_id: " in problem
    assert words in problem


@pytest.mark.parametrize(
    ("keys", "key", "words"),
    [
        ({"snapshot_path": "s4://bucket/cohorts"}, "snapshot_path", "can read or write this storage"),
        ({"unmatched_path": "s4://bucket/cohorts"}, "unmatched_path", "can read or write this storage"),
        (
            {"amplitude_conn_id": "acme", "customer_io_conn_id": "acme"},
            "customer_io_conn_id",
            "amplitude_conn_id names the same connection",
        ),
    ],
)
def test_what_every_run_would_refuse_is_1(
    airflow: Run, write: Any, keys: dict[str, str], key: str, words: str
) -> None:
    path = write(keys)
    answer = airflow("validate", path, "-o", "json")
    assert answer.code == 1
    [problem] = answer.row["problems"]
    line = next(n for n, text in enumerate(Path(path).read_text().splitlines(), start=1) if f"{key}:" in text)
    assert problem.startswith(f"{path}:{line}: sync sync, key {key}: ")
    assert words in problem
    assert airflow("validate", write({"snapshot_path": "file:///srv/cohorts"})).code == 0


def test_two_files_must_not_share_a_name(airflow: Run, write: Any) -> None:
    one, other = write(name="a.yaml"), write({"segment_name": "B"}, name="b.yaml")
    answer = airflow("validate", one, other, one, "-o", "json")
    assert answer.code == 1
    assert [row["status"] for row in answer.rows] == ["ok", "wrong"]
    assert f"{one} has a sync of the same name" in answer.rows[1]["problems"][0]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"segment_name": "S"}, {"segment_name": " S "}),
        ({"segment_id": 5}, {"segment_id": 5, "mode": "add_only"}),
        ({"segment_id": 5}, {"targets": [{"name": "eu", "segment_id": 5}, {"name": "us", "segment_id": 6}]}),
    ],
)
def test_two_files_must_not_fill_one_segment(airflow: Run, write: Any, first: Any, second: Any) -> None:
    one = write({"name": "a", **first}, name="a.yaml")
    other = write({"name": "b", "cohort_id": "other", **second}, {"name": "c"}, name="b.yaml")
    answer = airflow("validate", one, other, "-o", "json")
    assert answer.code == 1
    assert [row["status"] for row in answer.rows] == ["wrong", "wrong", "ok"]
    [of_a], [of_b] = (row["problems"] for row in answer.rows[:2])
    target = ", target eu" if "targets" in second else ""
    lines = Path(other).read_text(encoding="utf-8").splitlines()
    of_key = next(number for number, line in enumerate(lines, start=1) if f"{next(iter(first))}: " in line)
    mode = second.get("mode", "mirror")
    key = next(iter(first))
    assert f": sync a, key {key}: this sync (mirror) and b{target} ({mode}) in {other} " in of_a
    assert of_b.startswith(
        f"{other}:{of_key}: sync b{target}, key {key}: this sync ({mode}) and a (mirror) in {one} "
    )


@pytest.mark.parametrize(
    "second",
    [
        {"segment_name": "T"},
        {"segment_name": "S", "customer_io_conn_id": "other"},
        {"segment_name": "S", "enabled": False},
        {"segment_name": "S", "cohort_id": "a1b2c3d", "mode": "add_only"},
    ],
)
def test_two_files_may_fill_what_gets_on_with_each_other(airflow: Run, write: Any, second: Any) -> None:
    one = write({"name": "a", "segment_name": "S"}, name="a.yaml")
    other = write({"name": "b", "cohort_id": "other", **second}, name="b.yaml")
    assert airflow("validate", one, other).code == 0


def test_the_exports_are_added_up_for_each_project(airflow: Run, write: Any) -> None:
    path = write(
        {"cadence": "hourly"},
        {"name": "b", "segment_name": "B", "amplitude_conn_id": "eu", "cadence": "monthly"},
    )
    answer = airflow("validate", path)
    assert answer.code == 0
    assert "amplitude_default cost up to 744 of the 500 exports" in answer.err
    assert "some runs will fail" in answer.err
    assert "eu cost up to 1 of the 500" in answer.err
    assert airflow("validate", write({"cadence": "hourly"}, max_exports_per_month=100)).code == 1


def test_a_dag_that_cannot_be_built_is_1(
    airflow: Run, write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stricter(AmplitudeCohortToCustomerIOOperator):
        def __init__(self, *, cohort_id: str, **kwargs: Any) -> None:
            super().__init__(cohort_id=cohort_id, **kwargs)
            raise ConfigurationError("cohort x is not liked.")

    monkeypatch.setattr(tasks, "AmplitudeCohortToCustomerIOOperator", Stricter)
    answer = airflow("validate", write(), "-o", "json")
    assert answer.code == 1
    [problem] = answer.row["problems"]
    assert problem.endswith(": sync sync: cohort x is not liked.")
    assert problem.startswith(str(tmp_path))


def test_a_notifier_that_does_not_take_its_arguments_is_found_before_the_night(
    airflow: Run, write: Any
) -> None:
    smtp = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
    path = write({"alerts": [{"notifier": smtp, "arguments": {"to": "a@example.com", "sender": "b"}}]})
    answer = airflow("validate", path, "-o", "json")
    assert answer.code == 1
    [problem] = answer.row["problems"]
    assert f"key alerts (item 1): The notifier {smtp} does not accept its arguments: " in problem
    assert "'sender'" in problem
    right = write({"alerts": [{"notifier": smtp, "arguments": {"to": "a@example.com"}}]})
    assert airflow("validate", right, "-o", "json").code == 0


def test_a_notifier_that_is_not_there_is_found(airflow: Run, write: Any) -> None:
    path = write({"alerts": [{"notifier": "airflow.providers.smtp.notifications.smtp.Nobody"}]})
    answer = airflow("validate", path, "-o", "json")
    assert answer.code == 1
    assert "cannot be imported" in answer.row["problems"][0]


@pytest.mark.parametrize("name", ["syncs.yaml", "other__syncs.yaml"])
def test_any_two_files_have_freshness_dags_of_their_own(
    airflow: Run, write: Any, tmp_path: Path, name: str
) -> None:
    (tmp_path / "other").mkdir()
    first = write({"name": "one", "max_age": "1d"}, name=name)
    second = write({"name": "two", "max_age": "1d", "segment_name": "B"}, name="other/syncs.yaml")
    answer = airflow("validate", first, second, "-o", "json")
    assert [row["status"] for row in answer.rows] == ["ok", "ok"]
    assert len({dag_id for path in (first, second) for dag_id in build_dags(path)}) == 4
