"""`--watch`: runs again when something changes that the run looked at."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cli.program import HEADER, Program

MAGNETFILE = """
from magnet import target
from words import GREETING


@target(inputs=["src", "!src/ignored"], outputs="out", default=True)
def make(t):
    t.exec("sh", "-c", "mkdir -p out; cat src/* > out/all")
    t.print(GREETING)


@target
def wants(t):
    t.print("before")
    t.need(missing)


@target(inputs="missing.txt")
def missing(t):
    t.print("it is there")


@target(inputs="src")
def slow(t):
    t.exec("sh", "-c", "touch began; sleep 1")


@target
def build(t):
    t.build(".")


@target(inputs="src")
def stuck(t):
    t.exec("sh", "-c", "touch began; exec sleep 100")
"""

DOCKER = """case "$1" in
version) echo '{"Client":{"Version":"20.10.24"},"Server":{"Version":"20.10.24","Components":[{"Name":"Engine"}]}}';;
info) echo '{}';;
*) exit 1;;
esac
"""

WATCHING = "Watching N files. Ctrl-C ends it.\n"


class Watched:
    """A run that watches; what it prints goes into a file."""

    def __init__(self, project: Program, process: "subprocess.Popen[bytes]") -> None:
        self.project = project
        self.process = process
        self._read = 0

    def said(self, until: str = WATCHING) -> str:
        """What it printed since the last time, up to its next word of this."""
        end = time.monotonic() + 60
        while True:
            text = self._text()[self._read :]
            if until in text:
                self._read += len(text)
                return text
            assert time.monotonic() < end, text
            assert self.process.poll() is None, text
            time.sleep(0.02)

    def _text(self) -> str:
        said = (self.project.root.parent / "said").read_bytes()
        return re.sub(r"Watching \d+ files?", "Watching N files", self.project.settled(said))


@contextmanager
def watching(project: Program, *words: str, ended_by: signal.Signals = signal.SIGINT) -> Iterator[Watched]:
    """Watch for the length of a block, and end it."""
    process = project.start("--watch", "--progress=plain", *words, output=project.root.parent / "said")
    try:
        yield Watched(project, process)
        process.send_signal(ended_by)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def project(magnet: Program) -> Program:
    magnet.write({"magnetfile.py": MAGNETFILE, "words.py": "GREETING = 'hello'\n", "src/a": "a\n"})
    return magnet


def run_of(*lines: str) -> str:
    """What a run of `make` says."""
    body = "".join(f"#1 {line}\n" for line in ("make", *lines))
    mark = "CACHED " if "CACHED" in lines else ""
    name = f" => {mark}make"
    return f"{HEADER}{body}[+] Building N.Ns (1/1) FINISHED\n{name:<75} N.Ns\n{WATCHING}"


MADE = ("N.N Exec:  sh -c 'mkdir -p out; cat src/* > out/all'", "N.N hello", "DONE N.Ns")


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminate"])
def test_a_change_of_what_was_looked_at_is_another_run(project: Program, ended_by: signal.Signals) -> None:
    with watching(project, ended_by=ended_by) as run:
        assert run.said() == run_of(*MADE)
        project.write({"src/b": "b\n"})
        assert run.said() == "Changed: src/b\n" + run_of(*MADE)
        assert (project.root / "out/all").read_text() == "a\nb\n"


def test_what_says_the_same_as_before_or_is_an_output_is_no_change(project: Program) -> None:
    with watching(project) as run:
        run.said()
        (project.root / "out/all").unlink()
        (project.root / "src/ignored").mkdir()
        project.write({"src/a": "a\n", "src/ignored/x": "x", "else": "x", "_build/x": "x"})
        time.sleep(0.6)  # in which two looks at it would be had
        project.write({"src/b": "b\n"})
        assert run.said().startswith("Changed: src/b\n")


def test_the_magnetfile_and_its_modules_are_loaded_anew_and_a_mistake_is_watched(project: Program) -> None:
    with watching(project) as run:
        run.said()
        project.write({"words.py": "GREETING = 'good bye'\n"})
        assert run.said() == "Changed: words.py\n" + run_of(MADE[0], "N.N good bye", MADE[2])
        project.write({"words.py": "GREETING = (\n"})
        assert run.said() == (
            f"Changed: words.py\nerror: words.py:1: '(' was never closed\n  GREETING = (\n             ^\n{WATCHING}"
        )
        project.write({"words.py": "from more import GREETING\n"})
        assert "ModuleNotFoundError: No module named 'more'\n" in run.said()
        project.write({"more.py": "GREETING = 'hello'\n"})
        assert run.said().startswith(f"Changed: more.py\n{HEADER}")
        project.write({"magnetfile.py": MAGNETFILE.replace("def make", "def other")})
        assert "#1 other\n" in run.said()


def test_a_mistake_in_the_first_magnetfile_is_watched_and_one_on_the_command_line_is_not(project: Program) -> None:
    done = project("--watch", "mak")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: there is no target `mak` in magnetfile.py\nhint: did you mean `make`?\n"
    project.write({"magnetfile.py": "nonsense"})
    with watching(project, "make") as run:
        assert "error: magnetfile.py cannot be loaded: NameError" in run.said()
        project.write({"magnetfile.py": MAGNETFILE.replace("def make", "def other")})
        assert run.said().endswith(
            f"error: there is no target `make` in magnetfile.py\nhint: `magnet --list` shows the targets\n{WATCHING}"
        )
        project.write({"magnetfile.py": MAGNETFILE})
        assert run.said().startswith(f"Changed: magnetfile.py\n{HEADER}#1 make\n")


def test_what_was_missing_is_waited_for(project: Program) -> None:
    with watching(project, "wants") as run:
        assert "error: target `missing`: there is no `missing.txt`, which is one of the inputs\n" in run.said()
        project.write({"missing.txt": "x"})
        said = run.said()
        assert said.startswith("Changed: no longer: there is no `missing.txt`, which is one of the inputs\n")
        assert "N.N it is there\n" in said


def test_a_dockerfile_and_its_ignore_file_are_watched_before_they_exist(project: Program) -> None:
    with watching(project, "-n", "--backend=podman", "build") as run:
        assert "error: target `build`: there is no Dockerfile or Containerfile in `ROOT`\n" in run.said()
        project.write({"Dockerfile": "FRO scratch\n"})
        assert run.said().startswith("Changed: Dockerfile\n")
        project.write({".dockerignore": "src\n"})
        assert run.said().startswith("Changed: .dockerignore\n")


def test_the_files_of_a_context_are_watched_and_no_others(project: Program) -> None:
    project.engine("docker", DOCKER)
    project.write({"Dockerfile": "FROM scratch\nCOPY src /src\n", ".dockerignore": "src/ignored\n"})
    with watching(project, "-n", "--backend=docker", "build") as run:
        assert "docker build" in run.said()
        project.write({"src/ignored": "x", "else": "x"})
        time.sleep(0.6)  # in which two looks at it would be had
        project.write({"src/b": "b\n"})
        assert run.said().startswith("Changed: src/b\n")


def test_the_inputs_of_many_targets_that_were_found_done_together_are_watched(project: Program) -> None:
    names = [f"t{number}" for number in range(9)]
    project.write(
        {
            "magnetfile.py": f"from magnet import target\n\nfor name in {names}:\n"
            "    @target(name=name, inputs=f'in/{name}')\n    def one(t):\n        t.print('made')\n",
            **{f"in/{name}": "1" for name in names},
        }
    )
    time.sleep(2.1)  # what is younger is not relied on
    assert [project(*names).code for _ in range(2)] == [0, 0]
    with watching(project, *names) as run:
        assert "(9/9) FINISHED\n => CACHED t0 " in run.said()
        project.write({"in/t7": "22"})
        assert run.said().startswith("Changed: in/t7\n")


def test_a_file_from_which_variables_are_imported_is_watched(project: Program) -> None:
    project.write(
        {
            "magnetfile.py": "from magnet import env, import_env, target\n\nimport_env('.env')\nA = env('A')\n\n\n"
            "@target\ndef says(t):\n    t.print(A)\n",
            ".env": "A=one\n",
        }
    )
    with watching(project, "says") as run:
        assert "N.N one\n" in run.said()
        project.write({".env": "A=two\n"})
        assert "N.N two\n" in run.said()


def test_a_change_during_a_run_is_one_more_run(project: Program) -> None:
    with watching(project, "slow") as run:
        end = time.monotonic() + 30
        while not (project.root / "began").exists():
            assert time.monotonic() < end
            time.sleep(0.02)
        project.write({"src/a": "b\n", "src/b": "b\n"})
        assert "It cannot be skipped the next time: its input `src/a` changed while it ran.\n" in run.said()
        assert run.said().startswith("Changed: src/a and 1 more\n")
        time.sleep(0.6)
    assert run._text().count("Watching") == 2


def test_an_interrupt_during_a_run_ends_it_and_the_watch(project: Program) -> None:
    process = project.start("--watch", "--progress=quiet", "stuck")
    end = time.monotonic() + 30
    while not (project.root / "began").exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"error: interrupted\n")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--watch", "--list"], "error: --watch and --list cannot be had together\nhint: ask one after the other\n"),
        (["--watch", "cache", "list"], "error: `--watch` is about targets, and `cache` is none\n"),
    ],
)
def test_what_runs_no_target_cannot_be_watched(project: Program, words: list[str], error: str) -> None:
    done = project(*words)
    assert (done.code, done.out, done.err) == (2, "", error)


def test_without_a_target_there_is_nothing_to_watch(magnet: Program) -> None:
    done = magnet("--watch")
    assert (done.code, done.err) == (2, "error: --watch needs a target\nhint: `magnet --list` shows what there is\n")


def test_events_go_to_stdout_in_each_run(project: Program) -> None:
    process = project.start("--watch", "--progress=rawjson", "-C", "src", "make")
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    while b"completed" not in lines[-1]:
        lines.append(process.stdout.readline())
    project.write({"src/b": "b\n"})
    assert process.stdout.readline().startswith(b'{"vertexes":[')
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
