"""The ready loop: every call once per run, in parallel, with a slot for each that works.

A call runs in a thread of its own. While it waits for what it needs it gives its slot back, so that any depth of
needs runs with a single slot.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any

from magnet.buildfile import Call, Needed, as_call
from magnet.errors import MagnetfileError, NeedFailed

Body = Callable[[Call[Any]], Any]
"""Does the work of a call; called in the call's own thread, at most once for equal calls.

It is called as well where nothing new is to be started, to say so; see `Scheduler.is_stopped`.
"""


class _Node:
    def __init__(self, call: Call[Any]) -> None:
        self.call = call
        self.done = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None
        self.waits_for: set[str] = set()


class Scheduler:
    """Runs calls and what they need.

    After a failure nothing new is started, and what runs is left to end; with `keep_going` only what needs the
    failed call is left out.
    """

    def __init__(self, body: Body, *, jobs: int, keep_going: bool = False) -> None:
        self._body = body
        self._slots = threading.Semaphore(jobs)
        self._keep_going = keep_going
        self._lock = threading.Lock()
        self._nodes: dict[str, _Node] = {}
        self._stopped = threading.Event()

    def run(self, calls: Iterable[Call[Any]]) -> bool:
        """Run the calls and all that they need, and return whether every one of them succeeded."""
        nodes = [self._start(call) for call in calls]
        for node in nodes:
            # With a time limit, for a wait without one cannot be interrupted on every platform.
            while not node.done.wait(1):
                pass
        return all(node.error is None for node in nodes)

    def need(self, parent: Call[Any], needed: Iterable[Needed]) -> list[Any]:
        """Run what a running call needs, and return their results in order.

        Raises NeedFailed when one of them failed, after all have ended, and MagnetfileError for a circle.
        """
        calls = [as_call(one) for one in needed]
        waiting = self._nodes[parent.key]
        with self._lock:
            for call in calls:
                self._refuse_circle(waiting, call)
                waiting.waits_for.add(call.key)
        nodes = [self._start(call) for call in calls]
        self._slots.release()
        try:
            for node in nodes:
                node.done.wait()
        finally:
            self._slots.acquire()
            waiting.waits_for.clear()
        failed = [node for node in nodes if node.error is not None]
        if failed:
            names = ", ".join(f"`{node.call.name}`" for node in failed)
            raise NeedFailed(f"{names} failed") from failed[0].error
        return [node.result for node in nodes]

    @property
    def is_stopped(self) -> bool:
        """Whether nothing new is to be started."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Start nothing from now on."""
        self._stopped.set()

    def _start(self, call: Call[Any]) -> _Node:
        with self._lock:
            node = self._nodes.get(call.key)
            if node is None:
                node = self._nodes[call.key] = _Node(call)
                # A daemon, because a body that never ends must not outlive an interrupt.
                threading.Thread(target=self._work, args=(node,), name=call.name, daemon=True).start()
            return node

    def _work(self, node: _Node) -> None:
        with self._slots:
            try:
                node.result = self._body(node.call)
            except BaseException as error:
                node.error = error
                if not self._keep_going:
                    self._stopped.set()
            finally:
                node.done.set()

    def _refuse_circle(self, waiting: _Node, call: Call[Any]) -> None:
        path = self._path(call.key, waiting.call.key)
        if path:
            names = [waiting.call.name, *(self._nodes[key].call.name for key in path)]
            raise MagnetfileError(
                f"targets need each other in a circle: {' -> '.join(names)}",
                hint="take one of these needs away",
            )

    def _path(self, start: str, goal: str) -> list[str] | None:
        """The way from one call to another along what each waits for, both included, or None."""
        todo = [[start]]
        while todo:
            path = todo.pop()
            if path[-1] == goal:
                return path
            node = self._nodes.get(path[-1])
            todo += [[*path, key] for key in (node.waits_for if node else ()) if key not in path]
        return None
