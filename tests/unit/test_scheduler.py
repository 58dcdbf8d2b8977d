"""What runs, when, how often, and how much of it at once."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, TypeVar

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from magnet.buildfile import Call, Target, target
from magnet.errors import Canceled, MagnetError, MagnetfileError, NeedFailed
from magnet.policy import Policy
from magnet.scheduler import Scheduler

TIMEOUT = 10.0
"""Seconds after which a broken scheduler is a failed test; nothing waits that long for a good one."""

CHANCE = 0.02
"""Seconds that a broken scheduler gets to do what it must not."""

PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""Without the search for a smaller example: each could be one more that is stuck until the time is out."""

Plan = Mapping[str, tuple[tuple[str, ...], ...]]
"""For each target the groups of those that it needs, one group after the other."""

R = TypeVar("R")


def unused(t: Any) -> None:
    raise AssertionError("a scheduler calls bodies, not targets")


def calls(names: Iterable[str]) -> list[Call[Any]]:
    return [Call(Target(unused, name)) for name in names]


def weighing(weights: Mapping[str, int], names: Iterable[str]) -> list[Call[Any]]:
    return [Call(Target(unused, name, policy=Policy(weight=weights[name]))) for name in names]


def finished(work: Callable[[], R], patience: float = TIMEOUT) -> R:
    """What the work returns, where it returns at all."""
    returned: list[R] = []
    thread = threading.Thread(target=lambda: returned.append(work()), daemon=True)
    thread.start()
    thread.join(patience)
    assert returned, "the scheduler is stuck"
    return returned[0]


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class Gauge:
    """Counts the bodies at work, and remembers how many there were at most."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._now = 0
        self.most = 0

    @contextmanager
    def working(self, too_many: int = 0, weight: int = 1) -> Iterator[None]:
        """At work for a block; where a number is too many, others get a chance to reach it."""
        self._add(weight)
        try:
            if too_many:
                with self._changed:
                    self._changed.wait_for(lambda: self._now >= too_many, CHANCE)
            yield
        finally:
            self._add(-weight)

    def _add(self, number: int) -> None:
        with self._changed:
            self._now += number
            self.most = max(self.most, self._now)
            self._changed.notify_all()


def run_plan(plan: Plan, *roots: str, **options: Any) -> tuple[bool, list[str], dict[str, BaseException]]:
    """Whether the roots succeeded, what ended, in order, and what failed, with its error."""
    ended: list[str] = []
    errors: dict[str, BaseException] = {}

    def body(call: Call[Any]) -> str:
        try:
            for group in plan[call.name]:
                assert scheduler.need(call, calls(group)) == list(group)
        except MagnetError as error:
            errors[call.name] = error
            raise
        ended.append(call.name)
        return call.name

    scheduler = Scheduler(body, **options)
    return finished(lambda: scheduler.run(calls(roots))), ended, errors


def test_equal_calls_are_one_run_and_others_are_not() -> None:
    @target
    def library(t: Any, version: str = "1") -> None: ...

    @target
    def app(t: Any) -> None: ...

    bodies: list[str] = []

    def body(call: Call[Any]) -> object:
        bodies.append(call.key)
        if call.target is app:
            one, same, again, other = scheduler.need(call, [library, library(), library("1"), library("2")])
            assert one is same
            assert same is again
            assert again is not other
        return object()

    scheduler = Scheduler(body, jobs=2)
    assert finished(lambda: scheduler.run([library(version="1"), app(), app()]))
    assert finished(lambda: scheduler.run([app()]))
    assert sorted(bodies) == ["app()", "library(version='1')", "library(version='2')"]


def test_a_failed_call_is_not_run_again_for_the_next_that_needs_it() -> None:
    reason = ValueError("broken")
    bodies: list[str] = []
    causes: list[object] = []

    def body(call: Call[Any]) -> None:
        bodies.append(call.name)
        if call.name == "lib":
            raise reason
        for _ in range(2):
            with pytest.raises(NeedFailed, match=r"^`lib` failed$") as caught:
                scheduler.need(call, calls(["lib"]))
            causes.append(caught.value.__cause__)

    scheduler = Scheduler(body, jobs=2, keep_going=True)
    assert finished(lambda: scheduler.run(calls(["one", "two"])))
    assert sorted(bodies) == ["lib", "one", "two"]
    assert causes == [reason] * 4


@pytest.mark.parametrize("needed", [False, True])
def test_what_is_wanted_together_runs_together(needed: bool) -> None:
    meeting = threading.Barrier(3)

    def body(call: Call[Any]) -> None:
        if call.name == "all":
            scheduler.need(call, calls("abc"))
        else:
            meeting.wait(TIMEOUT)

    # As many jobs as meet: one that waits in `need` leaves its slot to them.
    scheduler = Scheduler(body, jobs=3)
    assert finished(lambda: scheduler.run(calls(["all"] if needed else "abc")))


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_no_more_than_jobs_bodies_are_at_work_before_and_after_a_need(jobs: int) -> None:
    gauge = Gauge()

    def body(call: Call[Any]) -> None:
        with gauge.working(too_many=jobs + 1):
            pass
        if call.name in "abcd":
            scheduler.need(call, calls(["lib", f"lib-{call.name}"]))
            with gauge.working(too_many=jobs + 1):
                pass

    scheduler = Scheduler(body, jobs=jobs)
    assert finished(lambda: scheduler.run(calls("abcdef")))
    assert gauge.most <= jobs


def test_needs_of_any_depth_run_with_a_single_slot() -> None:
    names = [str(number) for number in range(50)]
    plan = {name: ((below,),) for name, below in pairwise(names)} | {names[-1]: ()}
    assert run_plan(plan, "0", jobs=1) == (True, names[::-1], {})


def test_results_are_returned_in_the_order_of_the_needs_whichever_ends_first() -> None:
    ended = {name: threading.Event() for name in "abc"}
    results: list[Any] = []

    def body(call: Call[Any]) -> str:
        if call.name == "all":
            results.extend((scheduler.need(call, []), scheduler.need(call, calls("abca"))))
            return ""
        if after := {"a": "b", "b": "c"}.get(call.name):
            assert ended[after].wait(TIMEOUT)
        ended[call.name].set()
        return f"result of {call.name}"

    scheduler = Scheduler(body, jobs=3)
    assert finished(lambda: scheduler.run(calls(["all"])))
    assert results == [[], ["result of a", "result of b", "result of c", "result of a"]]


@pytest.mark.parametrize(
    ("plan", "cycle"),
    [
        ({"a": "a"}, "a -> a"),
        ({"a": "b", "b": "a"}, "b -> a -> b"),
        ({"a": "b", "b": "c", "c": "d", "d": "b"}, "d -> b -> c -> d"),
        ({"a": ["lib", "b"], "b": ["lib", "a"], "lib": ""}, "b -> a -> b"),
    ],
)
def test_a_cycle_is_named_in_full(plan: Mapping[str, Iterable[str]], cycle: str) -> None:
    succeeded, _, errors = run_plan({name: (tuple(needs),) for name, needs in plan.items()}, "a", jobs=1)
    (error,) = [error for error in errors.values() if isinstance(error, MagnetfileError)]
    assert not succeeded
    assert error.message == f"targets need each other in a cycle: {cycle}"
    assert (error.hint, error.detail, error.exit_code) == ("take one of these needs away", (), 2)
    assert all(isinstance(other, NeedFailed) for other in errors.values() if other is not error)


def test_a_cycle_is_named_with_the_arguments_that_make_it() -> None:
    @target
    def count(t: Any, number: int) -> None: ...

    errors: list[str] = []

    def body(call: Call[Any]) -> None:
        ((_, number),) = call.arguments
        try:
            scheduler.need(call, [count(number - 1 if number else 1)])
        except MagnetfileError as error:
            errors.append(error.message)

    scheduler = Scheduler(body, jobs=1)
    assert finished(lambda: scheduler.run([count(3)]))
    assert errors == ["targets need each other in a cycle: count(number=0) -> count(number=1) -> count(number=0)"]


def test_a_target_that_goes_on_without_a_refused_need_waits_for_nothing() -> None:
    refused = threading.Event()

    def body(call: Call[Any]) -> None:
        if call.name == "lib":
            with pytest.raises(MagnetfileError):
                scheduler.need(call, calls(["app", "lib"]))
            refused.set()
        else:
            assert refused.wait(TIMEOUT)
            scheduler.need(call, calls(["lib"]))

    scheduler = Scheduler(body, jobs=2)
    assert finished(lambda: scheduler.run(calls(["lib", "app"])))


def test_the_search_for_a_cycle_ends_in_a_graph_of_many_paths() -> None:
    deep, found_none = threading.Event(), threading.Event()
    in_time: list[bool] = []

    def body(call: Call[Any]) -> None:
        if call.name == "late":
            assert deep.wait(TIMEOUT)
            scheduler.need(call, calls(["0 left", "none"]))
        elif call.name == "none":
            found_none.set()
        elif call.name.startswith("27"):
            deep.set()
            # A search of 56 targets takes milliseconds, one of 2 ** 27 paths does not.
            in_time.append(found_none.wait(1.5))
        else:
            below = int(call.name.split()[0]) + 1
            scheduler.need(call, calls([f"{below} left", f"{below} right"]))

    scheduler = Scheduler(body, jobs=3)
    assert finished(lambda: scheduler.run(calls(["0 left", "0 right", "late"])), patience=10 * TIMEOUT)
    assert in_time == [True, True]


def test_the_search_for_a_cycle_is_not_disturbed_by_a_need_that_ends_meanwhile() -> None:
    searching = threading.Event()
    errors: list[BaseException] = []

    class SlowKey(str):
        """A key that takes its time in the thread that searches."""

        def __hash__(self) -> int:
            return hash(self._slowly())

        def __eq__(self, other: object) -> bool:
            return self._slowly() == str(other)

        def _slowly(self) -> str:
            if threading.current_thread().name == "late":
                searching.set()
                time.sleep(CHANCE)
            return str(self)

    class SlowCall(Call[Any]):
        @property
        def key(self) -> str:
            return SlowKey(super().key)

    slow = [SlowCall(call.target) for call in calls("abcde")]

    def body(call: Call[Any]) -> None:
        try:
            if call.name == "early":
                scheduler.need(call, slow)
            elif call.name == "late":
                until(lambda: len(begun) == len(slow))
                scheduler.need(call, calls(["early"]))
            else:
                begun.append(call.name)
                assert searching.wait(TIMEOUT)
        except BaseException as error:
            errors.append(error)
            raise

    begun: list[str] = []
    scheduler = Scheduler(body, jobs=9)
    assert finished(lambda: scheduler.run(calls(["early", "late"])))
    assert not errors


@pytest.mark.parametrize("keep_going", [False, True])
def test_after_a_failure_what_runs_is_left_to_end_and_only_keep_going_starts_more(keep_going: bool) -> None:
    was_stopped: dict[str, bool] = {}
    ended: list[str] = []
    meeting = threading.Barrier(2)
    has_failed: list[bool] = []

    def body(call: Call[Any]) -> None:
        was_stopped[call.name] = scheduler.is_stopped
        if call.name == "bad":
            meeting.wait(TIMEOUT)
            raise ValueError
        if call.name == "slow":
            meeting.wait(TIMEOUT)
            with pytest.raises(NeedFailed):
                scheduler.need(call, calls(["bad"]))
            has_failed.append(scheduler.is_stopped)
            scheduler.need(call, calls(["next"]))
        ended.append(call.name)

    scheduler = Scheduler(body, jobs=2, keep_going=keep_going)
    assert not finished(lambda: scheduler.run(calls(["bad", "slow"])))
    assert was_stopped == {"bad": False, "slow": False, "next": not keep_going}
    assert has_failed == [not keep_going]
    assert ended == ["next", "slow"]


def test_a_need_that_failed_is_told_when_all_have_ended_with_every_name_in_order() -> None:
    told = threading.Event()
    errors = {"bad": ValueError("bad"), "worse": ValueError("worse")}
    caught: list[NeedFailed] = []
    early: list[bool] = []

    def body(call: Call[Any]) -> None:
        if call.name in errors:
            raise errors[call.name]
        if call.name == "slow":
            until(lambda: scheduler.is_stopped)
            early.append(told.wait(CHANCE))
        if call.name == "all":
            try:
                scheduler.need(call, calls(["fine", "worse", "bad", "slow"]))
            except NeedFailed as error:
                told.set()
                caught.append(error)

    scheduler = Scheduler(body, jobs=4)
    assert finished(lambda: scheduler.run(calls(["all"])))
    assert [(error.message, error.hint, error.exit_code) for error in caught] == [("`worse`, `bad` failed", None, 1)]
    assert caught[0].__cause__ is errors["worse"]
    assert early == [False]


@pytest.mark.parametrize("error", [ValueError(), MagnetError("no"), SystemExit(0), KeyboardInterrupt()])
def test_whatever_a_body_raises_is_a_failure_and_frees_its_slot(error: BaseException) -> None:
    ended: list[str] = []

    def body(call: Call[Any]) -> None:
        if call.name == "bad":
            raise error
        ended.append(call.name)

    scheduler = Scheduler(body, jobs=1)
    assert not finished(lambda: scheduler.run(calls(["bad", "good"])))
    assert ended == ["good"]


def test_after_stop_bodies_are_called_to_say_that_they_do_not_start() -> None:
    def body(call: Call[Any]) -> None:
        if call.name == "app":
            scheduler.stop()
            scheduler.need(call, calls(["lib"]))
        elif scheduler.is_stopped:
            said.append(call.name)
            raise Canceled

    said: list[str] = []
    scheduler = Scheduler(body, jobs=1, keep_going=True)
    assert not scheduler.is_stopped
    assert not finished(lambda: scheduler.run(calls(["app"])))
    assert said == ["lib"]


def test_a_run_can_be_interrupted_while_a_body_never_ends() -> None:
    released = threading.Event()

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    def body(call: Call[Any]) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        released.wait(TIMEOUT)

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            Scheduler(body, jobs=1).run(calls("a"))
    finally:
        signal.signal(signal.SIGUSR1, before)
        released.set()


@st.composite
def plans(draw: st.DrawFn, *, cycles: bool = False) -> Plan:
    """Up to seven targets, each of which needs some of those before it, or with cycles some of all."""
    names = "abcdefg"[: draw(st.integers(1, 7))]
    plan = {}
    for at, name in enumerate(names):
        choice = names if cycles else names[:at]
        group = st.lists(st.sampled_from(choice), max_size=3).map(tuple) if choice else st.just(())
        plan[name] = (draw(group),) if cycles else tuple(draw(st.lists(group, max_size=2)))
    return plan


@settings(deadline=None, phases=PHASES)
@given(plans(), st.data(), st.integers(1, 4), st.booleans())
def test_each_runs_once_after_what_it_needs_with_no_more_than_jobs_at_work(
    plan: Plan, data: st.DataObject, jobs: int, keep_going: bool
) -> None:
    roots = data.draw(st.lists(st.sampled_from(sorted(plan)), min_size=1))
    bad = data.draw(st.sets(st.sampled_from(sorted(plan)), max_size=2))
    gauge = Gauge()
    began: list[str] = []
    ended: list[str] = []
    wrong: list[str] = []

    def body(call: Call[Any]) -> str:
        with gauge.working():
            began.append(call.name)
            if scheduler.is_stopped:
                raise Canceled
        for group in plan[call.name]:
            if scheduler.need(call, calls(group)) != list(group) or not set(group) <= set(ended):
                wrong.append(call.name)
            with gauge.working():
                pass
        if call.name in bad:
            raise ValueError
        ended.append(call.name)
        return call.name

    def reached(name: str) -> bool:
        """Note what runs for a target where nothing is stopped, and return whether it succeeds."""
        expected.add(name)
        for group in plan[name]:
            # A list, for all of a group run, whatever becomes of the first.
            if False in [reached(needed) for needed in group]:
                return False
        return name not in bad

    scheduler = Scheduler(body, jobs=jobs, keep_going=keep_going)
    expected: set[str] = set()
    succeeds = [reached(root) for root in roots]
    assert finished(lambda: scheduler.run(calls(roots))) == all(succeeds)
    assert not wrong
    assert len(began) == len(set(began))
    assert set(began) <= expected
    if keep_going or all(succeeds):
        assert set(began) == expected
        assert set(ended) == {name for name in expected if reached(name)}
    assert gauge.most <= jobs


@settings(deadline=None, phases=PHASES)
@given(plans(), st.data(), st.integers(1, 4))
def test_whatever_targets_weigh_all_of_them_run_and_together_no_more_than_jobs(
    plan: Plan, data: st.DataObject, jobs: int
) -> None:
    weights = {name: data.draw(st.integers(1, 6), name) for name in plan}
    gauge = Gauge()
    ended: list[str] = []

    def body(call: Call[Any]) -> None:
        weight = min(weights[call.name], jobs)
        with gauge.working(weight=weight):
            pass
        for group in plan[call.name]:
            scheduler.need(call, weighing(weights, group))
            with gauge.working(weight=weight):
                pass
        ended.append(call.name)

    scheduler = Scheduler(body, jobs=jobs)
    assert finished(lambda: scheduler.run(weighing(weights, plan)))
    assert sorted(ended) == sorted(plan)
    assert gauge.most <= jobs


def test_what_weighs_more_waits_for_its_slots_and_is_not_overtaken() -> None:
    weights = {"light": 1, "heavy": 2, "late": 1}
    began: list[str] = []
    asked = threading.Event()

    def body(call: Call[Any]) -> None:
        began.append(call.name)
        if call.name == "light":
            assert asked.wait(TIMEOUT)
            time.sleep(CHANCE)  # in which another could overtake
            assert began == ["light"]

    scheduler = Scheduler(body, jobs=2)
    wanted = weighing(weights, weights)
    threading.Timer(CHANCE, asked.set).start()
    assert finished(lambda: scheduler.run(wanted))
    assert began == ["light", "heavy", "late"]


@settings(deadline=None, phases=PHASES)
@given(plans(cycles=True), st.integers(1, 4))
def test_any_cycle_is_found_and_is_one(plan: Plan, jobs: int) -> None:
    needs = {name: set(groups[0]) for name, groups in plan.items()}
    good: set[str] = set()
    while more := {name for name in plan if needs[name] <= good} - good:
        good |= more
    succeeded, ended, errors = run_plan(plan, *plan, jobs=jobs, keep_going=True)
    assert (succeeded, set(ended), set(errors)) == (not errors, good, set(plan) - good)
    for error in errors.values():
        if not isinstance(error, NeedFailed):
            cycle = str(error).removeprefix("targets need each other in a cycle: ").split(" -> ")
            assert cycle[0] == cycle[-1]
            assert all(after in needs[name] for name, after in pairwise(cycle))


# What is ready


def skippable(number: int, needs: Sequence[Call[Any]] = ()) -> Call[Any]:
    @target(name=f"t{number}", needs=needs, inputs="x")
    def one(t: Any) -> None: ...

    return one()


def chain(length: int) -> Call[Any]:
    call = skippable(0)
    for number in range(1, length):
        call = skippable(number, [call])
    return call


def test_what_is_ready_is_not_run_and_costs_no_thread() -> None:
    threads, results = list[str](), dict[str, Any]()

    def ready(call: Call[Any], values: list[Any]) -> tuple[Any]:
        threads.append(threading.current_thread().name)
        results[call.name] = values
        return (call.name,)

    def body(call: Call[Any]) -> Any:
        pytest.fail("nothing is to be run")

    wanted = [skippable(1, [skippable(2), skippable(3)]), skippable(3)]
    assert Scheduler(body, jobs=1, ready=ready).run(wanted)
    assert threads == [threading.current_thread().name] * 3
    assert results == {"t1": ["t2", "t3"], "t2": [], "t3": []}


def test_what_needs_something_that_is_to_be_run_is_not_ready() -> None:
    asked, ran = list[str](), list[str]()

    def ready(call: Call[Any], values: list[Any]) -> None:
        asked.append(call.name)

    def body(call: Call[Any]) -> None:
        ran.append(call.name)
        if call.name == "t0":
            until(lambda: "t2" in ran)
        scheduler.need(call, call.target.needs)

    scheduler = Scheduler(body, jobs=3, ready=ready)
    assert scheduler.run([chain(3)])
    assert (asked, sorted(ran)) == (["t0"], ["t0", "t1", "t2"])


def test_nothing_is_ready_once_the_run_is_stopped() -> None:
    ran: list[str] = []
    scheduler = Scheduler(lambda call: ran.append(call.name), jobs=1, ready=lambda call, values: (1,))
    scheduler.stop()
    assert scheduler.run([skippable(1)])
    assert ran == ["t1"], "whoever runs it says that it is canceled"


def test_a_chain_of_any_length_can_be_ready() -> None:
    def body(call: Call[Any]) -> Any:
        return sum(scheduler.need(call, call.target.needs)) + 1

    scheduler = Scheduler(body, jobs=1, ready=lambda call, values: (sum(values) + 1,))
    length = 2 * sys.getrecursionlimit()
    last = chain(length)
    assert scheduler.run([last])
    assert scheduler.need(last, [last.target.needs[0]]) == [length - 1]


def test_many_calls_are_announced_before_they_are_asked_for() -> None:
    told: list[str] = []

    def expect(calls: list[Call[Any]]) -> Callable[[], None]:
        told.append(" ".join(call.name for call in calls))
        return lambda: told.append("settled")

    def ready(call: Call[Any], values: list[Any]) -> tuple[Any]:
        told.append(call.name)
        return (None,)

    wanted = [skippable(number) for number in range(8)]
    names = [call.name for call in wanted]
    assert Scheduler(lambda call: None, jobs=1, ready=ready, expect=expect).run(wanted)
    assert told == [" ".join(names), *names, "settled"]
    told.clear()
    assert Scheduler(lambda call: None, jobs=1, ready=ready, expect=expect).run(wanted[:7])
    assert told == names[:7], "of a few, nobody needs to know ahead"
