from __future__ import annotations

import threading

from airflow_provider_cio_cohort.hooks.halt import Halt


def test_a_halt_holds_for_its_children_but_not_the_other_way_round() -> None:
    parent = Halt()
    child = Halt(parent)
    sibling = Halt(parent)
    child.set()
    assert (child.is_set(), sibling.is_set(), parent.is_set()) == (True, False, False)
    parent.set()
    assert sibling.is_set()


def test_whoever_waits_is_woken() -> None:
    parent = Halt()
    child = Halt(parent)
    threads = [threading.Thread(target=halt.wait, args=(600,)) for halt in (parent, child)]
    for thread in threads:
        thread.start()
    parent.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
