"""Python in the docs: DAG files make DAGs, anything else imports and calls what there is."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import DagBag

from tests.docs.pages import ROOT, Block, blocks_of

_OURS = "airflow_provider_cio_cohort"
_BESIDE = re.compile(r"with_name\(\"([\w.]+)\"\)")


def check_python(block: Block, folder: Path) -> None:
    """
    Check a block of Python.

    :param block: the block.
    :param folder: an empty folder.
    """
    path = folder / "shown.py"
    path.write_text(block.text, encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select=E,F,I,UP", "--line-length=110"]
    done = subprocess.run([*ruff, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    _Reading(ast.parse(block.text)).check()
    if re.search(r"\bDAG\(|@dag\b|build_dags\(", block.text):
        _check_dags(block, folder)
    elif "\ndef test_" in block.text:
        # Only who works on the package has the fixtures of its tests.
        _run_tests(path, *(("-p", "tests.conftest") if block.page.name == "CONTRIBUTING.md" else ()))


def _check_dags(block: Block, folder: Path) -> None:
    for name in _BESIDE.findall(block.text):
        _put_syncs(block.page, folder / name)
    bag = DagBag(folder)
    assert bag.import_errors == {}
    assert bag.dags
    assert not any("config-error" in dag.tags for dag in bag.dags.values())


def _put_syncs(page: Path, path: Path) -> None:
    """Write a file of syncs: the one that the page shows, or else the example."""
    shown = [
        each.text for each in blocks_of(page) if each.language == "yaml" and "\nsyncs:" in f"\n{each.text}"
    ]
    if shown:
        path.write_text(shown[0], encoding="utf-8")
    else:
        shutil.copy(ROOT / "dags" / "cohort_syncs.yaml", path)


def _run_tests(path: Path, *options: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=path.parent, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr


class _Reading:
    """
    Follows the names of a script, as far as they lead to modules, classes and functions.

    :param tree: the script.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.known: dict[str, Any] = {}
        self.made: dict[str, type] = {}

    def check(self) -> None:
        for node in ast.walk(self.tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                self.known.update(_imported(node))
        for node in ast.walk(self.tree):
            for name, call in _assigned(node):
                made = self.resolve(call.func)
                if inspect.isclass(made):
                    self.made[name] = made
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute):
                self.resolve(node)
            elif isinstance(node, ast.Call):
                self.check_call(node)

    def resolve(self, node: ast.expr) -> Any:
        """Return what an expression leads to, ``None`` if that cannot be told without running it."""
        if isinstance(node, ast.Name):
            return self.known.get(node.id)
        if not isinstance(node, ast.Attribute):
            return None
        holder = self.instance_of(node.value) or self.resolve(node.value)
        if not inspect.ismodule(holder) and not (inspect.isclass(holder) and _is_ours(holder)):
            return getattr(holder, node.attr, None)
        fields = {
            name for base in getattr(holder, "__mro__", ()) for name in vars(base).get("__annotations__", ())
        }
        is_there = hasattr(holder, node.attr) or node.attr in fields or node.attr in _set_by_init(holder)
        assert is_there, f"line {node.lineno}: {holder.__name__} has no {node.attr}"
        return getattr(holder, node.attr, None)

    def instance_of(self, node: ast.expr) -> type | None:
        """Return the class of which an expression is an instance, where that can be seen."""
        if isinstance(node, ast.Name):
            return self.made.get(node.id)
        kind = self.resolve(node.func) if isinstance(node, ast.Call) else None
        return kind if inspect.isclass(kind) else None

    def check_call(self, call: ast.Call) -> None:
        called = self.resolve(call.func)
        if not callable(called) or not _is_ours(called):
            return
        starred = any(isinstance(each, ast.Starred) for each in call.args)
        starred |= any(each.arg is None for each in call.keywords)
        bound = isinstance(call.func, ast.Attribute) and self.instance_of(call.func.value) is not None
        values = [None] * (len(call.args) + bound)
        names = {each.arg: None for each in call.keywords if each.arg}
        signature = inspect.signature(called)
        try:
            (signature.bind_partial if starred else signature.bind)(*values, **names)
        except TypeError as error:
            raise AssertionError(f"line {call.lineno}: {called.__qualname__}: {error}") from None


def _is_ours(value: Any) -> bool:
    return str(getattr(value, "__module__", "")).startswith(_OURS)


def _set_by_init(kind: Any) -> set[str]:
    """Return the attributes that a class gives to its instances."""
    if not inspect.isclass(kind):
        return set()
    source = "".join(inspect.getsource(base) for base in kind.__mro__ if _is_ours(base))
    return set(re.findall(r"self\.(\w+)(?:: [^=\n]+)? = ", source))


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Any]]:
    if isinstance(node, ast.Import):
        for each in node.names:
            module = importlib.import_module(each.name)
            yield (
                each.asname or each.name.partition(".")[0],
                (module if each.asname else importlib.import_module(each.name.partition(".")[0])),
            )
        return
    module = importlib.import_module(node.module or "")
    for each in node.names:
        assert hasattr(module, each.name), f"{node.module} has no {each.name}"
        yield each.asname or each.name, getattr(module, each.name)


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Yield the names that are given to what calls return."""
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
        yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))
    if (
        isinstance(node, ast.withitem)
        and isinstance(node.context_expr, ast.Call)
        and isinstance(node.optional_vars, ast.Name)
    ):
        yield node.optional_vars.id, node.context_expr
