"""Other processes as Linux's /proc shows them, and how they are ended: gently, whole, and steps first.

The source of the formats is proc(5). On systems without /proc a process is known by its pid alone.
"""

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

GRACE = 5.0
"""Seconds that a process has to end after TERM before it is killed."""


@dataclass(frozen=True)
class Process:
    """A process that leads its group. With `steps_first` it ends by itself, cleanly, when a container below it does."""

    pid: int
    is_alive: Callable[[], bool]
    steps_first: bool = False


def start_time(pid: int) -> str | None:
    """When a process started, in clock ticks since the boot: with its pid, what tells it from every other process."""
    with suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
        # The name, in parentheses, may hold spaces and parentheses itself.
        state, *fields = file.read().rpartition(b")")[2].split()
        return None if state == b"Z" else fields[18].decode()
    return None


def end(processes: Sequence[Process], *, at_once: bool = False) -> None:
    """End processes with all their descendants: TERM, and KILL after a grace period; `at_once` leaves out the grace."""
    deadline = time.monotonic() + (0 if at_once else GRACE)
    families = {process.pid: _descendants(process.pid) for process in processes}
    for process in processes:
        if not process.steps_first:
            _signal_group(process.pid, signal.SIGTERM)
    while any(process.is_alive() for process in processes) and (now := time.monotonic()) < deadline:
        for process in processes:
            if process.is_alive():
                families[process.pid] |= _descendants(process.pid)
                if process.steps_first:
                    _kill_steps(process.pid)
                if process.steps_first and now > deadline - GRACE / 2:
                    # It is between steps, or in a long one of its own, such as a COPY.
                    _signal_group(process.pid, signal.SIGTERM)
        time.sleep(0.05)
    for process in processes:
        if process.is_alive():
            families[process.pid] |= _descendants(process.pid)
            _signal_group(process.pid, signal.SIGKILL)
        for pid in families[process.pid]:
            _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        # A child on magnet's own terminal shares magnet's group, which must not be signalled.
        if os.getpgid(pid) == os.getpgrp():
            os.kill(pid, number)
        else:
            os.killpg(os.getpgid(pid), number)


def _descendants(pid: int) -> set[int]:
    """The living descendants of a process, in whatever group or session they are (Linux; elsewhere none)."""
    parents: dict[int, list[int]] = {}
    if not os.path.isdir("/proc/self"):
        return set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError), open(f"/proc/{entry}/stat", "rb") as file:
                # The name, in parentheses, may hold spaces and parentheses itself.
                parent = int(file.read().rpartition(b")")[2].split()[1])
                parents.setdefault(parent, []).append(int(entry))
    found: set[int] = set()
    todo = [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found.update(children)
        todo.extend(children)
    return found


def _kill_steps(pid: int) -> None:
    """Kill what runs in containers below a process: what has other pids, or another root, than magnet has."""
    for descendant in _descendants(pid):
        if _pid_namespaces(descendant) > _pid_namespaces("self") or _root(descendant) not in (None, _root("self")):
            _signal(descendant, signal.SIGKILL)


def _pid_namespaces(pid: int | str) -> int:
    """In how many pid namespaces a process has a number: one more than magnet's in a container below it."""
    # Unlike /proc/PID/ns, this may be read of a process in another user namespace.
    with suppress(OSError), open(f"/proc/{pid}/status", "rb") as file:
        return next((len(line.split()) - 1 for line in file if line.startswith(b"NSpid:")), 0)
    return 0


def _root(pid: int | str) -> str | None:
    """The root directory of a process, which is another one where a step runs without an OCI runtime."""
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/root")
    return None
