"""The zygote: imports Airflow once and forks one child per unit of work.

The parent speaks over a packet socket on descriptor 0:

    {"op": "spawn", "seq", "kind", "env"}   ->  {"event": "spawned", "seq", "pid"} + 5 descriptors
                                                or {"event": "refused", "seq", "error"}
    {"op": "drain"}                         ->  no new children; exit when the last one is gone
    a child ends                            ->  {"event": "exited", "pid", "status", …}
    learned modules cannot be preloaded     ->  {"event": "preload_refused"}

The descriptors are the pidfd, then the supervisor's ends of requests, stdout, stderr and logs.
When the parent is gone the zygote exits and leaves running children alone. The process stays
single-threaded: threads do not survive a fork, locks they hold do.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import sys
from dataclasses import dataclass
from typing import Any, NoReturn

from updraft_shim import child, runtime, wire

_PR_SET_CHILD_SUBREAPER = 36

# Pause before the next try to fork ahead when the machine had no process to spare.
_RETRY_FORK_MS = 1000

# Path of a file that stands for the process which started this one.
_INSTANCE_VARIABLE = "UPDRAFT_INSTANCE"

# JSON object: "idle_children", "example_plugins", "preload".
_SETTINGS_VARIABLE = "UPDRAFT_ZYGOTE"


def main() -> None:
    """Serve until the parent closes the control socket."""
    control = _take_control_socket()
    # Every child keeps this open, by which a later life of the parent can tell whose it is. The
    # environment will not do, because a task child writes its title over it.
    os.open(os.environ[_INSTANCE_VARIABLE], os.O_RDONLY)
    # Taken out of the environment, because children inherit it.
    settings = json.loads(os.environ.pop(_SETTINGS_VARIABLE))
    if not runtime.warm_up(settings["preload"], settings["example_plugins"]):
        _start_again(control, {**settings, "preload": []})
    child.set_up_then(lambda: _serve(control, settings["idle_children"]))


def _serve(control: socket.socket, idle_children: int) -> None:
    runtime.freeze()
    # Again: the set-up gave it back its default.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    zygote = Zygote(control, idle_children)
    wire.send(control, {"event": "ready", **runtime.versions()})
    try:
        zygote.serve()
    except (BrokenPipeError, ConnectionResetError):
        # The parent went away while it was being told something.
        return


@dataclass
class IdleChild:
    """A child that waits for its start packet, and the supervisor's ends of its sockets."""

    pid: int
    pidfd: int
    near: child.Channels

    def hand_over(self, control: socket.socket, seq: int) -> socket.socket:
        """Give the child to the parent; return the socket on which it may still report."""
        packet = {"event": "spawned", "seq": seq, "pid": self.pid}
        wire.send(control, packet, [self.pidfd, *self.near.supervised()])
        os.close(self.pidfd)
        self.near.close_supervised()
        return self.near.start

    def discard(self) -> None:
        """Close everything; a child that still waits for its start packet then exits."""
        os.close(self.pidfd)
        self.near.close()


class Zygote:
    """The loop around one control socket."""

    def __init__(self, control: socket.socket, idle_children: int) -> None:
        self._control = control
        self._idle_wanted = idle_children
        self._idle: list[IdleChild] = []
        self._working: dict[int, socket.socket] = {}
        self._draining = False
        self._retry_fork_ms = 0
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Answer packets and report exits until there is nothing left to do."""
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        poller.register(self._wake_read, select.POLLIN)
        while not (self._draining and not self._working):
            behind = len(self._idle) < self._idle_wanted
            timeout = self._retry_fork_ms if behind else None
            ready = {fd for fd, _events in poller.poll(timeout)}
            if self._wake_read in ready:
                self._reap()
            if self._control.fileno() in ready:
                packet = wire.receive(self._control)
                if packet is None:
                    return
                self._on_packet(packet)
            elif behind:
                # Only with no packet waiting: a spare child must not delay a real one.
                self._fork_ahead()

    def _fork_ahead(self) -> None:
        try:
            self._idle.append(self._fork())
            self._retry_fork_ms = 0
        except OSError:
            # Too many processes or open files. A child that is really wanted gets the error.
            self._retry_fork_ms = _RETRY_FORK_MS

    def _on_packet(self, packet: wire.Packet) -> None:
        if packet["op"] == "spawn":
            self._spawn(packet)
        elif packet["op"] == "drain":
            self._draining = True
            self._idle_wanted = 0
            for idle in self._idle:
                idle.discard()
            self._idle.clear()

    def _spawn(self, packet: wire.Packet) -> None:
        seq = packet["seq"]
        if packet["kind"] not in child.KINDS:
            kinds = ", ".join(sorted(child.KINDS))
            error = f"expected a child kind of {kinds}, found `{packet['kind']}`"
            wire.send(self._control, {"event": "refused", "seq": seq, "error": error})
            return
        try:
            chosen = self._start({"kind": packet["kind"], "env": packet["env"]})
        except OSError as error:
            reason = f"fork failed: {error}"
            wire.send(self._control, {"event": "refused", "seq": seq, "error": reason})
            return
        self._working[chosen.pid] = chosen.hand_over(self._control, seq)

    def _start(self, packet: wire.Packet) -> IdleChild:
        """Give the start packet to a spare child, or to a new one when there is none."""
        while self._idle:
            # The oldest one: it has had the most time to get ready.
            chosen = self._idle.pop(0)
            try:
                wire.send(chosen.near.start, packet)
            except (BrokenPipeError, ConnectionResetError):
                # It died while it waited, and will be reaped like any other child.
                chosen.discard()
                continue
            return chosen
        chosen = self._fork()
        wire.send(chosen.near.start, packet)
        return chosen

    def _fork(self) -> IdleChild:
        near, far = child.Channels.pair()
        try:
            pid = os.fork()
        except OSError:
            near.close()
            far.close()
            raise
        if pid == 0:
            self._become_child(near, far)
        far.close()
        try:
            return IdleChild(pid, os.pidfd_open(pid), near)
        except OSError:
            # The child exits when its start socket closes.
            near.close()
            raise

    def _become_child(self, near: child.Channels, far: child.Channels) -> NoReturn:
        child.reset_signals()
        # A copy kept open here would hide the end of the zygote from its parent.
        self._control.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        near.close()
        for idle in self._idle:
            idle.discard()
        for start in self._working.values():
            start.close()
        raise child.Forked(far)

    def _reap(self) -> None:
        os.read(self._wake_read, 4096)
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            start = self._working.pop(pid, None)
            if start is not None:
                with start:
                    last = wire.receive(start, socket.MSG_DONTWAIT) or {}
                exited = {
                    "event": "exited",
                    "pid": pid,
                    "status": os.waitstatus_to_exitcode(status),
                    "cpu_secs": usage.ru_utime + usage.ru_stime,
                    "max_rss_kib": usage.ru_maxrss,
                    "modules": last.get("modules", []),
                }
                wire.send(self._control, exited)
            else:
                self._forget_idle(pid)

    def _forget_idle(self, pid: int) -> None:
        """Drop a spare child that died. Orphans of former children end here too, unnoticed."""
        for idle in self._idle:
            if idle.pid == pid:
                idle.discard()
                self._idle.remove(idle)
                return


def _start_again(control: socket.socket, settings: dict[str, Any]) -> NoReturn:
    """Replace this process, in which an import has started a thread, by a plain one."""
    wire.send(control, {"event": "preload_refused"})
    os.environ[_SETTINGS_VARIABLE] = json.dumps(settings)
    os.dup2(control.fileno(), 0)
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606


def _take_control_socket() -> socket.socket:
    """Move the control socket away from descriptor 0, which user code takes for its input."""
    control = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    # A key at the terminal is for the parent to handle.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever a dead child leaves behind comes here to be reaped, not to the machine's init.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    return control
