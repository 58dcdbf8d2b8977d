"""The one queue and its one consumer."""

import errno
import io
import signal
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from magnet.events import SolveStatus
from magnet.logs import LogFiles
from magnet.progress import consumer as consuming
from magnet.progress.consumer import QUEUE_LENGTH, Consumer
from magnet.progress.plain import Plain
from magnet.redact import Redactor
from tests.unit.script import EVENTS, at, log, shown


class Journal:
    """A sink that writes down what it is told, and fails where it is to."""

    def __init__(self, failing: str = "") -> None:
        self.entries: list[str] = []
        self.logs: list[bytes] = []
        self.threads: set[str] = set()
        self._failing = failing

    def update(self, status: SolveStatus) -> None:
        self.logs += [log.data for log in status.logs]
        self._note("update", *(log.data.decode() for log in status.logs))

    def refresh(self) -> None:
        self._note("refresh")

    def suspend(self, vertex: str) -> None:
        self._note("suspend", vertex)

    def resume(self, vertex: str) -> None:
        self._note("resume", vertex)

    def abandon(self) -> None:
        self._note("abandon")

    def done(self) -> None:
        self._note("done")

    def _note(self, *words: str) -> None:
        self.threads.add(threading.current_thread().name)
        self.entries.append(" ".join(words))
        if words[0] == self._failing:
            raise OSError(errno.ENOSPC, f"No space left on device in {words[0]}")


def in_time(work: Callable[[], object]) -> None:
    """Do it, in a thread that a deadlock cannot make the tests wait for."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "it hangs"
    if errors:
        raise errors[0]


def produce(consumer: Consumer, producers: int, count: int) -> None:
    """Emit from several threads at once; each one's lines are numbered."""

    def one(name: int) -> None:
        for number in range(count):
            consumer.emit(log(str(name), b"%d %d" % (name, number)))

    threads = [threading.Thread(target=one, args=(name,), daemon=True) for name in range(producers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture
def _no_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never draw, however slow the machine is."""
    monkeypatch.setattr(consuming, "FRAME", 10.0**9)


@pytest.mark.usefixtures("_no_frames")
def test_every_sink_has_every_event_in_one_order_from_one_thread() -> None:
    other, display = Journal(), Journal()
    consumer = Consumer(display, [other], Redactor([]))

    def work() -> None:
        consumer.start()
        produce(consumer, 6, QUEUE_LENGTH)
        consumer.finish()

    in_time(work)
    assert len(display.logs) == 6 * QUEUE_LENGTH
    for name in range(6):
        own = [data for data in display.logs if data.startswith(b"%d " % name)]
        assert own == [b"%d %d" % (name, number) for number in range(QUEUE_LENGTH)]
    assert other.entries == display.entries
    assert other.entries.index("done") == len(other.entries) - 1
    assert other.threads == display.threads == {"events"}


def test_who_emits_waits_while_the_sinks_are_behind() -> None:
    gate = threading.Event()

    class Slow(Journal):
        def update(self, status: SolveStatus) -> None:
            gate.wait(60)
            super().update(status)

    display = Slow()
    consumer = Consumer(display, [], Redactor([]))
    consumer.start()
    # One is in the sink's hands, the queue holds the most it can, one is too many.
    count = QUEUE_LENGTH + 2
    producer = threading.Thread(target=produce, args=(consumer, 1, count), daemon=True)
    producer.start()
    producer.join(0.2)  # time enough for one that is not made to wait; one that is waits for the gate
    waits = producer.is_alive()
    gate.set()
    in_time(producer.join)
    in_time(consumer.finish)
    assert waits
    assert display.logs == [b"0 %d" % number for number in range(count)]


@pytest.mark.usefixtures("_no_frames")
def test_frames_may_be_skipped_and_are_not_drawn_for_each_event() -> None:
    display = Journal()
    consumer = Consumer(display, [], Redactor([]))
    consumer.start()
    produce(consumer, 1, 100)
    in_time(consumer.finish)
    assert (len(display.logs), display.entries.count("refresh")) == (100, 0)


def test_the_display_is_drawn_again_while_nothing_happens() -> None:
    drawn = threading.Semaphore(0)

    class Drawn(Journal):
        def refresh(self) -> None:
            drawn.release()

    consumer = Consumer(Drawn(), [], Redactor([]))
    consumer.start()
    assert all(drawn.acquire(timeout=60) for _ in range(3))
    in_time(consumer.finish)


@pytest.mark.usefixtures("_no_frames")
@pytest.mark.parametrize("fails", [False, True])
def test_the_display_is_off_the_terminal_for_just_the_block(fails: bool) -> None:
    display = Journal()
    consumer = Consumer(display, [], Redactor([]))

    def work() -> None:
        consumer.emit(log("1", b"before"))
        with pytest.raises(KeyError) if fails else nullcontext(), consumer.terminal("v"):
            display.entries.append("block")
            consumer.emit(log("1", b"within"))
            if fails:
                raise KeyError
        consumer.emit(log("1", b"after"))
        consumer.finish()

    consumer.start()
    in_time(work)
    around = ["suspend v", "block", "update within", "resume v"]
    assert display.entries == ["update before", *around, "update after", "done"]


@pytest.mark.parametrize(
    ("place", "step"),
    [
        *(("display", step) for step in ("update", "refresh", "suspend", "resume", "done")),
        *(("other", step) for step in ("update", "refresh", "done")),
    ],
)
def test_a_sink_that_fails_is_an_error_at_the_end_and_nobody_waits_for_ever(
    monkeypatch: pytest.MonkeyPatch, place: str, step: str
) -> None:
    monkeypatch.setattr(consuming, "FRAME", 0.0)  # a frame after every event
    bad, good = Journal(step), Journal()
    consumer = Consumer(bad, [good], Redactor([])) if place == "display" else Consumer(good, [bad], Redactor([]))

    def work() -> None:
        consumer.start()
        with consumer.terminal("v"):
            produce(consumer, 3, QUEUE_LENGTH)
        consumer.finish()

    with pytest.raises(OSError, match=rf"^\[Errno 28\] No space left on device in {step}$"):
        in_time(work)
    assert len(bad.logs) == 3 * QUEUE_LENGTH
    assert (bad.entries[-1], good.entries[-1]) == ("done", "done")


def test_the_first_error_is_the_one_that_is_told() -> None:
    class Counting(Journal):
        def update(self, status: SolveStatus) -> None:
            raise OSError(status.logs[0].data.decode())

    consumer = Consumer(Counting(), [], Redactor([]))
    consumer.start()
    produce(consumer, 1, 3)
    with pytest.raises(OSError, match=r"^0 0$"):
        in_time(consumer.finish)


def test_a_sink_that_fails_takes_nothing_from_the_others() -> None:
    display = Journal()
    consumer = Consumer(display, [Journal("update")], Redactor([]))
    consumer.start()
    produce(consumer, 1, 3)
    with pytest.raises(OSError, match="No space left"):
        in_time(consumer.finish)
    assert display.logs == [b"0 0", b"0 1", b"0 2"]


def test_when_a_run_has_finished_its_logs_and_its_display_are_complete(tmp_path: Path) -> None:
    out = io.StringIO()
    consumer = Consumer(Plain(out, lambda: at(9)), [LogFiles(tmp_path)], Redactor([]))
    consumer.start()
    for status in EVENTS:
        consumer.emit(status)
    in_time(consumer.finish)
    assert out.getvalue() == shown(Plain, *EVENTS)
    assert {path.name: path.read_bytes().split(b"-----\n")[1] for path in tmp_path.iterdir()} == {
        "base": b"one\nfour\n",
        "app": b"two\nthree\n\x1b[31mred\x1b[0m \xff\n",
        "test": b"",
        "lint": b"",
    }


def test_a_signal_in_the_midst_of_an_emission_can_emit_as_well() -> None:
    display = Journal()
    consumer = Consumer(display, [], Redactor([]))
    consumer.start()

    def rest(number: int, frame: object) -> None:
        with consumer.terminal("v"):
            pass

    before = signal.signal(signal.SIGALRM, rest)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        for number in range(5000):
            consumer.emit(log("1", b"%d" % number))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    consumer.finish()
    assert display.logs == [b"%d" % number for number in range(5000)]
    assert display.entries.count("suspend v") == display.entries.count("resume v") > 0
