"""One forked child, from the fork to the entry point of its kind.

Airflow's supervisor sets each child up after the fork: signals, logging, standard streams. The
result is the same every time but for the sockets, so the zygote is set up once, on stand-ins, and
a child only puts its own sockets in their places. That spares each child two thousand page faults.

Children are forked ahead of need and wait for a start packet that says what they shall be.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Any, NoReturn

from updraft_shim import bundle, callback, dag_parse, helper, learned, task, triggerer, wire

_ENTRY_POINTS = {
    "task": task.run,
    "dag-parse": dag_parse.run,
    "callback": callback.run,
    "bundle": bundle.run,
    "helper": helper.run,
    "triggerer": triggerer.run,
}
KINDS = frozenset(_ENTRY_POINTS)

# What these need is heavy and would burden all others: Airflow's server, the clients of a cloud.
_TEACH_NOTHING = frozenset({"bundle", "triggerer"})

# Out of memory, the kernel must pick a child before the zygote that all children need.
_OOM_SCORE_RAISE = 500
_OOM_SCORE_MAX = 1000


@dataclass
class Channels:
    """One end of each socket between a child and its supervisor."""

    start: socket.socket
    requests: socket.socket
    stdout: socket.socket
    stderr: socket.socket
    logs: socket.socket

    @classmethod
    def pair(cls) -> tuple[Channels, Channels]:
        """Return the supervisor's ends and the child's ends."""
        start = wire.packet_pair()
        streams = [socket.socketpair() for _ in range(4)]
        return (
            cls(start[0], *(near for near, _ in streams)),
            cls(start[1], *(far for _, far in streams)),
        )

    def supervised(self) -> list[int]:
        """Return the descriptors that a supervisor reads and writes."""
        return [s.fileno() for s in (self.requests, self.stdout, self.stderr, self.logs)]

    def close_supervised(self) -> None:
        """Close the sockets that a supervisor reads and writes."""
        for sock in (self.requests, self.stdout, self.stderr, self.logs):
            sock.close()

    def close(self) -> None:
        """Close every socket."""
        self.start.close()
        self.close_supervised()


@dataclass
class Places:
    """The descriptors that user code, and Airflow's logging, use in every child."""

    logs: int
    requests: int = 0
    stdout: int = 1
    stderr: int = 2

    def take(self, channels: Channels) -> None:
        """Put a child's own sockets in the places of the stand-ins."""
        os.dup2(channels.requests.fileno(), self.requests)
        os.dup2(channels.stdout.fileno(), self.stdout)
        os.dup2(channels.stderr.fileno(), self.stderr)
        # Unlike the other three it must not leak into programs that user code starts.
        os.dup2(channels.logs.fileno(), self.logs, inheritable=False)
        channels.close_supervised()


class Forked(BaseException):
    """Unwinds a new child's stack out of the zygote's loop, which is none of its business."""

    def __init__(self, channels: Channels) -> None:
        self.channels = channels


def set_up_then(serve: Callable[[], None]) -> NoReturn:
    """Set this process up as a child and call `serve`, then leave as a child leaves.

    `serve` raises `Forked` in each child.
    """
    from airflow.sdk.execution_time import supervisor

    null = os.open(os.devnull, os.O_RDWR)
    places = Places(logs=os.open(os.devnull, os.O_WRONLY))
    # Configuring logging clears the caches of all loggers once for each logger. Once will do.
    loggers: Any = logging.root.manager
    loggers._clear_cache = lambda: None

    def target() -> None:
        del loggers._clear_cache
        loggers._clear_cache()
        preloaded = frozenset(sys.modules)
        try:
            serve()
        except Forked as forked:
            channels = forked.channels
        else:
            return
        _run(channels, places, preloaded)

    requests: Any = _StandIn(null)
    stdout: Any = _StandIn(null)
    stderr: Any = _StandIn(places.stderr)
    supervisor._fork_main(requests, stdout, stderr, places.logs, target)
    raise AssertionError("_fork_main leaves the process")


class _StandIn:
    """A descriptor in the place of a socket that a child will have."""

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._number


def _run(channels: Channels, places: Places, preloaded: Set[str]) -> None:
    """Take the sockets, wait for the start packet, do the work."""
    os.setpgid(0, 0)
    _offer_to_oom_killer()
    places.take(channels)
    packet = _wait_for_start(channels.start)
    os.environ.update(packet["env"])
    try:
        _ENTRY_POINTS[packet["kind"]]()
    finally:
        if packet["kind"] not in _TEACH_NOTHING:
            learned.report(channels.start, preloaded)


def reset_signals() -> None:
    """Undo the zygote's own signal set-up."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _wait_for_start(start: socket.socket) -> wire.Packet:
    packet = wire.receive(start)
    if packet is None:
        # The zygote went away before there was any work: nobody waits for this child.
        os._exit(0)
    return packet


def _offer_to_oom_killer() -> None:
    try:
        with open("/proc/self/oom_score_adj", "r+") as file:
            score = min(int(file.read()) + _OOM_SCORE_RAISE, _OOM_SCORE_MAX)
            file.seek(0)
            file.write(str(score))
    except OSError:
        # Not offered by every container. It only matters when memory runs out.
        return
