"""Other processes as Linux's /proc shows them, and how they are ended: gently, whole, and steps first.

The source of the formats is proc(5). On systems without /proc a process is known by its pid alone.
"""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from magnet.values import frozen

GRACE = 5.0
"""Seconds that processes have to end after TERM before they are killed."""

_AFTER_KILL = 1.0


@frozen
class Process:
    """A process that leads its group. With `steps_first` it ends by itself, cleanly, when a container below it does."""

    pid: int
    is_alive: Callable[[], bool]
    steps_first: bool = False


@frozen
class _Stat:
    """A line of /proc/PID/stat: with its start, a process is told from a later one of its pid."""

    pid: int
    parent: int
    group: int
    started: str


def start_time(pid: int) -> str | None:
    """When a process started, in clock ticks since the boot; None where it has ended."""
    found = _stat(pid)
    return found.started if found else None


def end(processes: Sequence[Process], *, at_once: bool = False) -> None:
    """End processes with their groups and descendants: TERM, and KILL after a grace period; `at_once` leaves it out.

    Returns when none of them is alive.
    """
    deadline = time.monotonic() + (0 if at_once else GRACE)
    family: set[_Stat] = set()
    for process in processes:
        of_this = _family(process.pid)
        family |= of_this
        if not process.steps_first:
            _signal_leader(process, signal.SIGTERM)
            _signal_all(of_this, signal.SIGTERM)
    while (now := time.monotonic()) < deadline and _is_any_alive(processes, family):
        for process in processes:
            if process.is_alive():
                family |= _family(process.pid)
                if process.steps_first:
                    _end_steps_of(process, now > deadline - GRACE / 2)
        time.sleep(0.05)
    for process in processes:
        family |= _family(process.pid)
        _signal_leader(process, signal.SIGKILL)
    _signal_all(family, signal.SIGKILL)
    while time.monotonic() < deadline + _AFTER_KILL and _is_any_alive(processes, family):
        time.sleep(0.01)


def _end_steps_of(process: Process, is_late: bool) -> None:
    """Kill what runs in containers below a process: what has other pids, or another root, than magnet has."""
    for descendant in _family(process.pid):
        pid = descendant.pid
        if _pid_namespaces(pid) > _pid_namespaces("self") or _root(pid) not in (None, _root("self")):
            _signal(pid, signal.SIGKILL)
    if is_late:
        # It is between steps, or in a long one of its own, such as a COPY.
        _signal_leader(process, signal.SIGTERM)


def _is_any_alive(processes: Iterable[Process], family: Iterable[_Stat]) -> bool:
    return any(process.is_alive() for process in processes) or any(start_time(one.pid) == one.started for one in family)


def _signal_leader(process: Process, number: signal.Signals) -> None:
    if not process.is_alive():
        return
    with suppress(ProcessLookupError, PermissionError):
        group = os.getpgid(process.pid)
        # A child on magnet's own terminal shares magnet's group, which must not be signalled.
        if group == os.getpgrp():
            os.kill(process.pid, number)
        else:
            os.killpg(group, number)


def _signal_all(family: Iterable[_Stat], number: signal.Signals) -> None:
    for one in family:
        if start_time(one.pid) == one.started:
            _signal(one.pid, number)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _family(leader: int) -> set[_Stat]:
    """The living descendants of a process, and what else is in its group (Linux; elsewhere none)."""
    processes = list(_processes())
    found = {one for one in processes if one.group == leader and one.pid != leader}
    below: dict[int, list[_Stat]] = {}
    for one in processes:
        below.setdefault(one.parent, []).append(one)
    todo = [leader, *(one.pid for one in found)]
    while todo:
        children = below.get(todo.pop(), [])
        todo += [child.pid for child in children if child not in found]
        found.update(children)
    return found


def _processes() -> Iterator[_Stat]:
    with suppress(OSError):
        for entry in os.listdir("/proc"):
            if entry.isdigit() and (found := _stat(int(entry))):
                yield found


def _stat(pid: int) -> _Stat | None:
    """What /proc tells of a process that has not ended."""
    with suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
        # The name, in parentheses, may hold spaces and parentheses itself.
        state, parent, group, *more = file.read().rpartition(b")")[2].split()
        return None if state == b"Z" else _Stat(pid, int(parent), int(group), more[16].decode())
    return None


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
