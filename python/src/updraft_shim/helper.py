"""The child that answers questions about the installation which only Python can answer.

It speaks the frames of the other children the other way round: the parent sends `[id, body]`, the
helper answers each with `[id, body, error]`, until the parent closes the socket.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

import msgspec

Body = dict[str, Any]

_LENGTH = struct.Struct(">I")


def run() -> None:
    """Answer requests on descriptor 0 until it is closed."""
    sock = socket.socket(fileno=0)
    stream = sock.makefile("rb")
    while len(prefix := stream.read(_LENGTH.size)) == _LENGTH.size:
        frame_id, body = msgspec.msgpack.decode(stream.read(*_LENGTH.unpack(prefix)))[:2]
        answer = msgspec.msgpack.encode([frame_id, *_answer(body)])
        sock.sendall(_LENGTH.pack(len(answer)) + answer)


def _answer(body: Body) -> tuple[Body | None, Body | None]:
    kind = body.get("type")
    try:
        if kind == "GetPlugins":
            return _plugins(), None
        detail = f"expected `GetPlugins`, found `{kind}`"
    except Exception as error:
        detail = f"{type(error).__name__}: {error}"
    return None, {"type": "ErrorResponse", "error": "GENERIC_ERROR", "detail": detail}


def _plugins() -> Body:
    """Name what plugins add to the scheduler's vocabulary, and which of them failed to load."""
    from airflow import plugins_manager

    return {
        "type": "Plugins",
        "timetables": sorted(plugins_manager.get_timetables_plugins()),
        "priority_weight_strategies": sorted(
            plugins_manager.get_priority_weight_strategy_plugins()
        ),
        "partition_mappers": sorted(plugins_manager.get_partition_mapper_plugins()),
        "windows": sorted(plugins_manager.get_windows_plugins()),
        "import_errors": dict(plugins_manager.get_import_errors()),
    }
