"""The child that opens a Dag bundle through its own class.

The messages are ours. The first frame on descriptor 0 is `[0, {"type": "OpenBundle", "name",
"classpath", "kwargs", "version"}]`. The class may ask for connections and variables as every child
does; then one `BundleAnswer` tells what became of it.
"""

from __future__ import annotations

import os
import re
import traceback
from typing import Any

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


class _Message:
    """Stands in for the pydantic model that the decoder would turn into this very map."""

    def __init__(self, **fields: Any) -> None:
        self._fields = fields

    def model_dump(self) -> dict[str, Any]:
        """Return the body of the frame."""
        return self._fields


def run() -> None:
    """Open the bundle and say where its files are, or why they are not there."""
    import structlog
    from airflow.sdk.execution_time import comms, task_runner

    # Nobody sits at a terminal to answer.
    os.environ.setdefault("GIT_TERMINAL_PROMPT", "0")
    log = structlog.get_logger(logger_name="bundle")
    decoder: Any = comms.CommsDecoder(log=log)
    task_runner.SUPERVISOR_COMMS = decoder
    order = decoder._read_frame().body
    try:
        answer: dict[str, Any] = {"opened": _open(_make(order), order["version"])}
    except Exception as error:
        log.debug("failed to open the bundle", exc_info=True)
        answer = {"opened": None, "error": _chain(error)}
    decoder.send(_Message(type="BundleAnswer", **answer))


def _make(order: dict[str, Any]) -> Any:
    from airflow.dag_processing.bundles.base import BaseDagBundle

    classpath = order["classpath"]
    try:
        bundle_class = _import(classpath)
    except Exception as error:
        raise ImportError(f"class `{classpath}` cannot be imported") from error
    if not (isinstance(bundle_class, type) and issubclass(bundle_class, BaseDagBundle)):
        raise TypeError(f"expected a subclass of BaseDagBundle, found `{classpath}`")
    return bundle_class(name=order["name"], version=order["version"], **order["kwargs"])


def _import(classpath: str) -> Any:
    import importlib

    module, _, name = classpath.rpartition(".")
    if not module:
        raise ImportError(f"expected `module.Class`, found `{classpath}`")
    return getattr(importlib.import_module(module), name)


def _open(bundle: Any, version: str | None) -> dict[str, Any]:
    from airflow.dag_processing.bundles.base import unpack_bundle_version

    if version is None:
        _bring_up_to_date(bundle)
    else:
        bundle.initialize()
    path = os.path.abspath(bundle.path)
    if not os.path.isdir(path):
        raise FileNotFoundError(f"the bundle has no folder `{path}`")
    current = None
    if bundle.supports_versioning:
        current, _data = unpack_bundle_version(bundle.get_current_version(), bundle)
    return {
        "path": path,
        "version": current,
        "supports_versioning": bool(bundle.supports_versioning),
        "refresh_interval": float(bundle.refresh_interval),
        "view_url": _view_url(bundle),
    }


def _bring_up_to_date(bundle: Any) -> None:
    """Initialize the bundle and fetch what is new.

    Many classes refresh themselves when they are initialized; once is enough.
    """
    refresh = bundle.refresh
    is_fresh = False

    def noted() -> None:
        nonlocal is_fresh
        refresh()
        is_fresh = True

    bundle.refresh = noted
    bundle.initialize()
    if not is_fresh:
        refresh()


def _view_url(bundle: Any) -> dict[str, Any] | None:
    """Return the template of the bundle's address and what fills it, but for the version."""
    try:
        template = bundle.view_url_template()
        if not template:
            return None
        names = _PLACEHOLDER.findall(template)
        values = {name: getattr(bundle, name, None) for name in names if name != "version"}
    except Exception:
        # An address to look at is a convenience: its class says elsewhere what is wrong.
        return None
    return {
        "template": template,
        "params": {name: str(value) for name, value in values.items() if value},
    }


def _chain(error: BaseException | None) -> str:
    """Return the exception and its causes on one line."""
    parts: list[str] = []
    while error is not None:
        lines = traceback.format_exception_only(type(error), error)
        text = "; ".join(line.strip() for line in "".join(lines).splitlines() if line.strip())
        if text not in parts:
            parts.append(text)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return ": ".join(parts)
