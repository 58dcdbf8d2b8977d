"""The directory of a run, what is left in it at the end, and what a later run finds of one that died."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from magnet.procfs import Process, end, start_time
from magnet.workspace import Workspace, prepare_build_directory


def sweep(cache: Path) -> list[tuple[str, str]]:
    """Sweep as a new run does, and return for which backends and runs containers were to be removed."""
    asked: list[tuple[str, str]] = []
    Workspace(cache, "sweeper").sweep(lambda backend, run: asked.append((backend, run)))
    return sorted(asked)


def tree(directory: Path) -> list[str]:
    """All that is below a directory."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that leads a group of its own, as the children of a run do."""
    with subprocess.Popen((sys.executable, "-c", "import time; time.sleep(60)"), process_group=0) as process:
        yield process
        process.kill()


DIE = """
import os, signal, subprocess, sys
from pathlib import Path
from magnet.procfs import Process
from magnet.workspace import Workspace

run = Workspace(Path(sys.argv[1]), "dead")
run.note_backend("podman")
run.note_backend("docker")
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], process_group=0)
with run.scratch() as scratch, run.recording(Process(child.pid, lambda: True)):
    (scratch / "context").mkdir(mode=0o500)
    print(child.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def die(cache: Path) -> int:
    """Let a run be killed in the midst of a build, and return the pid of the child that it leaves behind."""
    with subprocess.Popen((sys.executable, "-c", DIE, str(cache)), stdout=subprocess.PIPE) as process:
        assert process.stdout
        pid = int(process.stdout.readline())
    assert process.returncode == -signal.SIGKILL
    return pid


def die_with_note(cache: Path, note: str) -> None:
    """Leave what a killed run does that had noted a child."""
    directory = cache / "runs" / "dead"
    directory.mkdir(parents=True)
    (directory / "lock").touch()
    (directory / note).touch()


def test_nothing_is_on_disk_before_it_is_needed_nor_after_the_end(tmp_path: Path) -> None:
    run = Workspace(tmp_path / "cache", "run")
    run.sweep(lambda *_: None)
    run.close()
    assert tree(tmp_path) == []
    run.open()
    run.open()
    assert tree(tmp_path) == ["cache", "cache/runs", "cache/runs/run", "cache/runs/run/lock"]
    run.close()
    run.close()
    assert tree(tmp_path) == ["cache", "cache/runs"]


def test_a_scratch_directory_is_removed_with_all_that_is_in_it_at_the_end_of_the_block(tmp_path: Path) -> None:
    run = Workspace(tmp_path, "run")
    with run.scratch() as one, run.scratch() as other:
        assert one != other
        assert (one.parent, one.is_dir()) == (tmp_path / "runs" / "run", True)
        (one / "closed" / "deep").mkdir(parents=True)
        (one / "closed" / "deep" / "file").touch(0o400)
        (one / "link").symlink_to(tmp_path)
        (one / "closed").chmod(0)
    assert tree(tmp_path / "runs") == ["run", "run/lock"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_scratch_and_notes_are_removed_after_an_error_too(tmp_path: Path, error: type[BaseException]) -> None:
    run = Workspace(tmp_path, "run")

    def fail_midway() -> None:
        with run.scratch() as scratch, run.recording(Process(os.getpid(), lambda: True)):
            (scratch / "file").touch()
            raise error

    with pytest.raises(error):
        fail_midway()
    assert tree(tmp_path / "runs") == ["run", "run/lock"]


@pytest.mark.parametrize("steps_first", [False, True])
def test_a_child_is_noted_with_its_start_time_for_as_long_as_the_block(tmp_path: Path, steps_first: bool) -> None:
    run = Workspace(tmp_path, "run")
    note = f"child-{os.getpid()}-{start_time(os.getpid())}" + ("-steps" if steps_first else "")
    with run.recording(Process(os.getpid(), lambda: True, steps_first)):
        assert tree(tmp_path / "runs") == ["run", f"run/{note}", "run/lock"]
    assert tree(tmp_path / "runs") == ["run", "run/lock"]


def test_threads_open_one_directory_and_never_share_a_number(tmp_path: Path) -> None:
    run = Workspace(tmp_path, "run")

    def number(_: int) -> str:
        run.open()
        return run.number()

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(number, range(100)))
    assert sorted(map(int, numbers)) == list(range(1, 101))


def test_the_dead_runs_are_those_that_would_be_swept(tmp_path: Path) -> None:
    living, self = Workspace(tmp_path, "living"), Workspace(tmp_path, "self")
    assert self.dead_runs() == []
    living.open()
    (tmp_path / "runs/.being-made").mkdir()
    (tmp_path / "runs/.being-made/lock").touch()
    die(tmp_path)
    before = tree(tmp_path)
    assert self.dead_runs() == ["dead"]
    assert tree(tmp_path) == before
    sweep(tmp_path)
    assert self.dead_runs() == []
    living.close()


def test_a_dead_run_is_swept_with_its_child_and_its_containers(tmp_path: Path) -> None:
    pid = die(tmp_path)
    assert start_time(pid) is not None
    assert sweep(tmp_path) == [("docker", "dead"), ("podman", "dead")]
    deadline = time.monotonic() + 5
    while start_time(pid) is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert start_time(pid) is None
    assert tree(tmp_path / "runs") == []


def test_a_living_run_is_not_swept(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    living = Workspace(tmp_path, "living")
    living.note_backend("docker")
    with living.scratch() as scratch, living.recording(Process(sleeper.pid, lambda: True)):
        (scratch / "file").touch()
        before = tree(tmp_path)
        die(tmp_path)
        assert sweep(tmp_path) == [("docker", "dead"), ("podman", "dead")]
        assert tree(tmp_path) == before
        living.sweep(lambda *_: pytest.fail("it swept itself"))
        assert tree(tmp_path) == before
    assert sleeper.poll() is None


def test_a_run_that_is_just_being_made_is_not_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = fcntl.flock

    def sweep_before(fd: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        sweep(tmp_path)
        lock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", sweep_before)
    Workspace(tmp_path, "run").open()
    assert tree(tmp_path / "runs") == ["run", "run/lock"]


def test_two_runs_of_one_project_do_not_disturb_each_other(tmp_path: Path) -> None:
    one, other = Workspace(tmp_path, "one"), Workspace(tmp_path, "other")
    with one.scratch() as in_one, other.scratch() as in_other:
        one.sweep(lambda *_: pytest.fail("both live"))
        other.sweep(lambda *_: pytest.fail("both live"))
        one.close()
        assert (in_one.exists(), in_other.exists()) == (False, True)
        other.sweep(lambda *_: pytest.fail("it lives"))
    other.close()
    assert tree(tmp_path / "runs") == []


def test_another_process_that_got_the_pid_of_a_dead_runs_child_is_left_alone(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    die_with_note(tmp_path, f"child-{sleeper.pid}-1")
    assert sweep(tmp_path) == []
    assert (sleeper.poll(), tree(tmp_path / "runs")) == (None, [])


@pytest.mark.parametrize("suffix", ["", "-steps"])
def test_a_dead_runs_child_is_known_by_pid_and_start_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sleeper: subprocess.Popen[bytes], suffix: str
) -> None:
    monkeypatch.setattr("magnet.procfs.GRACE", 1)
    ended: list[tuple[int, bool]] = []

    def note_and_end(processes: Sequence[Process]) -> None:
        ended.extend((process.pid, process.steps_first) for process in processes)
        end(processes)

    monkeypatch.setattr("magnet.workspace.end", note_and_end)
    die_with_note(tmp_path, f"child-{sleeper.pid}-{start_time(sleeper.pid)}{suffix}")
    assert sweep(tmp_path) == []
    assert ended == [(sleeper.pid, bool(suffix))]
    assert (sleeper.wait(10), tree(tmp_path / "runs")) == (-signal.SIGTERM, [])


def test_a_run_directory_without_a_lock_is_left_to_whoever_makes_or_removes_it(tmp_path: Path) -> None:
    (tmp_path / "runs" / "other").mkdir(parents=True)
    (tmp_path / "runs" / "file").touch()
    assert sweep(tmp_path) == []
    assert tree(tmp_path / "runs") == ["file", "other"]


def test_the_build_directory_is_out_of_gits_sight_and_what_is_in_it_is_kept(tmp_path: Path) -> None:
    assert prepare_build_directory(tmp_path) == tmp_path / "_build"
    assert tree(tmp_path) == ["_build", "_build/.gitignore"]
    assert (tmp_path / "_build" / ".gitignore").read_text() == "# Made by magnet.\n*\n"
    (tmp_path / "_build" / ".gitignore").write_text("mine\n")
    (tmp_path / "_build" / "log").touch()
    assert prepare_build_directory(tmp_path) == tmp_path / "_build"
    assert (tmp_path / "_build" / ".gitignore").read_text() == "mine\n"
    assert tree(tmp_path) == ["_build", "_build/.gitignore", "_build/log"]


# The command line words an OSError as `error: <its file>: <its reason>`.
def test_a_file_where_the_build_directory_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "_build").touch()
    with pytest.raises(FileExistsError) as caught:
        prepare_build_directory(tmp_path)
    assert (str(caught.value.filename), caught.value.strerror) == (str(tmp_path / "_build"), "File exists")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_build_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError) as caught:
        prepare_build_directory(tmp_path)
    assert (str(caught.value.filename), caught.value.strerror) == (str(tmp_path / "_build"), "Permission denied")
