"""Completion as a real shell does it: what a word becomes when somebody presses Tab."""

import os
import pty
import select
import shlex
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from magnet import owncommands
from magnet.buildfile import RESERVED
from magnet.cli import main
from magnet.owncommands import OWN_COMMANDS
from tests.cli.program import Program

MAGNETFILE = """
import sys
from pathlib import Path
from typing import Literal

from magnet import Namespace, target

docker = Namespace("docker")
print("loaded")
print("loaded", file=sys.stderr)


@target
def hello(t, *, name: Literal["world", "you"] = "world", shout: bool = False):
    'Say hello: "loudly", if need be.'
    raise AssertionError


@target(aliases=["bye"])
def goodbye(t):
    '''Say goodbye.'''
    raise AssertionError


@target
def read(t, file: Path, *, to: str = ""):
    raise AssertionError


@docker.target
def push(t):
    '''Push: all of it.'''
    raise AssertionError
"""

LINES: Mapping[str, Sequence[str]] = {
    # what is typed before Tab: the words that the command line then has
    "goodb": ["goodbye"],
    "docker:pu": ["docker:push"],
    "hello --sh": ["hello", "--shout"],
    "hello --name y": ["hello", "--name", "you"],
    "hello --name=y": ["hello", "--name=you"],
    "hello --shout goodb": ["hello", "--shout", "goodbye"],
    "read fi": ["read", "file.json"],
    "read with": ["read", "with blank"],
    "--backend=bu": ["--backend=buildah"],
    "-C su": ["-C", "sub"],
    "--trace=fi": ["--trace=file.json"],
    "-f sub/other.py lau": ["-f", "sub/other.py", "launch"],
    "-C sub -f other.py lau": ["-C", "sub", "-f", "other.py", "launch"],
    "cache prune --older": ["cache", "prune", "--older-than"],
    "logs goodb": ["logs", "goodbye"],
    "help comp": ["help", "completion"],
    "completion fi": ["completion", "fish"],
}

PROMPT = "ready>"


@pytest.fixture
def project(magnet: Program) -> Program:
    """A project with targets that must not run, and a `magnet` to be found by a shell."""
    files = {"sub/other.py": "from magnet import target\n\n\n@target\ndef launch(t):\n    raise AssertionError\n"}
    magnet.write({"magnetfile.py": MAGNETFILE, "file.json": "", "with blank": "", "subscript": "", **files})
    magnet.engine("magnet", f'exec {shlex.join(magnet.argv)} "$@"\n')
    return magnet


def environment(project: Program) -> dict[str, str]:
    return {**project.env, "PATH": f"{project.tools}:{os.environ['PATH']}", "TERM": "xterm", "PS1": PROMPT}


class Typing:
    """A shell on a terminal, in which `magnet` tells its words to a file in place of doing anything."""

    def __init__(self, project: Program, terminal: int) -> None:
        self.said = project.root / "said"
        self.terminal = terminal
        self.shown = b""

    def words(self, typed: str) -> list[str]:
        """The words of the command line that begins with what is typed before Tab."""
        self.said.unlink(missing_ok=True)
        self.enter(f"magnet {typed}\t")
        return [word.removesuffix("/") for word in self.said.read_text().splitlines()]

    def enter(self, line: str) -> None:
        """Type a line, and wait until it is done."""
        self.shown = b""
        os.write(self.terminal, line.encode() + b"; echo do''ne\n")
        deadline = time.monotonic() + 60
        while PROMPT.encode() not in self.shown.partition(b"done\r\n")[2]:
            assert time.monotonic() < deadline, self.shown
            if select.select([self.terminal], [], [], 0.1)[0]:
                self.shown += os.read(self.terminal, 65536)


@contextmanager
def typing(project: Program, *shell: str, setup: str) -> Iterator[Typing]:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(project.root)
        os.execvpe(shell[0], shell, environment(project))
    try:
        made = Typing(project, terminal)
        made.enter(f"{setup}; magnet() {{ printf '%s\\n' \"$@\" >said; }}; PS1='{PROMPT[:2]}''{PROMPT[2:]}'")
        yield made
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)


def test_bash_completes(project: Program) -> None:
    setup = 'eval "$(magnet completion bash)"'
    with typing(project, "bash", "--norc", "--noprofile", "-i", setup=setup) as bash:
        assert {line: bash.words(line) for line in LINES} == LINES


def test_zsh_completes(project: Program) -> None:
    setup = 'autoload -U compinit; compinit -D -u; eval "$(magnet completion zsh)"'
    with typing(project, "zsh", "-f", "-i", setup=setup) as zsh:
        assert {line: zsh.words(line) for line in LINES} == LINES


def test_fish_completes(project: Program) -> None:
    def completed(line: str) -> list[str]:
        (only,) = offered(project, line)
        return [*shlex.split(line)[:-1], only.removesuffix("/")]

    assert {line: completed(line) for line in LINES} == LINES


def offered(project: Program, line: str) -> list[str]:
    """What fish offers for the last word of a command line, without the descriptions."""
    return [one.partition("\t")[0] for one in described(project, line)]


def described(project: Program, line: str) -> list[str]:
    script = f"magnet completion fish | source; complete --do-complete {shlex.quote(f'magnet {line}')}"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        cwd=project.root,
        env=environment(project),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_what_is_offered_is_told_in_a_line_each(project: Program) -> None:
    found = described(project, "")
    assert found[:5] == [
        'hello\tSay hello: "loudly", if need be.',
        "goodbye\tSay goodbye.",
        "bye\tSay goodbye.",
        "read",
        "docker:push\tPush: all of it.",
    ]
    assert offered(project, "")[5:] == list(OWN_COMMANDS)
    assert described(project, "hello --") == ["--name", "--shout", "--no-shout", "--help\tShow this message and exit."]


def test_after_a_target_come_targets_and_no_commands(project: Program) -> None:
    assert offered(project, "goodbye ") == ["hello", "goodbye", "bye", "read", "docker:push"]


def asked(project: Program, line: str) -> tuple[int, str, str]:
    """What magnet answers when bash asks."""
    done = project("ignored", env={"_MAGNET_COMPLETE": "bash_complete", "COMP_WORDS": f"magnet {line}"})
    return done.code, done.out, done.err


def test_the_value_of_an_option_that_magnet_knows_nothing_of_is_not_completed(project: Program) -> None:
    assert asked(project, "read file.json --to ") == (0, "\n", "")


def test_without_a_magnetfile_the_options_of_docker_and_podman_are_completed(magnet: Program) -> None:
    assert asked(magnet, "build . --no-c") == (0, "plain,--no-cache\n", "")
    assert asked(magnet, "build --file=Do") == (0, "file,Do\n", "")
    assert asked(magnet, "build ") == (0, "dir,\n", "")


@pytest.mark.parametrize("text", ["import nothing", "def", "import sys; sys.exit(3)", "print(1)"])
def test_a_magnetfile_that_cannot_be_loaded_is_passed_over_in_silence(magnet: Program, text: str) -> None:
    magnet.write({"magnetfile.py": f"print('here')\n{text}\n"})
    assert asked(magnet, "back") == (0, "plain,backends\n", "")
    assert asked(magnet, "--keep") == (0, "plain,--keep-going\n", "")
    assert asked(magnet, "nothing ") == (0, "\n", "")


def test_a_shell_that_magnet_does_not_know_is_told_so(magnet: Program) -> None:
    done = magnet("completion", "tcsh")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "error: invalid value for '{bash|zsh|fish}': 'tcsh' is not one of 'bash', 'zsh', 'fish'\n"
        "hint: `magnet completion --help` shows what there is\n"
    )


def test_every_command_has_a_help_and_can_be_completed(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(OWN_COMMANDS) == set(RESERVED)
    for name in OWN_COMMANDS:
        assert main([name, "--help"], {}) == 0
        assert capsys.readouterr().out.startswith(f"Usage: magnet {name} ")
        assert owncommands.make(name).name == name


def test_the_help_of_what_is_named_is_that_of_its_option(magnet: Program) -> None:
    magnet.write({"magnetfile.py": MAGNETFILE.replace("\nprint", "\n# ")})
    for words in (("hello",), ("cache", "prune"), ("logs",), ("help",)):
        assert magnet("help", *words) == magnet(*words, "--help")
    assert magnet("help") == magnet("--help")
    (magnet.root / "sub").mkdir()
    (magnet.root / "sub" / "deeper").mkdir()
    assert magnet("-C", "deeper", "help", "hello", cwd="sub") == magnet("hello", "--help")


def test_no_target_has_the_name_of_a_command(magnet: Program, tmp_path: Path) -> None:
    for name in OWN_COMMANDS:
        magnet.write({"magnetfile.py": f"from magnet import target\n\n\n@target\ndef {name}(t): ...\n"})
        done = magnet("--list")
        assert (done.code, done.out) == (2, "")
        assert f"a target cannot be called `{name}`" in done.err
