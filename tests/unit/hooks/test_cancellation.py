from __future__ import annotations

import threading

from airflow_provider_cio_cohort.hooks.cancellation import CancelToken


def test_a_cancellation_holds_for_its_children_but_not_the_other_way_round() -> None:
    parent = CancelToken()
    child = CancelToken(parent)
    sibling = CancelToken(parent)
    child.cancel()
    assert (child.is_cancelled(), sibling.is_cancelled(), parent.is_cancelled()) == (True, False, False)
    parent.cancel()
    assert sibling.is_cancelled()


def test_whoever_waits_is_woken() -> None:
    parent = CancelToken()
    child = CancelToken(parent)
    threads = [threading.Thread(target=cancel.wait, args=(600,)) for cancel in (parent, child)]
    for thread in threads:
        thread.start()
    parent.cancel()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
