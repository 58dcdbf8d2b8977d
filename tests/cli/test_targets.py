import pytest

from tests.cli.program import HEADER, Program

MAGNETFILE = '''
from magnet import Namespace, env, target

WHO = env("WHO", "world", help="Whom to greet")
docs = Namespace("docs")


@target(default=True)
def hello(t, name: str = WHO, *, times: int = 1):
    """Say hello.

    More about it.
    """
    for _ in range(times):
        t.print("hello", name)
    return name


@target(needs=[hello], aliases=["bye"])
def say_goodbye(t):
    """Say goodbye."""
    t.exec("sh", "-c", "echo goodbye; echo $$TO >&2", env={"TO": "all of you"})


@docs.target
def html(t):
    t.output(t.need(hello))


@target
def _internal(t):
    pass


def helper(t):
    pass
'''


@pytest.fixture
def project(magnet: Program) -> Program:
    magnet.write({"magnetfile.py": MAGNETFILE})
    return magnet


def test_targets_and_variables_are_listed(project: Program) -> None:
    done = project("--list", env={"WHO": "everyone"})
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "Targets:\n"
        "  hello             Say hello. (default)\n"
        "  say-goodbye, bye  Say goodbye.\n"
        "  docs:html\n"
        "\n"
        "Environment:\n"
        "  WHO=everyone  Whom to greet\n"
    )


def test_without_words_the_default_target_runs(project: Program) -> None:
    done = project()
    assert (done.code, done.out) == (0, "")
    assert done.err == (
        f"{HEADER}"
        "#1 hello\n"
        "#1 N.N hello world\n"
        "#1 DONE N.Ns\n"
        "[+] Building N.Ns (1/1) FINISHED\n"
        " => hello                                                                   N.Ns\n"
    )


def test_without_words_and_a_default_the_targets_are_listed(magnet: Program) -> None:
    magnet.write({"magnetfile.py": "from magnet import target\n\n\n@target\ndef one(t):\n    pass\n"})
    assert magnet().out == "Targets:\n  one\n"


def test_a_target_runs_after_what_it_needs_and_once(project: Program) -> None:
    done = project("bye", "hello", "say-goodbye")
    assert (done.code, done.out) == (0, "")
    assert done.err.endswith(
        "[+] Building N.Ns (2/2) FINISHED\n"
        " => say-goodbye                                                             N.Ns\n"
        " => hello                                                                   N.Ns\n"
    )
    lines = done.err.splitlines()
    assert lines.count("#1 N.N hello world") == 1
    assert lines.index("#1 DONE N.Ns") < lines.index("#2 N.N goodbye")


def test_a_target_is_run_anew_for_other_arguments(project: Program) -> None:
    done = project("hello", "hello", "--name", "b", "--times=2", "hello", "--name=b", "--times=2")
    assert done.code == 0
    assert [line for line in done.err.splitlines() if "N.N " in line] == [
        "#1 N.N hello world",
        "#2 N.N hello b",
        "#2 N.N hello b",
    ]
    assert done.err.endswith(
        "[+] Building N.Ns (2/2) FINISHED\n"
        " => hello                                                                   N.Ns\n"
        " => hello(name=b, times=2)                                                  N.Ns\n"
    )


def test_what_a_target_outputs_is_alone_on_stdout(project: Program) -> None:
    done = project("docs:html")
    assert (done.code, done.out) == (0, "world\n")


def test_the_magnetfile_is_found_above(project: Program) -> None:
    (project.root / "deep/er").mkdir(parents=True)
    done = project("bye", cwd="deep/er")
    assert done.code == 0
    assert done.err.startswith(
        "Logs:    ../../_build/logs/latest (../../_build/logs/STAMP)\n"
        "Version: v0.0.0-unversioned\n"
        "Cache:   ../../_build/magnet/project\n"
    )


def test_the_magnetfile_can_be_named_and_the_directory_changed(project: Program) -> None:
    project.write({"other/build.py": "from magnet import target\n\n\n@target\ndef one(t):\n    t.exec('pwd')\n"})
    by_file, by_directory = project("-f", "other/build.py", "one"), project("-C", "other", "-f", "build.py", "one")
    assert [done.code for done in (by_file, by_directory)] == [0, 0]
    assert "#1 N.N ROOT/other\n" in by_file.err
    assert "#1 N.N ROOT/other\n" in by_directory.err


def test_a_dry_run_prints_a_script_and_runs_nothing(project: Program) -> None:
    done = project("-n", "bye")
    assert (done.code, done.err) == (0, "")
    assert done.out == ("# hello\nhello world\n# say-goodbye\nTO='all of you' sh -c 'echo goodbye; echo $TO >&2'\n")
    assert not (project.root / "_build").exists()


def test_the_help_of_a_target_shows_its_parameters(project: Program) -> None:
    done = project("hello", "--help")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "Usage: magnet hello [OPTIONS]\n"
        "\n"
        "  Say hello.\n"
        "\n"
        "  More about it.\n"
        "\n"
        "Options:\n"
        "  --name TEXT      [default: world]\n"
        "  --times INTEGER  [default: 1]\n"
        "  --help           Show this message and exit.\n"
    )


def test_a_log_is_left_of_every_target(project: Program) -> None:
    assert project("bye").code == 0
    logs = sorted(path.name for path in (project.root / "_build/logs/latest/").glob("[!.]*"))
    assert logs == ["hello", "say-goodbye"]
    assert project.log("say-goodbye") == (
        "Name: say-goodbye\n"
        "Digest: blake3:DIGEST\n"
        "Cached: false\n"
        "Started: TIME\n"
        "Completed: TIME\n"
        "-----\n"
        "Env:  TO='all of you'  Exec:  sh -c 'echo goodbye; echo $TO >&2'\n"
        "goodbye\n"
        "all of you\n"
        "-----\n"
        "Vertex: Completed <nil> -> TIME\n"
        "Vertex: Duration N.Ns\n"
        "-----\n"
    )


def test_without_a_magnetfile_there_are_the_targets_of_a_dockerfile(magnet: Program) -> None:
    done = magnet("--list")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "No magnetfile.py in ROOT or above; these targets come with magnet.\n"
        "\n"
        "Targets:\n"
        "  build    Build an image from the Dockerfile or Containerfile in PATH.\n"
        "  context  Build with a narrow context, which holds only the files that the Dockerfile copies.\n"
        "  run      Run a command in a container of an image.\n"
    )


def test_the_version_is_what_git_describes(project: Program) -> None:
    def git(*words: str) -> None:
        identity = ("-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "init.defaultBranch=main")
        project.git(*identity, *words)

    project.write({".gitignore": "_build\n__pycache__\n"})
    git("init", "--quiet")
    git("remote", "add", "origin", "git@example.com:team/app.git")
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    git("tag", "v1.2.3")
    header = (
        "Logs:    _build/logs/latest (_build/logs/STAMP)\nVersion: {}\nCache:   _build/magnet/example.com/team/app\n"
    )
    assert project().err.startswith(header.format("v1.2.3"))
    project.write({"magnetfile.py": MAGNETFILE + "\n"})
    assert project().err.startswith(header.format("v1.2.3-dirty"))


def test_modules_beside_the_magnetfile_can_be_imported_at_any_time(magnet: Program) -> None:
    body = "from magnet import target\n\n\n@target\ndef one(t):\n    import steps\n    steps.go(t)\n"
    magnet.write({"magnetfile.py": body, "steps.py": "def go(t):\n    t.output('gone')\n"})
    assert magnet("one").out == "gone\n"
