"""Timing of jobs in turn, and the tables that docs/benchmarks.md holds.

Machines are shared and noisy: jobs that are compared are run one after the other, round after round, and what counts
is the ratio of their medians.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

MAGNET = str(Path(sys.executable).with_name("magnet"))
"""The program of the Python that runs the benchmark."""


def nothing() -> None:
    """No preparation."""


@dataclass(frozen=True)
class Job:
    """What is timed, `prepare` not included; its median is compared with that of the job `to`, and with a goal."""

    name: str
    run: Callable[[], object]
    to: str = ""
    at_most: float | None = None
    at_least: float | None = None
    prepare: Callable[[], object] = nothing


def command(*argv: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Callable[[], None]:
    """A program to be timed: its output is read, and if it fails so does the benchmark."""
    # Without compiled modules every start would compile them anew.
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return partial(_run, [str(word) for word in argv], cwd, own | dict(env or {}))


def _run(argv: Sequence[str], cwd: Path | None, env: Mapping[str, str]) -> None:
    done = subprocess.run(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode:
        said = (done.stdout + done.stderr).decode(errors="replace")
        raise SystemExit(f"error: exit code {done.returncode}: {' '.join(argv)}\n{said}")


def compare(title: str, jobs: Sequence[Job], *, rounds: int = 20, warm_up: int = 1, seconds: float = 60) -> None:
    """Time the jobs and print their table.

    Each is run `rounds` times, or, once it was run three times, as often as the seconds allow; the rounds of the
    warm-up come before that and do not count.
    """
    medians = {name: statistics.median(times) for name, times in _times(title, jobs, rounds, warm_up, seconds).items()}
    print(f"### {title}\n\n| job | median, ms | ratio | goal | |\n|---|---|---|---|---|")
    for job in jobs:
        print(f"| {job.name} | {medians[job.name] * 1000:.1f} | {_compared(job, medians)} |")
    print(flush=True)


def missing(program: str) -> None:
    """Say that there is no row for a program, as it is not here."""
    print(f"There is no `{program}` here, and so no row for it.\n", flush=True)


def _times(title: str, jobs: Sequence[Job], rounds: int, warm_up: int, seconds: float) -> Mapping[str, Sequence[float]]:
    times: dict[str, list[float]] = {job.name: [] for job in jobs}
    end = float("inf")
    for number in range(warm_up + rounds):
        if number == warm_up:
            end = time.monotonic() + seconds
        if number >= warm_up + 3 and time.monotonic() > end:
            break
        print(f"{title}: round {number + 1}", file=sys.stderr)
        for job in jobs:
            job.prepare()
            begun = time.perf_counter()
            job.run()
            if number >= warm_up:
                times[job.name].append(time.perf_counter() - begun)
    return times


def _compared(job: Job, medians: Mapping[str, float]) -> str:
    if not job.to:
        return "| |"
    ratio = medians[job.name] / medians[job.to]
    goal, is_met = "", True
    if job.at_most is not None:
        goal, is_met = f"at most {job.at_most:g}", ratio <= job.at_most
    if job.at_least is not None:
        goal, is_met = f"at least {job.at_least:g}", ratio >= job.at_least
    return f"{ratio:.2f} of {job.to} | {goal} | {('met' if is_met else 'not met') if goal else ''}"
