"""``plan``: what a run would do now."""

from __future__ import annotations

from argparse import Namespace

from airflow_provider_cio_cohort.cli.finding import in_bundles, in_file, is_file
from airflow_provider_cio_cohort.cli.looking import look
from airflow_provider_cio_cohort.cli.outlook import as_sentence, as_table, exit_code
from airflow_provider_cio_cohort.cli.output import show
from airflow_provider_cio_cohort.cli.running import WRONG_USAGE, CommandError, command
from airflow_provider_cio_cohort.cli.vendors import Vendors


@command
def plan(args: Namespace) -> int:
    """
    Tell what a run would do; write nothing.

    :param args: the arguments.
    """
    if is_file(args.what):
        found = in_file(args.what, args.sync)
    elif args.sync is not None:
        raise CommandError("--sync chooses a sync of a file, but no file was given.", WRONG_USAGE)
    else:
        found = in_bundles(args.what)
    vendors = Vendors()
    outlooks = [look(one, vendors) for one in found]
    if args.exact:
        from airflow_provider_cio_cohort.cli.exact import compare

        compare(outlooks)
    rows = [outlook.row(exact=args.exact) for outlook in outlooks]
    show(rows, args.output, [as_table(row) for row in rows], [as_sentence(row) for row in rows])
    return exit_code(outlooks)
