"""Warms the interpreter up: everything a child would otherwise import or build by itself.

Airflow is imported without a database. Its flag for virtualenv operators skips the ORM set-up;
afterwards the flag is removed, and user code that opens a session gets Airflow's own refusal.
"""

from __future__ import annotations

import ctypes
import gc
import hashlib
import importlib
import os
import platform
import sys
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from updraft_shim import learned

_MODULES = (
    "airflow.sdk",
    "airflow.sdk.bases.sensor",
    "airflow.sdk._shared.logging.factory",
    "airflow.sdk._shared.logging.remote",
    "airflow.sdk.definitions.asset.metadata",
    "airflow.sdk.definitions.decorators",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.sdk.execution_time.callback_supervisor",
    "airflow.sdk.log",
    "airflow.sdk.serde",
    "airflow.dag_processing.bundles.local",
    "airflow.dag_processing.bundles.manager",
    "airflow.dag_processing.dagbag",
    "airflow.dag_processing.processor",
    "airflow.models.dagwarning",
    "airflow.plugins_manager",
    "airflow.sdk.plugins_manager",
    "airflow.sdk.providers_manager_runtime",
    "airflow.version",
    "email.message",
    "encodings.idna",
    "getpass",
    "jinja2.ext",
    "setproctitle",
)

# Most Dags use these, but an installation may do without the provider.
_OPTIONAL_MODULES = (
    "airflow.providers.common.io.assets.file",
    "airflow.providers.standard.decorators.bash",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.operators.bash",
    "airflow.providers.standard.operators.empty",
    "airflow.providers.standard.operators.python",
    # The serializer imports these to know the links between Dags.
    "airflow.providers.standard.operators.trigger_dagrun",
    "airflow.providers.standard.sensors.external_task",
)


_LOAD_EXAMPLES = "AIRFLOW__CORE__LOAD_EXAMPLES"

_HUGE_PAGE = 2 * 1024 * 1024
_MADV_COLLAPSE = 25

# Airflow's own, before access to the database was blocked.
_configure_orm: list[Callable[[], None]] = []


class SharedAdapters:
    """Stands in for pydantic's `TypeAdapter` and hands out validators built before the fork.

    A validator for the union of all messages takes about ten milliseconds to build, which every
    child would pay again. A type that was not prepared gets a new adapter, as usual.
    """

    def __init__(self, adapter_class: Any) -> None:
        self._adapter_class = adapter_class
        self._built: dict[int, tuple[Any, Any]] = {}

    def prepare(self, annotation: Any) -> None:
        """Build the validator of `annotation`, and keep both alive so that the id stays valid."""
        self._built[id(annotation)] = (annotation, self._adapter_class(annotation))

    def __call__(self, annotation: Any, **options: Any) -> Any:
        """Return the prepared validator, or build one."""
        prepared = None if options else self._built.get(id(annotation))
        return prepared[1] if prepared else self._adapter_class(annotation, **options)

    def __getitem__(self, _parameter: Any) -> SharedAdapters:
        return self


def warm_up(learned_modules: Iterable[str], example_plugins: bool) -> bool:
    """Import Airflow and what else is known to be needed, and load plugins.

    Return False when the process may not fork, because an import has started a thread.
    """
    _import_without_database()
    for name in _OPTIONAL_MODULES:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    _load_plugins(example_plugins)
    _let_examples_be_listed()
    _share_validators()
    return learned.preload(learned_modules)


def freeze() -> None:
    """Arrange the memory so that children share as much of it as possible."""
    gc.collect()
    # Objects moved out of the collector's reach are not touched by it, so children share them.
    gc.freeze()
    _use_huge_pages()


def versions() -> dict[str, str]:
    """Return what the parent checks before it trusts this interpreter."""
    from airflow.sdk.execution_time import schema

    folder = Path(schema.__file__ or "").parent
    return {
        "python": platform.python_version(),
        "airflow_core": metadata.version("apache-airflow-core"),
        "task_sdk": metadata.version("apache-airflow-task-sdk"),
        "schema_sha256": hashlib.sha256((folder / "schema.json").read_bytes()).hexdigest(),
    }


def _import_without_database() -> None:
    os.environ["PYTHON_OPERATORS_VIRTUAL_ENV_MODE"] = "1"
    try:
        for name in _MODULES:
            importlib.import_module(name)
    finally:
        del os.environ["PYTHON_OPERATORS_VIRTUAL_ENV_MODE"]

    from airflow.configuration import conf
    from airflow.sdk.execution_time.supervisor import block_orm_access

    conf.mask_secrets()
    _configure_orm.append(sys.modules["airflow.settings"].configure_orm)
    block_orm_access()


def configure_orm() -> Callable[[], None]:
    """Return the function that blocking access to the database has taken away."""
    return _configure_orm[0]


def _load_plugins(example_plugins: bool) -> None:
    """Load plugins once, for all children.

    The example Dags need plugins of their own. Airflow ties them to the setting that also adds
    bundles of examples, which children must not search, so it is set for this moment only.
    """
    from airflow import plugins_manager
    from airflow.sdk import plugins_manager as sdk_plugins_manager
    from airflow.sdk.listener import get_listener_manager as get_sdk_listener_manager

    os.environ[_LOAD_EXAMPLES] = str(example_plugins)
    sdk_plugins_manager.integrate_macros_plugins()
    plugins_manager.get_timetables_plugins()
    get_sdk_listener_manager()
    os.environ[_LOAD_EXAMPLES] = "False"


def _let_examples_be_listed() -> None:
    """Let the list of bundles name the example Dags.

    Airflow keeps their bundle's name for its own setting, with which every child would look
    through all providers. Children are told each bundle instead, this one as well.
    """
    from airflow.dag_processing.bundles import manager

    manager._example_dag_bundle_name = ""


def _share_validators() -> None:
    from airflow.dag_processing import processor
    from airflow.sdk.execution_time import comms, task_runner
    from pydantic import JsonValue, TypeAdapter

    shared = SharedAdapters(TypeAdapter)
    for annotation in (comms.ToTask, processor.ToDagProcessor, JsonValue):
        shared.prepare(annotation)
    for module in (comms, task_runner, processor):
        vars(module)["TypeAdapter"] = shared


def _use_huge_pages() -> None:
    """Merge the heap into huge pages.

    A fork then copies some dozens of page table entries instead of some ten thousands, and the end
    of a child frees as few. What a child writes to is copied in small pages as ever. A kernel that
    cannot do it refuses, and nothing changes.
    """
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    with open("/proc/self/maps") as maps:
        regions = [line.split() for line in maps]
    for addresses, permissions, _offset, _device, _inode, *path in regions:
        if permissions != "rw-p" or path not in ([], ["[heap]"]):
            continue
        begin, end = (int(address, 16) for address in addresses.split("-"))
        begin = -(-begin // _HUGE_PAGE) * _HUGE_PAGE
        end = end // _HUGE_PAGE * _HUGE_PAGE
        if begin < end and madvise(begin, end - begin, _MADV_COLLAPSE) != 0:
            return
