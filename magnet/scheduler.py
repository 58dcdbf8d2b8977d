"""The ready loop: every call once per run, in parallel, with a slot for each that works, or as many as it weighs.

A call runs in a thread of its own. While it waits for what it needs it gives its slot back, so that any depth of
needs runs with a single slot.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from magnet.buildfile import Call, Needed, as_call
from magnet.errors import MagnetfileError, NeedFailed

Ready = Callable[[Call[Any], list[Any]], "tuple[Any] | None"]
"""The result of a call, alone in a tuple, if it is there without any work; it is given the results of its `needs`.

It is asked of calls with inputs or outputs, at most once for equal calls, in the thread of whoever wants them.
"""

Expect = Callable[[list[Call[Any]]], Callable[[], None]]
"""Is told of many calls before `ready` is asked of them; what it returns is called afterwards."""

_MANY = 8

_DEEPEST = 50
"""So many calls that need one another are looked at in one thread; Python's stack has an end."""

Body = Callable[[Call[Any]], Any]
"""Does the work of a call; called in the call's own thread, at most once for equal calls.

It is called as well where nothing new is to be started, to say so; see `Scheduler.is_stopped`.
"""


class _Slots:
    """Slots that are had in the order in which they are asked for; what has begun goes before what has not.

    Whoever wants more than one waits for all of them, and nobody overtakes it meanwhile: it would wait for ever. What
    is more than there are is all that there are.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._free = number
        self._waiting: deque[tuple[int, threading.Event]] = deque()
        self._lock = threading.Lock()

    def ask(self, wanted: int, *, has_begun: bool = False) -> threading.Event:
        """An event that is set when so many slots are there."""
        turn = threading.Event()
        one = (min(wanted, self._number), turn)
        with self._lock:
            if has_begun:
                self._waiting.appendleft(one)
            else:
                self._waiting.append(one)
            self._hand_out()
        return turn

    def give_back(self, wanted: int) -> None:
        """Let the next ones have as many slots as were asked for."""
        with self._lock:
            self._free += min(wanted, self._number)
            self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            wanted, turn = self._waiting.popleft()
            self._free -= wanted
            turn.set()


class _Node:
    def __init__(self, call: Call[Any]) -> None:
        self.call = call
        self.done = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None
        self.waits_for: list[str] = []
        self.waiting = 0
        self.needed: dict[str, str] = {}


class Scheduler:
    """Runs calls and what they need.

    After a failure nothing new is started, and what runs is left to end; with `keep_going` only what needs the
    failed call is left out. What is `ready` costs no thread.
    """

    def __init__(
        self,
        body: Body,
        *,
        jobs: int,
        keep_going: bool = False,
        ready: Ready | None = None,
        expect: Expect | None = None,
    ) -> None:
        self._body = body
        self._expect = expect
        self._ready = ready
        self._slots = _Slots(jobs)
        self._keep_going = keep_going
        self._lock = threading.Lock()
        self._nodes: dict[str, _Node] = {}
        self._stopped = threading.Event()

    def run(self, calls: Iterable[Call[Any]]) -> bool:
        """Run the calls and all that they need, and return whether every one of them succeeded."""
        nodes = self._start_all(list(calls))
        for node in nodes:
            # With a time limit, for a wait without one cannot be interrupted on every platform.
            while not node.done.wait(1):
                pass
        return all(node.error is None for node in nodes)

    def need(self, parent: Call[Any], needed: Iterable[Needed]) -> list[Any]:
        """Run what a running call needs, and return their results in order.

        Raises NeedFailed when one of them failed, after all have ended, and MagnetfileError for a cycle.
        """
        calls = [as_call(one) for one in needed]
        waiting = self._nodes[parent.key]
        with self._lock:
            for call in calls:
                self._refuse_cycle(waiting, call)
            waiting.waits_for += [call.key for call in calls]
            waiting.needed |= {call.key: call.name for call in calls}
        nodes = self._start_all(calls)
        self._leave_slot(waiting)
        try:
            for node in nodes:
                node.done.wait()
        finally:
            self._take_slot(waiting)
            with self._lock:
                for call in calls:
                    waiting.waits_for.remove(call.key)
        failed = [node for node in nodes if node.error is not None]
        if failed:
            names = ", ".join(f"`{node.call.name}`" for node in failed)
            raise NeedFailed(f"{names} failed") from failed[0].error
        return [node.result for node in nodes]

    def needed(self, call: Call[Any]) -> dict[str, str]:
        """What a call has needed so far: the names by the keys."""
        with self._lock:
            return dict(self._nodes[call.key].needed)

    @property
    def is_stopped(self) -> bool:
        """Whether nothing new is to be started."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Start nothing from now on."""
        self._stopped.set()

    def _start_all(self, calls: list[Call[Any]]) -> list[_Node]:
        if self._expect is None or len(calls) < _MANY:
            return [self._start(call) for call in calls]
        settled = self._expect([call for call in calls if call.target.is_skippable])
        nodes = [self._start(call) for call in calls]
        settled()
        return nodes

    def _start(self, call: Call[Any], depth: int = 0) -> _Node:
        with self._lock:
            node = self._nodes.get(call.key)
            if node is not None:
                return node
            node = self._nodes[call.key] = _Node(call)
        # What may be skipped for another reason is looked at when its turn comes.
        may_be_ready = call.target.is_skippable and not call.target.policy.may_skip
        found = self._look(call, depth) if may_be_ready else None
        if found is not None:
            (node.result,) = found
            node.done.set()
            return node
        # A daemon, because a body that never ends must not outlive an interrupt.
        arguments = (node, self._slots.ask(call.target.policy.weight))
        threading.Thread(target=self._work, args=arguments, name=call.name, daemon=True).start()
        return node

    def _look(self, call: Call[Any], depth: int) -> tuple[Any] | None:
        """The result of a call that is ready, and whose needs are."""
        if self._ready is None or self.is_stopped or depth == _DEEPEST:
            return None
        nodes = [self._start(as_call(one), depth + 1) for one in call.target.needs]
        if not all(node.done.is_set() and node.error is None for node in nodes):
            return None
        return self._ready(call, [node.result for node in nodes])

    def _work(self, node: _Node, turn: threading.Event) -> None:
        turn.wait()
        try:
            node.result = self._body(node.call)
        except BaseException as error:
            node.error = error
            if not self._keep_going:
                self._stopped.set()
        finally:
            self._slots.give_back(node.call.target.policy.weight)
            node.done.set()

    def _leave_slot(self, node: _Node) -> None:
        """Give the slot of a call back of which a thread waits, if that is the first."""
        with self._lock:
            node.waiting += 1
            is_first = node.waiting == 1
        if is_first:
            self._slots.give_back(node.call.target.policy.weight)

    def _take_slot(self, node: _Node) -> None:
        """Wait for the slot of a call of which a thread goes on, if that was the last that waited.

        The others go on without: the call cannot keep from those that they wait for what these need to run.
        """
        with self._lock:
            node.waiting -= 1
            is_last = node.waiting == 0
        if is_last:
            self._slots.ask(node.call.target.policy.weight, has_begun=True).wait()

    def _refuse_cycle(self, waiting: _Node, call: Call[Any]) -> None:
        path = self._path(call.key, waiting.call.key)
        if path:
            names = [waiting.call.name, *(self._nodes[key].call.name for key in path)]
            raise MagnetfileError(
                f"targets need each other in a cycle: {' -> '.join(names)}",
                hint="take one of these needs away",
            )

    def _path(self, start: str, goal: str) -> list[str] | None:
        """The way from one call to another along what each waits for, both included, or None."""
        came_from = {start: ""}
        todo = [start]
        while todo and goal not in came_from:
            key = todo.pop()
            node = self._nodes.get(key)
            for further in node.waits_for if node else ():
                if further not in came_from:
                    came_from[further] = key
                    todo.append(further)
        if goal not in came_from:
            return None
        path = [goal]
        while path[-1] != start:
            path.append(came_from[path[-1]])
        return path[::-1]
