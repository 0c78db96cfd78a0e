"""One forked child, from the fork to the entry point of its kind.

Children are forked ahead of need. Each one sets itself up as Airflow's supervisor would do it,
then waits for a start packet that says what it shall be. Everything slow that does not depend on
the work is thus done before the work arrives.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from dataclasses import dataclass
from typing import Any, NoReturn

from updraft_shim import callback, dag_parse, helper, learned, task, wire

_ENTRY_POINTS = {
    "task": task.run,
    "dag-parse": dag_parse.run,
    "callback": callback.run,
    "helper": helper.run,
}
KINDS = frozenset(_ENTRY_POINTS)

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


def run(channels: Channels) -> NoReturn:
    """Become a child: set up, wait for the start packet, do the work, and never return."""
    preloaded = frozenset(sys.modules)
    os.setpgid(0, 0)
    _offer_to_oom_killer()

    from airflow.sdk.execution_time import supervisor

    # Configuring logging clears the caches of all loggers once for each logger. Once will do.
    loggers: Any = logging.root.manager
    loggers._clear_cache = lambda: None

    def target() -> None:
        del loggers._clear_cache
        loggers._clear_cache()
        packet = _wait_for_start(channels.start)
        os.environ.update(packet["env"])
        try:
            _ENTRY_POINTS[packet["kind"]]()
        finally:
            learned.report(channels.start, preloaded)

    supervisor._fork_main(
        channels.requests,
        channels.stdout,
        channels.stderr,
        # `_fork_main` makes a file of the number, so the socket object must let go of it.
        channels.logs.detach(),
        target,
    )
    raise AssertionError("_fork_main leaves the process")


def reset_signals() -> None:
    """Undo the zygote's own signal set-up; `_fork_main` restores the rest."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


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
