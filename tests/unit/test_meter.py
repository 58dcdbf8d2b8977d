"""How far long work is, told now and then."""

import time
from pathlib import Path

import pytest

from magnet.context import selected
from magnet.events import SolveStatus, VertexStatus
from magnet.index import FileIndex
from magnet.meter import FIRST, STEP, Meter
from magnet.staging import stage


class Time:
    """A clock that a test moves, or that goes on by so many seconds each time that it is looked at."""

    def __init__(self, seconds: int) -> None:
        self.now = 0
        self._step = seconds * 10**9

    def __call__(self) -> int:
        self.now += self._step
        return self.now


class Watched:
    """A meter, with the statuses that it has emitted."""

    def __init__(self, seconds: int = 0) -> None:
        self.time = Time(seconds)
        self.statuses: list[VertexStatus] = []
        self.meter = Meter("v", self._follow, self.time)

    def _follow(self, status: SolveStatus) -> None:
        self.statuses += status.statuses
        assert status == SolveStatus(statuses=status.statuses)

    def told(self) -> list[tuple[int, int | None]]:
        return [(status.current, status.completed) for status in self.statuses]


def test_work_that_is_done_soon_is_not_told_of() -> None:
    watched = Watched()
    with watched.meter("hashing", 10) as advance:
        watched.time.now = FIRST - 1
        advance(10)
    assert watched.statuses == []


def test_longer_work_is_told_of_ten_times_a_second_and_in_the_end() -> None:
    watched = Watched()
    with watched.meter("hashing", 40) as advance:
        for now in (FIRST, FIRST + STEP - 1, FIRST + STEP):
            watched.time.now = now
            advance(10)
    assert watched.statuses == [
        VertexStatus("hashing", "v", "", 10, 40, FIRST, 0),
        VertexStatus("hashing", "v", "", 30, 40, FIRST + STEP, 0),
        VertexStatus("hashing", "v", "", 30, 40, FIRST + STEP, 0, FIRST + STEP),
    ]


def test_work_that_fails_is_not_left_open() -> None:
    watched = Watched()

    def fail() -> None:
        with watched.meter("hashing", 40) as advance:
            watched.time.now = FIRST
            advance(10)
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011
        fail()
    assert watched.told() == [(10, None), (10, FIRST)]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with small files, for two threads, and a large one."""
    top = tmp_path / "files"
    top.mkdir()
    for number in range(520):
        (top / str(number)).write_bytes(b"x" * 9000)
    (top / "large").write_bytes(b"x" * 5_000_000)
    return top


SIZE = 520 * 9000 + 5_000_000


@pytest.mark.parametrize("later", [0, 10**13], ids=["just written", "trusted"])
def test_reading_and_staging_a_context_advance_to_its_whole_size(files: Path, tmp_path: Path, later: int) -> None:
    watched, staged = Watched(seconds=1), Watched(seconds=1)
    with FileIndex(tmp_path / "index", clock=lambda: time.time_ns() + later) as index:
        tree = index.tree("all", lambda: selected(files, [], [], tmp_path / "_build"), watched.meter)
    with staged.meter("staging", tree.size) as advance:
        stage(tree.entries, tmp_path / "staged", advance)
    for told in (watched, staged):
        assert {status.total for status in told.statuses} == {SIZE}
        assert told.statuses[-1].current == SIZE
        assert [status.completed is None for status in told.statuses] == [True] * (len(told.statuses) - 1) + [False]
    assert len(watched.statuses) > 521  # the large file comes in blocks
    assert len(staged.statuses) == 522


def test_a_context_that_is_known_is_not_read(files: Path, tmp_path: Path) -> None:
    watched = Watched(seconds=1)
    with FileIndex(tmp_path / "index", clock=lambda: time.time_ns() + 10**13) as index:
        for measure in (Watched().meter, watched.meter):
            index.tree("all", lambda: selected(files, [], [], tmp_path / "_build"), measure)
    assert watched.statuses == []
