"""Learns which modules children import, so that the next zygote has them already.

Only Airflow's own modules and the standard library are learned. Other libraries may start
threads, read the environment or open sockets when they are imported, and a Dag file may rely on
doing something first.
"""

from __future__ import annotations

import importlib
import itertools
import os
import socket
import sys
from collections.abc import Iterable, Set

from updraft_shim import wire

# Enough for every provider a Dag file may use, and far below what fits a packet.
_MODULES_MAX = 400


def report(start: socket.socket, preloaded: Set[str]) -> None:
    """Tell the zygote what this child had to import by itself."""
    modules = [name for name in _newest(preloaded) if _is_learnable(name)]
    if not modules:
        return
    start.setblocking(False)
    try:
        wire.send(start, {"modules": modules[:_MODULES_MAX]})
    except OSError:
        # The zygote is gone. Its successor learns from another child.
        return


def _newest(preloaded: Set[str]) -> list[str]:
    """Return the modules that were imported last, oldest first.

    Looking at all of them would copy the memory pages of thousands of names for nothing.
    """
    new = itertools.takewhile(lambda name: name not in preloaded, reversed(sys.modules))
    return list(new)[::-1]


def preload(modules: Iterable[str]) -> bool:
    """Import what was learned; return whether the process is as fit to fork as before.

    Threads that plugins have started do not count: Airflow forks beside them as well.
    """
    threads = _count_threads()
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception:  # noqa: S112
            # Packages change. Whoever needs the module gets the error where it belongs.
            continue
    return _count_threads() <= threads


def _count_threads() -> int:
    return len(os.listdir("/proc/self/task"))


def _is_learnable(name: str) -> bool:
    parts = name.split(".")
    if "example_dags" in parts or sys.modules.get(name) is None:
        return False
    return parts[0] == "airflow" or parts[0] in sys.stdlib_module_names
