"""`magnet doctor` as it is called, on a machine that has only the engines that a test makes."""

import json
import re

import pytest

from tests.cli.program import Program, Result

NOTHING = """\
docker    build: no    run: no
  failed   installed  docker is not installed

podman    build: no    run: no
  failed   installed  podman is not installed

buildah    build: no    run: no
  failed   installed  buildah is not installed

"""

ID = "sha256:" + "ab" * 32

DOCKER = """case "$1" in
--version) echo 'Docker version 20.10.24, build 1';;
version) echo '{{"Client":{{"Version":"20.10.24"}},"Server":{{"Version":"20.10.24","Components":[{{"Name":"Engine"}}]}}}}';;
info) echo '{{"Driver":"overlay2","Architecture":"{architecture}"}}';;
build) {build}
    for word; do case "$word" in
    --iidfile=*) echo {id} > "${{word#--iidfile=}}";;
    --tag=*) echo "+${{word#--tag=}}" >> "$HOME/images";;
    esac; done;;
run) {run};;
image) echo '{{"Id":"{id}","Os":"linux","Architecture":"amd64","Config":{{}}}}';;
rmi) shift; for image; do echo "-$image" >> "$HOME/images"; done;;
*) exit 1;;
esac
"""


def docker(magnet: Program, build: str = "", run: str = "true", architecture: str = "x86_64") -> None:
    magnet.engine("docker", DOCKER.format(build=build, run=run, architecture=architecture, id=ID))


def left(magnet: Program) -> set[str]:
    """The names of images that were given and not taken."""
    log = magnet.root.parent / "images"
    names = log.read_text().split() if log.exists() else []
    given, taken = ({name[1:] for name in names if name[0] == sign} for sign in "+-")
    return given - taken


def doctor(magnet: Program, *words: str) -> Result:
    """What it says, without what depends on the machine."""
    done = magnet(*words)
    text = re.sub(r"  (ok|warning|failed)( +disk +).*\n( {19}.*\n)*", r"  STATUS\2FREE\n", done.out)
    return Result(done.code, text.replace(str(magnet.tools), "BIN"), done.err)


WELL = """\
docker 20.10.24    build: yes    run: yes
  ok       installed  BIN/docker
  ok       answers    docker 20.10.24 answers
  ok       builder    BuildKit builds
  ok       storage    images are kept with overlay2
  STATUS       disk       FREE
  ok       build      a RUN in a build works, as a trial has shown
  ok       run        a container works, as a trial has shown
"""


def test_without_engines_it_says_so_and_ends_with_three(magnet: Program) -> None:
    said = f"{NOTHING}No engine answers here, and targets that need one fail.\n"
    assert magnet("doctor") == Result(3, said, "")
    record = json.loads(magnet("doctor", "--json").out)
    assert (record["chosen"], record["usable"]) == (None, False)


def test_an_engine_that_can_build_and_run_ends_it_with_zero(magnet: Program) -> None:
    docker(magnet)
    others = NOTHING[NOTHING.index("podman") :]
    said = f"{WELL}\n{others}Targets use docker, the first that answers: it can build and run.\n"
    # A second run finds what the first one found: it has left nothing.
    assert [doctor(magnet, "doctor"), doctor(magnet, "doctor")] == [Result(0, said, "")] * 2
    assert left(magnet) == set()


@pytest.mark.parametrize(
    ("build", "run", "can", "failed"),
    [
        (
            "",
            "echo 'docker: Error response from daemon: OCI runtime create failed' >&2; exit 125",
            (True, False),
            {"run"},
        ),
        ("", "exit 4", (True, False), {"run"}),
        ("echo 'ERROR: no' >&2; exit 1", "true", (False, False), {"build"}),
    ],
    ids=["no container", "a container that fails", "no build"],
)
def test_an_engine_that_cannot_ends_it_with_three(
    magnet: Program, build: str, run: str, can: tuple[bool, bool], failed: set[str]
) -> None:
    docker(magnet, build, run)
    done = magnet("doctor", "--json")
    record = json.loads(done.out)
    assert (done.code, record["usable"]) == (3, False)
    assert (record["engines"][0]["build"], record["engines"][0]["run"]) == can
    checks = [check for check in record["checks"] if check["engine"] == "docker"]
    assert {check["id"] for check in checks if check["status"] == "failed"} - {"disk"} == failed
    assert left(magnet) == set()


def test_what_is_built_is_new_each_time_so_that_no_cache_answers_for_the_engine(magnet: Program) -> None:
    docker(magnet, build='for context; do :; done; cat "$context/exit" > "$HOME/exit.$$"')
    for _ in range(2):
        assert magnet("doctor").code == 0
    programs = [path.read_bytes() for path in magnet.root.parent.glob("exit.*")]
    # Both builds of a trial are of one program, so that the second takes over what the first has made.
    assert (len(programs), len(set(programs))) == (4, 2)


def test_a_container_is_not_tried_where_there_is_no_program_for_the_engines_machine(magnet: Program) -> None:
    docker(magnet, architecture="vax")
    record = json.loads(magnet("doctor", "--json").out)
    statuses = {check["id"]: check["status"] for check in record["checks"] if check["engine"] == "docker"}
    assert (statuses["build"], statuses["run"], record["usable"]) == ("unknown", "unknown", True)
    assert not (magnet.root.parent / "images").exists()


@pytest.mark.parametrize(
    ("words", "env", "settings", "why"),
    [
        (("--backend=podman",), {}, "", "as it was asked for"),
        ((), {"MAGNET_BACKEND": "podman"}, "", "as it was asked for"),
        ((), {}, '[tool.magnet]\nbackend = "podman"\n', "as pyproject.toml says"),
    ],
    ids=["option", "variable", "project"],
)
def test_what_is_asked_is_whether_the_engine_that_targets_use_can(
    magnet: Program, words: tuple[str, ...], env: dict[str, str], settings: str, why: str
) -> None:
    docker(magnet)
    magnet.write({"pyproject.toml": settings})
    done = magnet(*words, "doctor", env=env)
    assert done.code == 3
    assert done.out.splitlines()[-1] == (
        f"Targets use podman, {why}: it can neither build nor run. What is to be mended: installed. "
        "Here, docker can: --backend docker."
    )


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--backend=nosuch", "doctor"), "error: there is no backend `nosuch`\n"),
        (("-n", "doctor"), "error: `--dry-run` is about targets, and `doctor` is none\n"),
        (("--force", "doctor"), "error: `--force` is about targets, and `doctor` is none\n"),
        (("doctor", "podman"), "error: "),
    ],
)
def test_what_does_not_fit_is_an_error_of_usage(magnet: Program, words: tuple[str, ...], error: str) -> None:
    done = magnet(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(error)


def test_json_can_be_asked_for_before_and_after(magnet: Program) -> None:
    assert magnet("--json", "doctor").out == magnet("doctor", "--json").out


def test_a_build_that_fails_for_what_the_machine_lacks_says_who_can_tell(magnet: Program) -> None:
    magnet.write({"Dockerfile": "FROM scratch\nCOPY f /f\n", "f": "f"})
    said = "cgroups in hybrid mode not supported, drop all controllers from cgroupv2"
    docker(magnet, f"echo '{said}' >&2; exit 1")
    assert magnet("--force", "build").err.endswith(
        "hint: `magnet --backend docker doctor` tells what is missing, and what mends it\n"
    )
    docker(magnet, run=f"echo 'docker: Error response from daemon: {said}' >&2; exit 125")
    assert magnet("run", "app", "true").err.endswith(
        "hint: `magnet --backend docker doctor` tells what is missing, and what mends it\n"
    )
