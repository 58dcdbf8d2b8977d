"""Faults that a real engine cannot be made to have, with a shell script in its place."""

import pytest

from tests.cli.program import HEADER, Program

DOCKER = """case "$1" in
version) echo '{{"Client":{{"Version":"20.10.24"}},"Server":{{"Version":"20.10.24","Components":[{{"Name":"Engine"}}]}}}}';;
info) echo '{{}}';;
build) echo built; {build};;
run) {run};;
image) case "$5" in localhost/magnet:*) echo "Error: No such image: $5" >&2; exit 1;; esac; {image};;
tag) ;;
*) exit 1;;
esac
"""

IMAGE = """echo '{"Id":"sha256:%s","Os":"linux","Architecture":"amd64","Config":{}}'""" % ("ab" * 32)

WRITES_AN_ID = 'for word; do case "$word" in --iidfile=*) echo sha256:%s > "${word#--iidfile=}";; esac; done' % (
    "ab" * 32
)


@pytest.fixture
def project(magnet: Program) -> Program:
    magnet.write({"Dockerfile": "FROM scratch\nCOPY f /f\n", "f": "f"})
    return magnet


def error(project: Program, *words: str, code: int) -> str:
    done = project(*words)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith(HEADER)
    return done.err[done.err.index("error: ") :]


def test_without_an_engine_the_error_says_what_to_install(project: Program) -> None:
    assert error(project, "build", code=3) == (
        "error: target `build`: no container engine is usable here\n"
        "  docker is not installed\n"
        "  podman is not installed\n"
        "  buildah is not installed\n"
        "hint: install one: `apt-get install podman`, `dnf install podman`, or "
        "https://docs.docker.com/engine/install; `magnet doctor` tells what keeps one that is installed from working\n"
    )


@pytest.mark.parametrize(
    ("name", "script", "expected"),
    [
        ("podman", None, "podman is not installed\nhint: install podman, or use docker or buildah\n"),
        (
            "docker",
            'echo "Cannot connect to the Docker daemon at unix:///x/docker.sock. Is the docker daemon running?" >&2; exit 1',
            "the docker daemon does not answer at unix:///x/docker.sock\n"
            "hint: start it (sudo systemctl start docker), set DOCKER_HOST, or use --backend podman or "
            "--backend buildah, which need no daemon; `magnet doctor` tells which works\n",
        ),
        (
            "docker",
            'echo "Got permission denied while trying to connect to the Docker daemon socket at unix:///x/docker.sock: Get" >&2'
            "; exit 1",
            "no permission to talk to the docker daemon at unix:///x/docker.sock\n"
            "hint: add yourself to the group `docker` (sudo usermod -aG docker $USER) and log in again, or use a "
            "rootless engine with --backend podman; `magnet doctor` tells which works\n",
        ),
        (
            "docker",
            """echo '{"Client":{"Version":"20.10.24"},"Server":{"Version":"4.3.1","Components":[{"Name":"Podman Engine"}]}}'""",
            "the docker client here talks to podman, not to a docker daemon\nhint: use --backend podman\n",
        ),
        (
            "podman",
            "echo garbage",
            "podman gave an answer that magnet does not understand\n"
            "hint: see what `podman info` and `podman version` say; this version may be too new or too old\n",
        ),
    ],
    ids=["not installed", "no daemon", "no permission", "podman in disguise", "garbage"],
)
def test_an_unusable_engine_is_an_error_that_says_what_to_do(
    project: Program, name: str, script: str | None, expected: str
) -> None:
    if script is not None:
        project.engine(name, script)
    assert error(project, f"--backend={name}", "build", code=3) == f"error: target `build`: {expected}"
    assert error(project, "build", code=3).startswith("error: target `build`: no container engine is usable here\n")


@pytest.mark.parametrize(
    ("build", "image", "expected"),
    [
        (
            "exit 0",
            IMAGE,
            "docker build ended with exit code 0, but there is no image\n"
            "log: _build/logs/STAMP/build\n"
            "hint: it may have been stopped from outside; run it again\n",
        ),
        (
            WRITES_AN_ID,
            "echo 'Error: No such image' >&2; exit 1",
            "docker build ended with exit code 0, but there is no image\n"
            "log: _build/logs/STAMP/build\n"
            "hint: it may have been stopped from outside; run it again\n",
        ),
        (
            f"{WRITES_AN_ID}; exit 1",
            IMAGE,
            "docker build failed with exit code 1\n  built\nlog: _build/logs/STAMP/build\n",
        ),
        ("kill -9 $$", IMAGE, "docker build was ended by SIGKILL\n  built\nlog: _build/logs/STAMP/build\n"),
    ],
    ids=["no id", "no image of that id", "an id and a failure", "killed"],
)
def test_a_build_without_its_image_is_no_success(project: Program, build: str, image: str, expected: str) -> None:
    project.engine("docker", DOCKER.format(build=build, image=image, run="exit 1"))
    assert error(project, "build", code=1) == f"error: target `build`: {expected}"


def test_a_build_is_a_success_with_its_image(project: Program) -> None:
    project.engine("docker", DOCKER.format(build=WRITES_AN_ID, image=IMAGE, run="exit 1"))
    assert project("build", "-q").out == f"sha256:{'ab' * 32}\n"


def test_an_engine_that_fails_is_not_the_containers_failure(project: Program) -> None:
    project.engine(
        "docker",
        DOCKER.format(
            build="exit 1", image=IMAGE, run="echo 'docker: Error response from daemon: no space left.' >&2; exit 125"
        ),
    )
    assert error(project, "run", "app", "true", code=3) == (
        "error: target `run`: docker 20.10.24 could not run the container\n"
        "  docker: Error response from daemon: no space left.\n"
        "log: _build/logs/STAMP/run\n"
    )


def test_the_first_engine_that_answers_is_taken(project: Program) -> None:
    project.engine("podman", "exit 1")
    project.engine("docker", DOCKER.format(build=WRITES_AN_ID, image=IMAGE, run="exit 1"))
    assert project("build").code == 0


def test_the_environment_and_the_configuration_choose_the_engine(project: Program) -> None:
    project.engine("docker", DOCKER.format(build=WRITES_AN_ID, image=IMAGE, run="exit 1"))
    project.write({"pyproject.toml": "[tool.magnet]\nbackend = 'podman'\n"})
    assert "podman is not installed" in error(project, "build", code=3)
    assert project("build", env={"MAGNET_BACKEND": "docker"}).code == 0
    assert "buildah is not installed" in project("--backend=buildah", "build", env={"MAGNET_BACKEND": "docker"}).err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["build"],
            "error: target `build`: there is no Dockerfile or Containerfile in `ROOT`\n"
            "hint: name another file with `file=` in the magnetfile, or with `-f` on the command line\n",
        ),
        (
            ["context"],
            "error: target `context`: there is no Dockerfile or Containerfile in `ROOT`\n"
            "hint: name another file with `file=` in the magnetfile, or with `-f` on the command line\n",
        ),
        (
            ["build", "-f", "x.Dockerfile"],
            "error: target `build`: there is no Dockerfile `x.Dockerfile`\nhint: looked for it in ROOT\n",
        ),
        (
            ["build", "nosuch"],
            "error: target `build`: the build context `nosuch` is not a directory\nhint: looked for it in ROOT\n",
        ),
        (
            ["run", "-v", "./nosuch:/x", "app", "true"],
            "error: target `run`: the source of a mount does not exist: ROOT/nosuch\n"
            "hint: create it first, or correct the path; it is relative to the magnetfile's directory\n",
        ),
    ],
    ids=["build", "context", "named", "directory", "mount"],
)
def test_what_is_missing_on_disk_is_an_error_that_names_it(magnet: Program, words: list[str], expected: str) -> None:
    magnet.engine("docker", DOCKER.format(build=WRITES_AN_ID, image=IMAGE, run="exit 1"))
    assert error(magnet, *words, code=2) == expected
