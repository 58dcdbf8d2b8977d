"""What a target's programs are given, how often they are tried, and what comes of them."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from magnet import programs
from magnet.errors import Canceled, CommandFailed, MagnetError, MagnetfileError, TimedOut
from magnet.model import Command, Executed
from magnet.process import Children, Shell
from magnet.programs import Program, described, run, script


class Target:
    """What a target has: a directory, an environment, and a log with all that is shown and printed."""

    def __init__(self, root: Path, *, dry_run: bool = False) -> None:
        self.root = root
        self.children = Children()
        self.log = b""
        self.environ = {"PATH": os.environ["PATH"], "GIVEN": "environment"}
        self._dry_run = dry_run

    def exec(
        self,
        *words: str | Path,
        cwd: str | Path = ".",
        env: Mapping[str, object] | None = None,
        stdin: Any = None,
        capture: bool = False,
        check: bool = True,
        timeout: Any = None,
        retry: Any = 0,
    ) -> Executed:
        program = described(
            words, project=self.root, cwd=cwd, env=env, stdin=stdin, capture=capture, check=check, timeout=timeout,
            retry=retry, environ=self.environ, secrets=(),
        )  # fmt: skip
        return run(program, self._shell(), self._show)

    def _shell(self) -> Shell:
        return Shell(
            self.children, self._write, lambda _: None, self.root, self.environ, nullcontext, self._dry_run,
        )  # fmt: skip

    def _show(self, line: str) -> None:
        self._write(1, f"{line}\n".encode(errors="surrogateescape"))

    def _write(self, stream: int, data: bytes) -> None:
        self.log += data


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(tmp_path)


@pytest.fixture
def dry(tmp_path: Path) -> Target:
    return Target(tmp_path, dry_run=True)


@pytest.fixture
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "FIRST_PAUSE", 0.001)


RELATIVE = "paths are relative to the magnetfile's directory"


def refused(exec: Callable[[], object]) -> MagnetError:
    with pytest.raises(MagnetError) as caught:
        exec()
    return caught.value


def test_what_is_captured_is_stdout_as_it_was_and_in_the_log_as_well(target: Target) -> None:
    done = target.exec("sh", "-c", "echo out; echo err >&2; printf '\\377'", capture=True)
    assert done == Executed(0, "out\n\udcff")
    assert sorted(target.log.splitlines()[1:]) == [b"err", b"out", b"\xff"]
    assert target.exec("echo", "out") == Executed(0, "")


def test_without_check_the_exit_code_is_returned_and_with_it_is_an_error(target: Target) -> None:
    words = ("sh", "-c", "echo why; exit 7")
    assert target.exec(*words, check=False, capture=True) == Executed(7, "why\n")
    error = refused(lambda: target.exec(*words))
    assert isinstance(error, CommandFailed)
    assert (error.message, error.returncode, error.detail) == ("`sh` failed with exit code 7", 7, ("why",))
    assert target.exec("sh", "-c", "kill -9 $$", check=False) == Executed(-9)


@pytest.mark.parametrize("given", [{"check": False}, {"retry": 5}], ids=["unchecked", "retried"])
def test_a_program_that_is_not_there_is_an_error_in_any_case_and_at_once(target: Target, given: Any) -> None:
    error = refused(lambda: target.exec("no-such-program", **given))
    assert error.message == "`no-such-program` is not an executable program here"


def test_variables_are_those_of_the_command_before_those_of_the_environment(target: Target) -> None:
    target.environ["OTHER"] = "other"
    words = ("$ECHO", "$GIVEN", "${OTHER}", "$$GIVEN", Path("$GIVEN"))
    done = target.exec(*words, env={"GIVEN": "own", "ECHO": "echo", "N": 1}, capture=True)
    assert done.output == "own other $GIVEN $GIVEN\n"
    assert target.log.splitlines()[0] == b"Env:  GIVEN=own ECHO=echo N=1  Exec:  echo own other '$GIVEN' '$GIVEN'"


def test_a_shell_still_has_its_process_id_and_its_own_variables(target: Target) -> None:
    done = target.exec(
        "sh", "-c", 'for f in a b; do echo $$f; done; [ -d /proc/$$ ] && echo "$1 $#"', "sh", "x", capture=True
    )
    assert done.output == "a\nb\nx 1\n"


@settings(deadline=None, max_examples=25)  # each starts a program
@given(st.binary(max_size=50) | st.text(max_size=50).filter(lambda text: text.isprintable()))
@example("line\n")
@example(b"\0\xff" * 2**17)  # more than a pipe holds
def test_input_arrives_byte_for_byte_however_much_it_is(tmp_path_factory: pytest.TempPathFactory, given: Any) -> None:
    done = Target(tmp_path_factory.getbasetemp()).exec("cat", stdin=given, capture=True)
    assert done.output.encode(errors="surrogateescape") == (given.encode() if isinstance(given, str) else given)


def test_input_that_nobody_reads_is_no_error(target: Target) -> None:
    assert target.exec("true", stdin="x" * 2**20) == Executed(0)


def test_without_input_stdin_is_empty(target: Target) -> None:
    assert target.exec("cat", capture=True) == Executed(0, "")


@pytest.mark.usefixtures("_no_pauses")
def test_each_try_has_all_of_the_input(target: Target) -> None:
    done = target.exec("sh", "-c", "cat; [ -e been ] || ! touch been", stdin="all\n", retry=1, capture=True)
    assert (done, target.log.count(b"\nall\n")) == (Executed(0, "all\n"), 2)


def test_a_file_is_an_input_and_shown_as_the_command_finds_it(target: Target) -> None:
    (target.root / "sub").mkdir()
    (target.root / "na me").write_bytes(b"in\n")
    assert target.exec("cat", stdin=Path("na me"), cwd="sub", capture=True).output == "in\n"
    assert target.exec("cat", stdin=target.root / "na me", capture=True).output == "in\n"
    assert target.log == b"Dir:  sub  Exec:  cat < '../na me'\nin\nExec:  cat < 'na me'\nin\n"


@pytest.mark.parametrize("cwd", [".", "", "./sub/..", "ROOT"])
def test_the_directory_is_shown_where_it_is_not_the_projects(target: Target, cwd: str) -> None:
    (target.root / "sub").mkdir()
    target.exec("true", cwd=str(target.root) if cwd == "ROOT" else cwd)
    target.exec("true", cwd="./sub", env={"A": 1})
    target.exec("true", cwd="/")
    assert target.log == b"Exec:  true\nDir:  ./sub  Env:  A=1  Exec:  true\nDir:  /  Exec:  true\n"


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ({"cwd": "none"}, "the working directory `none` is not a directory", RELATIVE),
        ({"stdin": Path("none")}, "`stdin` cannot be read from ROOT/none: No such file or directory", RELATIVE),
        ({"stdin": Path()}, "`stdin` cannot be read from ROOT: Is a directory", RELATIVE),
        ({"stdin": 5}, "`stdin` cannot be of type int", "give text, bytes or a Path"),
        ({"retry": -1}, "`retry` cannot be -1", "give the number of further tries, as 2"),
        ({"retry": True}, "`retry` cannot be True", "give the number of further tries, as 2"),
        (
            {"timeout": "soon"},
            "`soon` is no time for `timeout`",
            "give seconds, as 90 or 0.5, or a text, as `90s`, `5m` or `1h30m`",
        ),
    ],
    ids=["directory", "no file", "no content", "type", "negative", "boolean", "timeout"],
)
def test_what_cannot_be_meant_is_one_clear_error(target: Target, given: Any, message: str, hint: str) -> None:
    error = refused(lambda: target.exec("true", **given))
    assert isinstance(error, MagnetfileError)
    assert (error.message.replace(str(target.root), "ROOT"), error.hint) == (message, hint)


@pytest.mark.usefixtures("_no_pauses")
def test_what_fails_is_tried_again_and_each_try_is_in_the_log(target: Target) -> None:
    done = target.exec("sh", "-c", "echo x >> tries; exit $((3 - $(wc -l < tries)))", retry=5)
    assert done == Executed(0)
    assert target.log.decode() == (
        "Exec:  sh -c 'echo x >> tries; exit $((3 - $(wc -l < tries)))'\n"
        "`sh` failed with exit code 2. Try 2 of 6 begins in 0.001s.\n"
        "Exec:  sh -c 'echo x >> tries; exit $((3 - $(wc -l < tries)))'\n"
        "`sh` failed with exit code 1. Try 3 of 6 begins in 0.002s.\n"
        "Exec:  sh -c 'echo x >> tries; exit $((3 - $(wc -l < tries)))'\n"
    )


@pytest.mark.usefixtures("_no_pauses")
def test_the_last_try_counts(target: Target) -> None:
    words = ("sh", "-c", "echo x >> tries; wc -l < tries; exit 4")
    assert target.exec(*words, retry=2, check=False, capture=True) == Executed(4, "3\n")
    assert refused(lambda: target.exec(*words, retry=1)).detail == ("5",)


@pytest.mark.usefixtures("_no_pauses")
def test_what_takes_too_long_is_ended_and_tried_again_with_all_of_its_time(target: Target) -> None:
    done = target.exec("sh", "-c", "[ -e been ] && exit 0; touch been; sleep 60 & sleep 60", retry=1, timeout=3)
    assert done == Executed(0)
    assert target.log.splitlines()[1] == (
        b"`sh` timed out after 3s and was ended by SIGTERM. Try 2 of 2 begins in 0.001s."
    )


def test_too_long_is_an_error_without_check_as_well(target: Target) -> None:
    error = refused(lambda: target.exec("sleep", "60", timeout=0.1, check=False))
    assert isinstance(error, TimedOut)
    assert (error.message, error.returncode) == ("`sleep` timed out after 0.1s and was ended by SIGTERM", -15)


@pytest.mark.usefixtures("_no_pauses")
def test_when_the_time_of_its_target_is_over_nothing_is_tried_again(target: Target) -> None:
    with target.children.limited(60) as limited:
        target.children = limited
        threading.Timer(0.3, limited.expire, ["5m"]).start()
        error = refused(lambda: target.exec("sleep", "60", timeout=50, retry=5))
    assert error.message == "`sleep` timed out after 5m and was ended by SIGTERM"
    assert target.log == b"Exec:  sleep 60\n"


def test_an_interrupt_is_the_end_of_all_tries(target: Target) -> None:
    def interrupt() -> None:
        while b"Try 2" not in target.log:
            time.sleep(0.01)
        target.children.stop()

    threading.Thread(target=interrupt).start()
    with pytest.raises(Canceled):
        target.exec("false", retry=5)
    assert target.log == b"Exec:  false\n`false` failed with exit code 1. Try 2 of 6 begins in 1s.\n"


def test_a_dry_run_runs_nothing_and_knows_nothing(dry: Target) -> None:
    done = dry.exec(
        "no-such-program", "$GIVEN", cwd="not/yet", stdin=Path("not/there"), capture=True, timeout=1, retry=5
    )
    assert (done, dry.log) == (Executed(0, ""), b"(cd not/yet && no-such-program environment < ../there)\n")


def test_bytes_that_a_script_cannot_hold_are_told(dry: Target) -> None:
    dry.exec("cat", stdin=b"a\0b")
    assert dry.log == b"# The input are 3 bytes that a script cannot hold.\ncat\n"


TEXTS = st.text(st.sampled_from("a $'\"\\\n%é\udcff-"), max_size=8)


@settings(deadline=None, max_examples=25)  # each starts a shell
@given(TEXTS, TEXTS, st.none() | TEXTS, st.sampled_from([".", "s u'b"]))
def test_the_script_of_a_dry_run_does_what_the_program_would(
    tmp_path_factory: pytest.TempPathFactory, word: str, value: str, stdin: str | None, cwd: str
) -> None:
    root = tmp_path_factory.getbasetemp() / "script"
    (root / "s u'b").mkdir(parents=True, exist_ok=True)
    show = 'printf \'%s|\' "$1" "$V" "${PWD##*/}"; cat'
    command = Command(("sh", "-c", show, "sh", word), {"V": value})
    program = Program(command, root / cwd, "" if cwd == "." else cwd, stdin)
    done = subprocess.run(["sh", "-c", script(program)], cwd=root, stdin=subprocess.DEVNULL, capture_output=True)
    assert (done.stderr, done.returncode) == (b"", 0)
    place = "script" if cwd == "." else cwd
    assert os.fsdecode(done.stdout) == f"{word}|{value}|{place}|{stdin or ''}"
