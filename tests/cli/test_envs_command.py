"""`magnet envs`, and what variables are to a run."""

import json
import re
from pathlib import Path

import pytest

import magnet as package
from magnet.envscommand import SETTINGS
from tests.cli.program import Program

MAGNETFILE = '''
from pathlib import Path

from magnet import Secret, env, import_env, target

import_env(".env", required=False)

VERSION = env("VERSION", required=True, help="What to publish")
MODE = env("MODE", "fast", choices=["fast", "slow"], help="How")
PORT = env("PORT", 8080)
OUT = env("OUT", type=Path)
TOKEN = env("TOKEN", "none-yet", secret=True, help="Opens the door")
URL = env("URL", "https://example.test")


@target
def show(t, token: str = TOKEN):
    """Show all."""
    t.print(VERSION, MODE, PORT, OUT, TOKEN, URL)


@target
def late(t):
    env("LATE")
'''


@pytest.fixture
def project(magnet: Program) -> Program:
    magnet.write({"magnetfile.py": MAGNETFILE})
    return magnet


def test_all_variables_are_shown_with_their_values_and_where_these_come_from(project: Program) -> None:
    project.write({".env": "TOKEN=hunter2-and-more\nURL=https://me:$TOKEN@example.test\n"})
    result = project("envs", env={"MODE": "slow", "OUT": "a\nb", "MAGNET_BACKEND": "podman"})
    assert (result.code, result.err) == (0, "")
    assert result.out == (
        "NAME     VALUE                        DEFAULT               SOURCE       DESCRIPTION\n"
        "VERSION                                                     missing      What to publish\n"
        "MODE     slow                         fast                  environment  How [fast|slow]\n"
        "PORT     8080                         8080                  default\n"
        'OUT      "a\\nb"                                             environment\n'
        "TOKEN    ***                          ***                   .env         Opens the door\n"
        "URL      https://me:***@example.test  https://example.test  .env\n"
        "\n"
        "Of magnet itself:\n"
        "NAME            VALUE   DESCRIPTION\n"
        "MAGNET_BACKEND  podman  Engine to use, as with --backend\n"
        "MAGNET_OFFLINE          Download nothing, as with --offline\n"
    )


@pytest.mark.parametrize("words", [("envs", "--json"), ("--json", "envs")])
def test_json_tells_the_same_and_more(project: Program, words: tuple[str, ...]) -> None:
    result = project(*words, env={"PORT": "80", "TOKEN": "hunter2"})
    assert (result.code, result.err) == (0, "")
    told = json.loads(result.out)
    usual = {
        "value": None, "default": None, "source": None, "help": "", "type": "str", "choices": None,
        "required": False, "missing": False, "secret": False,
    }  # fmt: skip
    assert told == {
        "variables": [
            {"name": "VERSION", **usual, "help": "What to publish", "required": True, "missing": True},
            {"name": "MODE", **usual, "value": "fast", "default": "fast", "source": "default", "help": "How", "choices": ["fast", "slow"]},
            {"name": "PORT", **usual, "value": "80", "default": "8080", "source": "environment", "type": "int"},
            {"name": "OUT", **usual, "type": "Path"},
            {"name": "TOKEN", **usual, "value": "***", "default": "***", "source": "environment", "help": "Opens the door", "secret": True},
            {"name": "URL", **usual, "value": "https://example.test", "default": "https://example.test", "source": "default"},
        ],
        "settings": [
            {"name": "MAGNET_BACKEND", "value": None, "help": "Engine to use, as with --backend"},
            {"name": "MAGNET_OFFLINE", "value": None, "help": "Download nothing, as with --offline"},
        ],
    }  # fmt: skip


def test_without_a_magnetfile_there_are_the_variables_of_magnet_itself(magnet: Program) -> None:
    assert magnet("envs").out == (
        "The magnetfile declares no variables.\n"
        "\n"
        "Of magnet itself:\n"
        "NAME            VALUE  DESCRIPTION\n"
        "MAGNET_BACKEND         Engine to use, as with --backend\n"
        "MAGNET_OFFLINE         Download nothing, as with --offline\n"
    )


def test_every_variable_that_magnet_reads_is_shown() -> None:
    home = Path(package.__file__).parent
    sources = [path.read_text() for path in home.rglob("*.py") if path.parent.name != "testing"]
    read = {name for source in sources for name in re.findall(r'"(MAGNET_[A-Z_]*[A-Z])"', source)}
    assert read == {name for name, _ in SETTINGS}


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (
            ("envs", "extra"),
            "error: got unexpected extra argument (extra)\nhint: `magnet envs --help` shows what there is\n",
        ),
        (
            ("-n", "envs"),
            "error: `--dry-run` is about targets, and `envs` is none\nhint: leave it out: envs changes nothing\n",
        ),
        (("--force", "envs"), "error: `--force` is about targets, and `envs` is none\n"),
    ],
)
def test_what_is_not_about_variables_is_an_error(project: Program, words: tuple[str, ...], error: str) -> None:
    result = project(*words)
    assert (result.code, result.out, result.err) == (2, "", error)


def test_a_required_variable_is_wanted_of_all_that_runs_and_of_nothing_else(project: Program) -> None:
    for words in (["show"], ["-n", "show"], ["--explain", "show"]):
        result = project(*words)
        assert (result.code, result.out) == (2, "")
        assert result.err == (
            "error: `VERSION` is required, and not set\n"
            "  VERSION: What to publish\n"
            "hint: VERSION=... magnet ...; `magnet envs` shows all variables\n"
        )
    assert not (project.root / "_build").exists()
    assert "  VERSION=                  What to publish (required)\n" in project("--list").out
    assert project("show", "--help").code == 0
    done = project("--progress=quiet", "show", env={"VERSION": "1"})
    assert (done.code, done.err) == (0, "")
    assert "1 fast 8080 None *** https://example.test\n" in project.log("show")


def test_a_secret_that_is_imported_is_shown_nowhere(project: Program) -> None:
    project.write({".env": "TOKEN=hunter2-and-more\nURL=https://me:$TOKEN@example.test\nVERSION=1\n"})
    results = [
        project(*words) for words in (["show"], ["-n", "show"], ["--list"], ["show", "--help"], ["show", "--token"])
    ]
    assert [result.code for result in results] == [0, 0, 0, 0, 2]
    assert "1 fast 8080 None *** https://me:***@example.test\n" in project.log("show")
    assert "  URL=https://me:***@example.test\n" in results[2].out
    assert "--token TEXT  [default: (***)]\n" in results[3].out
    assert "hunter2" not in "".join(result.out + result.err for result in results)
    assert not [
        path
        for path in project.root.rglob("*")
        if path.is_file() and path.name != ".env" and b"hunter2" in path.read_bytes()
    ]


def test_a_target_that_declares_a_variable_is_told_where_to_do_it(project: Program) -> None:
    result = project("--progress=quiet", "late", env={"VERSION": "1"})
    assert result.code == 2
    assert "error: target `late`: `LATE` is declared while a target runs\n" in result.err
    assert (
        "hint: call `env` at the top of the magnetfile: there it is listed, imported, and hidden if it is secret\n"
        in result.err
    )
