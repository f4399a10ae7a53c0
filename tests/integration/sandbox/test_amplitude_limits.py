"""What the double of Amplitude refuses because it is too much."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import requests

REQUEST = "/api/5/cohorts/request"
STATUS = "/api/5/cohorts/request-status"
LIST = "/api/3/cohorts"
USAGE = "/api/3/cohorts/usage"


def details(answer: requests.Response) -> str:
    error = answer.json()["error"]
    assert (error["http_code"], error["type"]) == (answer.status_code, "unspecified")
    return error["metadata"]["details"]


# ---- limits


def refuses(answer: requests.Response, words: str) -> bool:
    return answer.status_code == 429 and words in details(answer) and "Retry-After" not in answer.headers


def test_the_month_has_so_many_exports(sandbox, amplitude, request_export) -> None:
    sandbox.configure(exports_a_month=2)
    request_id = request_export()
    request_export()
    answer = amplitude(f"{REQUEST}/a1b2c3d")
    assert refuses(answer, "Too Many Requests: Exceeded the monthly limit")
    assert amplitude(f"{REQUEST}/{request_id}/file").status_code == 200
    usage = amplitude(USAGE).json()["rest_download"]
    assert (usage["limit"], usage["usage"], usage["resets_at"][-1]) == (2, 2, "Z")


def test_only_the_first_step_costs(sandbox, amplitude, request_export) -> None:
    request_id = request_export()
    for path in (LIST, USAGE, f"{STATUS}/{request_id}", f"{REQUEST}/{request_id}/file"):
        assert amplitude(path).status_code == 200
    assert amplitude(USAGE).json()["rest_download"]["usage"] == 1


def test_sixty_exports_in_ten_minutes(amplitude, cohort, request_export) -> None:
    for _ in range(60):
        request_export()
    assert refuses(amplitude(f"{REQUEST}/{cohort.id}"), "60 requests in 10 minutes")


def test_the_ten_minutes_can_be_shorter(sandbox, amplitude, cohort, request_export) -> None:
    for _ in range(60):
        request_export()
    assert refuses(amplitude(f"{REQUEST}/{cohort.id}"), "60 requests in 10 minutes")
    sandbox.configure(limit_scale=1e-6)
    assert amplitude(f"{REQUEST}/{cohort.id}").status_code == 202
    assert sandbox.project.used == 61


def test_the_minute_can_be_shorter(sandbox, amplitude) -> None:
    sandbox.configure(export_seconds=600)
    for n in range(5):
        sandbox.project.add_cohort(id=f"cohort{n}", name=f"cohort{n}", rows=[])
    assert [amplitude(f"{REQUEST}/cohort{n}").status_code for n in range(4)] == [202] * 4
    assert refuses(amplitude(f"{REQUEST}/cohort4"), "4 parallel requests a minute")
    sandbox.configure(limit_scale=1e-6)
    assert amplitude(f"{REQUEST}/cohort4").status_code == 202
    assert refuses(amplitude(f"{REQUEST}/cohort0"), "concurrent access to one cohort")


def test_what_was_too_much_is_counted(sandbox, amplitude, cohort, request_export, http) -> None:
    sandbox.configure(exports_a_month=1)
    request_export()
    for _ in range(2):
        assert amplitude(f"{REQUEST}/{cohort.id}").status_code == 429
    assert sandbox.count("amplitude", status=429) == 2
    assert sandbox.count("amplitude", status=202) == 1
    assert http.get(f"{sandbox.urls['control']}/state").json()["too_many"] == {"amplitude": 2}


def test_each_project_has_limits_and_a_connection_of_its_own(sandbox, http, cohort, request_export) -> None:
    sandbox.configure(exports_a_month=1)
    request_export()
    other = sandbox.add_project(api_key="other-key", secret_key="other-secret", region="eu")
    other.add_cohort(id=cohort.id, name="The same", rows=[])
    connection = sandbox.connection_to(other)
    assert connection["extra"] == {"region": "europe"}
    answer = http.get(
        f"{connection['host']}{REQUEST}/{cohort.id}", auth=(connection["login"], connection["password"])
    )
    assert answer.status_code == 202
    assert (sandbox.project.used, other.used) == (1, 1)


def test_one_cohort_at_a_time_and_four_in_parallel(sandbox, amplitude) -> None:
    sandbox.configure(export_seconds=600)
    ids = [f"cohort{n}" for n in range(5)]
    for each in ids:
        sandbox.project.add_cohort(id=each, name=each, rows=[])
    assert [amplitude(f"{REQUEST}/{each}").status_code for each in ids[:4]] == [202] * 4
    assert refuses(amplitude(f"{REQUEST}/{ids[0]}"), "concurrent access to one cohort")
    assert refuses(amplitude(f"{REQUEST}/{ids[4]}"), "4 parallel")
    assert sandbox.project.used == 4
    sandbox.configure(limits=False)
    assert amplitude(f"{REQUEST}/{ids[4]}").status_code == 202


def test_five_requests_at_once(sandbox, amplitude, wait_until) -> None:
    sandbox.faults.add("delay", api="amplitude", path="usage", seconds=1, times=5)
    with ThreadPoolExecutor(5) as pool:
        slow = [pool.submit(amplitude, USAGE) for _ in range(5)]
        wait_until(lambda: sandbox.project.in_flight == 5)
        assert refuses(amplitude(LIST), "5 concurrent requests")
        assert [each.result().status_code for each in slow] == [200] * 5
    assert amplitude(LIST).status_code == 200


def test_two_requests_for_one_cohort_at_once(sandbox, amplitude, request_export, wait_until) -> None:
    request_id = request_export()
    sandbox.faults.add("delay", api="amplitude", path="file", seconds=1)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(amplitude, f"{REQUEST}/{request_id}/file")
        wait_until(lambda: sandbox.project.in_flight == 1)
        assert refuses(amplitude(f"{REQUEST}/a1b2c3d"), "concurrent access to one cohort")
        assert amplitude(LIST).status_code == 200
        assert slow.result().status_code == 200


def test_a_cohort_of_too_many_members_does_not_export(sandbox, amplitude, cohort) -> None:
    sandbox.configure(export_members=2)
    assert "2 members" in details(amplitude(f"{REQUEST}/{cohort.id}"))
    assert sandbox.project.used == 0
    sandbox.configure(export_members=3)
    assert amplitude(f"{REQUEST}/{cohort.id}").status_code == 202
