"""Runs a command: without logs, with an exit code, and with errors as sentences on stderr."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from functools import wraps
from typing import NoReturn, TextIO

from airflow.utils.cli import suppress_logs_and_warning
from airflow.utils.providers_configuration_loader import providers_configuration_loaded

from airflow_provider_cio_cohort.compatibility import AirflowNotFoundException
from airflow_provider_cio_cohort.dag_generation.messages import CohortSyncConfigError
from airflow_provider_cio_cohort.exceptions import CohortSyncError

FINE, NO, WRONG_USAGE, NOT_FOUND_OUT = 0, 1, 2, 3
INTERRUPTED = 130  # the exit code of a process that Ctrl-C has ended, as shells report it
_CONTEXT = "_AIRFLOW_PROCESS_CONTEXT"
_stdout: ContextVar[TextIO | None] = ContextVar("stdout", default=None)


class CommandError(Exception):
    """
    Ends a command.

    :param message: what happened, where, and what to do.
    """

    def __init__(self, message: str, code: int = NOT_FOUND_OUT) -> None:
        super().__init__(message)
        self.code = code


def command(run: Callable[[Namespace], int]) -> Callable[[Namespace], None]:
    """Make a function a command: it returns the exit code; its errors become a message and an exit code."""

    @wraps(run)
    def wrapper(args: Namespace) -> None:
        codes = []

        @suppress_logs_and_warning
        @providers_configuration_loaded
        def quietly(args: Namespace) -> None:
            codes.append(run(args))

        try:
            with _connections_of_the_database(), _stdout_kept_clean():
                quietly(args)
        except CommandError as error:
            _end(str(error), error.code)
        except CohortSyncConfigError as error:
            _end(str(error), NO)
        except (CohortSyncError, AirflowNotFoundException) as error:
            _end(str(error), NOT_FOUND_OUT)
        except KeyboardInterrupt:
            _end("\nInterrupted; nothing was written.", INTERRUPTED)
        except BrokenPipeError:  # such as: … | head
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if codes and codes[0]:
            sys.exit(codes[0])

    return wrapper


def say(message: str) -> None:
    """Print a message for the user on stderr, so that stdout stays clean for scripts."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201


def check_can_ask(args: Namespace) -> None:
    """
    Refuse to begin what needs a confirmation that nobody can give.

    :param args: the arguments, with ``yes``.
    :raises CommandError: if stdin is not a terminal, and ``--yes`` was not passed.
    """
    if not (args.yes or sys.stdin.isatty()):
        raise CommandError("stdin is not a terminal: pass --yes.", WRONG_USAGE)


def agrees(question: str) -> bool:
    """
    Ask for a confirmation on the terminal; no answer is a no.

    :param question: the question, without the possible answers.
    """
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@contextmanager
def answering() -> Iterator[None]:
    """Send what is printed to stdout, as the command's output."""
    with redirect_stdout(_stdout.get() or sys.stdout):
        yield


@contextmanager
def _stdout_kept_clean() -> Iterator[None]:
    """Send everything else to stderr: DAG files and Airflow's loggers may print."""
    token = _stdout.set(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _stdout.reset(token)


def _end(message: str, code: int) -> NoReturn:
    say(message)
    sys.exit(code)


@contextmanager
def _connections_of_the_database() -> Iterator[None]:
    """Look up connections in Airflow's database as well, as ``airflow connections test`` does."""
    before = os.environ.get(_CONTEXT)
    os.environ[_CONTEXT] = "server"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_CONTEXT]
        else:
            os.environ[_CONTEXT] = before
