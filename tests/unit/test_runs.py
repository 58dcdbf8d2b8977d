import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnet.logs import LATEST, Counts
from magnet.runs import KEPT, RECORD, Past, Run, begin, find, is_running, read
from magnet.values import replace

START = 1_595_478_390_730_309_484
END = START + 2_240_000_007
COUNTS = Counts(targets=3, cached=1, failed=1)

BEGUN = "Started: 2020-07-23 04:26:30.730309484 +0000 UTC\nCommand: magnet build\nVersion: v1\n"
ENDED = (
    "Completed: 2020-07-23 04:26:32.970309491 +0000 UTC\nTargets: 3\nCached: 1\nFailed: 1\nExit: 2\nResult: failed\n"
)


def began(build: Path, number: int = 0, *, keep: int = KEPT) -> Run:
    """A run that began so many seconds after the first."""
    return begin(build, START + number * 10**9, ["build"], version="v1", keep=keep)


def ended(build: Path, number: int = 0, *, keep: int = KEPT) -> Path:
    """The directory of a run that failed."""
    run = began(build, number, keep=keep)
    run.end("failed", 2, END + number * 10**9, COUNTS)
    return run.directory


def died(build: Path, number: int = 0) -> Path:
    """The directory of a run whose process was killed."""
    code = f"from tests.unit.test_runs import *; began(Path({str(build)!r}), {number}); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == -9
    return find(build / "logs")[0]


def kept(build: Path) -> list[str]:
    return sorted(os.listdir(build / "logs"))


# The directory


def test_a_run_has_a_directory_named_by_its_time_and_latest_leads_to_it(tmp_path: Path) -> None:
    first = ended(tmp_path)
    assert first == tmp_path / "logs/20200723042630"
    assert os.readlink(tmp_path / "logs/latest") == "20200723042630"
    assert ended(tmp_path, 1) == tmp_path / "logs/20200723042631"
    assert os.readlink(tmp_path / "logs/latest") == "20200723042631"
    assert kept(tmp_path) == ["20200723042630", "20200723042631", "latest"]


def test_runs_in_one_second_have_directories_of_their_own(tmp_path: Path) -> None:
    made = [ended(tmp_path).name for _ in range(11)]
    assert made == ["20200723042630", *(f"20200723042630-{number}" for number in range(2, 12))]
    assert os.readlink(tmp_path / "logs/latest") == made[-1]
    assert [directory.name for directory in find(tmp_path / "logs")] == made[::-1], "the tenth came after the second"


def test_runs_at_the_same_moment_do_not_disturb_each_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = {directory.name for directory in pool.map(lambda _: ended(tmp_path), range(16))}
    assert len(names) == 16
    assert {*kept(tmp_path)} == names | {LATEST}
    assert (tmp_path / "logs/latest").resolve().name in names


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A clock on the wall that shows another time than UTC."""
    monkeypatch.setenv("TZ", "JST-9")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
def test_times_are_in_utc(tmp_path: Path) -> None:
    directory = ended(tmp_path)
    assert directory.name == "20200723042630"
    assert (directory / RECORD).read_text() == BEGUN + ENDED
    assert read(directory).started == START


# The record


def test_the_record_tells_what_became_of_a_run(tmp_path: Path) -> None:
    directory = ended(tmp_path)
    assert [(path.name, path.read_text()) for path in directory.iterdir()] == [(RECORD, BEGUN + ENDED)]
    assert read(directory) == Past(directory, "failed", START, END, 2, 3, 1, 1, "magnet build", "v1")


def test_a_run_goes_on_until_it_ends(tmp_path: Path) -> None:
    run = began(tmp_path)
    assert is_running(run.directory)
    assert is_running(run.directory), "to ask does not change it"
    assert read(run.directory) == Past(run.directory, "running", START, command="magnet build", version="v1")
    assert (run.directory / RECORD).read_text() == BEGUN
    run.end("interrupted", 130, END, Counts())
    assert not is_running(run.directory)
    assert read(run.directory) == Past(run.directory, "interrupted", START, END, 130, 0, 0, 0, "magnet build", "v1")


def test_a_run_that_was_killed_died(tmp_path: Path) -> None:
    directory = died(tmp_path)
    assert read(directory) == Past(directory, "died", START, command="magnet build", version="v1")


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (None, Past(Path(), "died")),
        (b"", Past(Path(), "died")),
        (b"\0\xff\n:\nExit: x\nTargets: \nStarted: now\n", Past(Path(), "died")),
        (f"{BEGUN}{ENDED}"[:-1].encode(), Past(Path(), "died", START, END, 2, 3, 1, 1, "magnet build", "v1")),
    ],
    ids=["none", "empty", "garbage", "cut off"],
)
def test_what_a_record_does_not_say_is_not_known(tmp_path: Path, record: bytes | None, expected: Past) -> None:
    if record is not None:
        (tmp_path / RECORD).write_bytes(record)
    assert replace(read(tmp_path), directory=Path()) == expected


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ([], "magnet"),
        (["-j", "2", "docker:push", "--tag=a/b:1"], "magnet -j 2 docker:push --tag=a/b:1"),
        (["a b", "", "it's"], """magnet 'a b' '' 'it'"'"'s'"""),
        (["caf\u00e9", "\udcff"], "magnet 'caf\u00e9' '\udcff'"),
    ],
)
def test_the_command_is_as_a_shell_takes_it(tmp_path: Path, words: list[str], shown: str) -> None:
    assert read(begin(tmp_path, START, words).directory).command == shown


@settings(max_examples=30, deadline=None)
@given(word=st.text(st.sampled_from("a \n'\\$:") | st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_no_word_can_pose_as_a_field_and_bash_reads_it_back(
    tmp_path_factory: pytest.TempPathFactory, word: str
) -> None:
    run = begin(tmp_path_factory.mktemp("build"), START, [word])
    run.end("succeeded", 0, END, Counts())
    found = read(run.directory)
    assert (found.result, found.version) == ("succeeded", "")
    command = f'magnet() {{ printf %s. "$1"; }}; {found.command}'
    assert subprocess.run(["bash", "-c", command], capture_output=True).stdout == f"{word}.".encode()


# What is kept


def test_the_last_runs_are_kept(tmp_path: Path) -> None:
    for number in range(4):
        (ended(tmp_path, number, keep=3) / "build").write_text("x")
    assert kept(tmp_path) == ["20200723042631", "20200723042632", "20200723042633", "latest"]
    ended(tmp_path, 4, keep=1)
    assert kept(tmp_path) == ["20200723042634", "latest"]


def test_fifty_runs_are_kept_where_nothing_else_is_asked_for(tmp_path: Path) -> None:
    for number in range(KEPT + 2):
        ended(tmp_path, number)
    assert len(find(tmp_path / "logs")) == 50


def test_a_run_that_goes_on_is_not_removed_and_one_that_died_is(tmp_path: Path) -> None:
    first = died(tmp_path)
    second = began(tmp_path, 1)
    ended(tmp_path, 2, keep=1)
    assert not first.exists()
    assert kept(tmp_path) == ["20200723042631", "20200723042632", "latest"]
    second.end("succeeded", 0, END, Counts())
    ended(tmp_path, 3, keep=1)
    assert kept(tmp_path) == ["20200723042633", "latest"]


def test_a_run_keeps_its_own_directory_where_the_clock_was_set_back(tmp_path: Path) -> None:
    late = ended(tmp_path, 9)
    early = ended(tmp_path, 0, keep=1)
    assert late.exists()
    assert early.exists()


def test_what_is_no_run_is_left_alone(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    (logs / "20200101000000").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (logs / "20200101000000/notes").write_text("mine")
    (logs / "mine").mkdir()
    (logs / "20200101000001").write_text("a file")
    (logs / "20200101000002").symlink_to(ended(tmp_path / "other"))
    with_more = ended(tmp_path, -1)
    (with_more / "more").mkdir()
    for name in "abcdefgh":
        (with_more / name).touch()
    before = kept(tmp_path)
    ended(tmp_path, 0, keep=1)
    assert kept(tmp_path) == sorted([*before, "20200723042630"])
    assert len(list((tmp_path / "other/logs/latest").iterdir())) == 1
    assert sorted(os.listdir(with_more)) == [RECORD, *"abcdefgh", "more"]


def test_many_runs_at_once_remove_what_is_too_much(tmp_path: Path) -> None:
    for number in range(40):
        (ended(tmp_path, number) / "build").write_text("x")
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: ended(tmp_path, number, keep=2), range(50, 66)))
    assert {"20200723042630", "20200723042709"}.isdisjoint(kept(tmp_path))
    assert made[-1].exists()
    assert len(find(tmp_path / "logs")) <= 16
    ended(tmp_path, 99, keep=2)
    assert len(find(tmp_path / "logs")) == 2


def test_what_was_half_removed_is_removed_by_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ended(tmp_path)
    for name in ("a", "b"):
        (first / name).write_text("x")
    unlink = os.unlink
    monkeypatch.setattr(os, "unlink", lambda path: os.listdir("/nosuch") if str(path).endswith("b") else unlink(path))
    ended(tmp_path, 1, keep=1)
    monkeypatch.undo()
    assert RECORD in os.listdir(first)
    ended(tmp_path, 2, keep=1)
    assert kept(tmp_path) == ["20200723042632", "latest"]


def test_a_record_that_cannot_be_completed_is_that_of_a_run_that_died(tmp_path: Path) -> None:
    run = began(tmp_path)
    full = os.open("/dev/full", os.O_WRONLY)
    fcntl.flock(full, fcntl.LOCK_UN)
    os.dup2(full, run._record)
    os.close(full)
    run.end("succeeded", 0, END, Counts())
    assert read(run.directory).result == "died"
