from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_cio_cohort.exceptions import DiskFullError
from airflow_provider_cio_cohort.sync.workdir import check_disk_space, full_disk_named


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    said = r"disk is full: [\d,]+ (MiB|GiB) are left\.\nThe run's files are in"
    with pytest.raises(DiskFullError, match=said), full_disk_named(tmp_path):
        Path("/dev/full").write_text("x")  # the kernel's own full disk


def test_another_fault_is_left_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), full_disk_named(tmp_path):
        (tmp_path / "missing").read_text()


def test_where_nothing_is_announced_the_segment_alone_counts(tmp_path: Path) -> None:
    check_disk_space(tmp_path, None, 0, "id")
    with pytest.raises(DiskFullError):
        check_disk_space(tmp_path, None, 10**13, "id")
