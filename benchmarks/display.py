"""What a frame of the live board costs, in time of the processor.

`python -m benchmarks.display [FRAMES]`, with the Python that magnet is installed for. The frames are drawn ten times a
second, on a pseudoterminal that is read.
"""

import os
import statistics
import sys
import termios
import threading
import time
from collections.abc import Sequence

from magnet.events import SolveStatus, Vertex, VertexLog, VertexStatus
from magnet.progress.tty import Tty

FRAME = 0.1
"""Seconds between two frames."""

GOAL = 1.5
"""Milliseconds for a frame of 30 rows."""

_START = time.time_ns() - 10**9


def main() -> None:
    """Print the table."""
    frames = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    print("### Drawing the board, ten frames a second\n\n| board | CPU per frame, ms | goal | |\n|---|---|---|---|")
    _print("30 rows: targets, steps, bars and last lines", _mixed(), 31, frames, goal=GOAL)
    _print("30 rows of 300: 20 targets with 10 steps each", _many(20, 10), 31, frames)
    _print("30 rows of 1,005: targets, of which 1,000 have ended", [*_ended(1000), *_mixed()], 31, frames)
    _print("30 rows with wide characters", _mixed("构建"), 31, frames)


def _print(name: str, events: Sequence[SolveStatus], lines: int, frames: int, goal: float | None = None) -> None:
    milliseconds = _cost(events, lines, frames) * 1000
    met = "" if goal is None else "met" if milliseconds <= goal else "not met"
    print(f"| {name} | {milliseconds:.2f} | {'' if goal is None else f'at most {goal:g}'} | {met} |", flush=True)


def _cost(events: Sequence[SolveStatus], lines: int, frames: int) -> float:
    """The median seconds of the processor for a frame, the line that every running vertex prints before it included."""
    leader, follower = os.openpty()
    termios.tcsetwinsize(follower, (lines, 100))
    reader = threading.Thread(target=_read, args=(leader,), daemon=True)
    reader.start()
    with open(follower, "w", encoding="utf-8") as out:
        tty = Tty(out, time.time_ns)
        for status in events:
            tty.update(status)
        running = [one.digest for status in events for one in status.vertexes if one.completed is None]
        times = [_frame(tty, running, number) for number in range(frames)]
        tty.abandon()
    reader.join()
    os.close(leader)
    return statistics.median(times)


def _frame(tty: Tty, running: Sequence[str], number: int) -> float:
    time.sleep(FRAME)
    begun = time.thread_time()
    for digest in running:
        tty.update(_log(digest, f"line {number} of what is printed, of a usual length\n"))
    tty.refresh()
    return time.thread_time() - begun


def _read(leader: int) -> None:
    try:
        while os.read(leader, 1 << 16):
            pass
    except OSError:
        pass  # how a terminal ends


def _mixed(name: str = "build") -> list[SolveStatus]:
    """Two targets that have ended, and five that run, each with a step that has ended, one that prints, and a bar."""
    events = [_vertex(f"e{number}", f"ended {name} {number}", ended=True) for number in range(2)]
    for number in range(5):
        target = f"t{number}"
        events += [_vertex(target, f"{name} {number}"), _vertex(f"{target}a", f"[1/3] FROM {name}", target, ended=True)]
        events += [_vertex(f"{target}b", f"[2/3] RUN make {name}", target), _log(f"{target}b", f"{name} a line\n" * 4)]
        events.append(_status(f"{target}b", 12_500_000, 50_000_000))
    return events


def _many(targets: int, steps: int) -> list[SolveStatus]:
    """Targets that run, with steps of which all but one have ended."""
    events = []
    for number in range(targets):
        target = f"t{number}"
        events.append(_vertex(target, f"build {number}"))
        for step in range(steps):
            digest = f"{target}-{step}"
            events.append(_vertex(digest, f"[{step}/{steps}] RUN make", target, ended=step < steps - 1))
        events.append(_log(digest, "a line\n" * 4))
    return events


def _ended(count: int) -> list[SolveStatus]:
    names = ((f"d{number}", f"target {number}", _START + 10**8 + number) for number in range(count))
    return [SolveStatus(vertexes=(Vertex(digest, name, (), _START, end),)) for digest, name, end in names]


def _vertex(digest: str, name: str, parent: str = "", *, ended: bool = False) -> SolveStatus:
    completed = _START + 10**8 if ended else None
    return SolveStatus(vertexes=(Vertex(digest, name, (), _START, completed, parent=parent),))


def _log(digest: str, text: str) -> SolveStatus:
    return SolveStatus(logs=(VertexLog(digest, 1, text.encode(), _START),))


def _status(digest: str, current: int, total: int) -> SolveStatus:
    status = VertexStatus("transferring context", digest, "", current, total, _START, _START)
    return SolveStatus(statuses=(status,))


if __name__ == "__main__":
    main()
