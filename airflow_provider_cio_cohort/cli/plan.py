"""``plan``: what a run would do now."""

from __future__ import annotations

from argparse import Namespace

from airflow_provider_cio_cohort.cli.finding import find
from airflow_provider_cio_cohort.cli.looking import look
from airflow_provider_cio_cohort.cli.outlook import as_sentence, as_table, exit_code
from airflow_provider_cio_cohort.cli.output import show
from airflow_provider_cio_cohort.cli.running import command
from airflow_provider_cio_cohort.cli.vendors import Vendors


@command
def plan(args: Namespace) -> int:
    """
    Tell what a run would do; write nothing.

    :param args: the arguments.
    """
    found = find(args.what, args.sync)
    vendors = Vendors()
    outlooks = [look(one, vendors) for one in found]
    if args.exact:
        from airflow_provider_cio_cohort.cli.exact import compare

        compare(outlooks)
    rows = [outlook.row(exact=args.exact) for outlook in outlooks]
    show(rows, args.output, [as_table(row) for row in rows], [as_sentence(row) for row in rows])
    return exit_code(outlooks)
