"""Containers that run while targets work: started, used, waited for, and gone at the end, however that comes."""

import os
import re
import signal
import time

import pytest

from tests.contract.engines import Magnet

SERVER = (
    'trap "echo goodbye; exit 5" TERM; echo ready >&2; touch /ready; '
    "(while :; do nc -l -p 5555 -e echo hello; done) & while :; do sleep 0.1; done"
)
"""A program that answers on a port, tells when it is ready, and ends when it is told to."""

NAME = f"magnet-test-{os.getpid()}"


@pytest.fixture
def project(magnet: Magnet, base: str) -> Magnet:
    """A project with targets that start containers."""
    magnet.write({"magnetfile.py": f"""
from magnet import Mount, env, target

IMAGE = {base!r}
TOKEN = env("TOKEN", "geheim", secret=True)


@target
def server(t):
    return t.start(IMAGE, "sh", "-c", {SERVER!r}, health="test -e /ready", wait="healthy")


@target
def client(t):
    one = t.need(server)
    t.run(IMAGE, "sh", "-c", "nc 127.0.0.1 5555", network=one, attach=True)
    said = one.exec(
        "sh", "-c", "echo $A $(id -u) $(pwd); echo err >&2; exit 3",
        user="4321", workdir="/tmp", env={{"A": "x"}}, check=False,
    )
    t.output(f"{{said.returncode}} {{said.output!r}}")
    t.output([one.exec(*words, check=False) for words in (["nosuch"], ["/bin"], ["sh", "-c", "exit 125"])])
    t.output(one.exec("sh", "-c", "test $T = geheim && echo same", env={{"T": TOKEN}}).output.strip())
    t.output(f"{{one.logs()!r}} {{one.is_running()}} {{one.is_healthy()}}")
    t.output(f"{{one.stop(timeout=5)}} {{one.wait()}} {{one.is_running()}} {{one.is_healthy()}}")


@target
def fail(t):
    t.need(server)
    t.exec("false")


@target
def waiting(t):
    t.need(server)
    t.exec("sh", "-c", "touch waiting; sleep 100")


@target
def taken(t):
    with t.start(IMAGE, "sleep", "100", name={NAME!r}) as one:
        t.start(IMAGE, "true", name=one.name)


@target
def ended(t):
    one = t.start(IMAGE, "sh", "-c", "echo why; exit 7", name={NAME!r})
    t.output(one.wait())
    one.exec("true")


@target
def never(t):
    t.start(IMAGE, "sleep", "100", health="echo not yet; false", wait="healthy", timeout=5, name={NAME!r})


@target
def unknown(t):
    t.start(IMAGE, "sleep", "100", wait="healthy", name={NAME!r})


@target
def lacking(t):
    t.start(IMAGE, "nosuch")


@target
def kept(t):
    t.output(t.start(IMAGE, "sleep", "100", keep=True).id)
"""})  # fmt: skip
    return magnet


def starts(magnet: Magnet) -> bool:
    """Whether the column's engine has containers that go on running, and none of another column's tests has shown it."""
    return magnet.column.name in ("docker", "podman")


def left(magnet: Magnet) -> list[str]:
    """The containers that this project's runs made and that are still there."""
    log = "".join(
        path.read_text(errors="replace") for path in (magnet.root / "_build/logs").rglob("*") if path.is_file()
    )
    runs = sorted(set(re.findall(r"magnet-\d{14}-[0-9a-f]{8}", log)))
    assert runs
    return [one for run in runs for one in magnet.engine("ps", "-aq", f"--filter=label=dev.magnet.run={run}").split()]


def test_a_container_that_a_target_started_is_there_for_all_that_need_it_and_gone_at_the_end(project: Magnet) -> None:
    if not starts(project):
        return
    assert project.ok("client").decode().splitlines() == [
        "hello",
        "3 'x 4321 /tmp\\n'",
        "[Executed(returncode=127, output=''), Executed(returncode=126, output=''), Executed(returncode=125, output='')]",
        "same",
        "'ready\\n' True True",
        "5 5 False False",
    ]
    own = [line for line in project.log("server").splitlines() if line in ("ready", "goodbye")]
    assert own == ["ready", "goodbye"]
    assert project.log("server").splitlines()[-1] == "-----"
    used = project.log("client")
    assert "geheim" not in used
    assert {"x 4321 /tmp", "err"} <= set(used.splitlines())
    assert left(project) == []
    assert project("fail").code == 1
    assert left(project) == []


def test_an_engine_without_containers_that_go_on_running_refuses_to_start_one(project: Magnet) -> None:
    if project.column.backend == "buildah":
        result = project("server")
        assert result.code == 3
        assert "cannot leave a container running (`detach`)\n" in result.error


def test_the_ways_in_which_a_container_can_be_useless_are_told_and_nothing_is_left(project: Magnet) -> None:
    if not starts(project):
        return
    taken = project("taken")
    assert (taken.code, "already in use" in taken.error) == (3, True), taken.err
    assert taken.error.splitlines()[-1] == "hint: choose another `name`, or remove the container that has it"
    ended = project("ended")
    assert (ended.code, ended.out) == (7, b"7\n"), ended.err
    assert ended.error == (
        f"error: target `ended`: `{NAME}` has ended with exit code 7\n  why\n"
        "hint: what it printed is in the log of the target that started it\n"
    )
    assert project("never").error == (
        f"error: target `never`: `{NAME}` was not healthy within 5 seconds\n  not yet\n"
        "hint: what it printed is in the log of the target that started it\n"
    )
    assert project("unknown").error == (
        f"error: target `unknown`: nothing tells whether `{NAME}` is healthy: its image has no HEALTHCHECK\n"
        'hint: give t.start a command that tells by its exit code: health="pg_isready"\n'
    )
    lacking = project("lacking")
    assert (lacking.code, lacking.error) == (
        127, "error: target `lacking`: `nosuch` cannot be started in a container\n",
    )  # fmt: skip
    assert left(project) == []


def test_an_images_own_healthcheck_is_waited_for(magnet: Magnet, base: str, tag: str) -> None:
    if not starts(magnet):
        return
    magnet.write(
        {
            "Dockerfile": f"FROM {base}\nHEALTHCHECK --interval=1h CMD test -e /ready\n"
            'CMD ["sh", "-c", "sleep 1; touch /ready; sleep 100"]\n',
            "magnetfile.py": "from magnet import target\n\n@target\ndef go(t):\n"
            f"    with t.start(t.build('.', tags=[{tag!r}]), wait='healthy') as one:\n"
            "        one.exec('test', '-e', '/ready')\n",
        }
    )
    magnet.ok("go")
    assert left(magnet) == []


def test_a_container_that_is_kept_goes_on_running(project: Magnet) -> None:
    if not starts(project):
        return
    container = project.ok("kept").decode().strip()
    try:
        assert project.engine("inspect", "--format", "{{.State.Running}}", container) == "true\n"
    finally:
        project.engine("rm", "--force", *(["--time=0"] if project.column.backend == "podman" else []), container)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_a_container_does_not_outlive_a_run_that_was_stopped(project: Magnet, sent: signal.Signals) -> None:
    if not starts(project):
        return
    with project.running("waiting") as process:
        end = time.monotonic() + 60
        while not (project.root / "waiting").exists():
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        process.send_signal(sent)
        process.wait(60)
    if sent == signal.SIGKILL:
        assert len(left(project)) == 1
        project("fail")
    assert left(project) == []


def test_a_dry_run_prints_what_would_be_done_with_a_container(project: Magnet) -> None:
    if not starts(project):
        return
    printed = project.ok("--dry-run", "client").decode()
    # A container that was never made is called by its name.
    commands = re.findall(rf"^(?:T=\S+ )?{project.column.backend} (\w+) ", printed, re.MULTILINE)
    assert commands == ["run", "exec", "run", *["exec"] * 5, "logs", "stop", "wait", "rm"]
