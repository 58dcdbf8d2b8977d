"""What goes wrong with the engines themselves, as users report it, and must not through magnet."""

import json
import os
import re
import signal
import subprocess
import time
from base64 import b64decode
from pathlib import Path

from tests.conformance.behaviours import Behaviour, Case, Differs, Section
from tests.conformance.conftest import Judge

SECTION = Section(
    "What must not happen",
    "Traps of the engines themselves: seen in real runs, or reported by their users.",
)
behaviour = SECTION.behaviour


def test_traps(judge: Judge, behaviour: Behaviour, tmp_path: Path) -> None:
    judge(f"traps.{behaviour.id}", behaviour, tmp_path)


@behaviour("SIGTERM to magnet while it builds: exit code 130, no image, and the step is gone", (130, "", False))
def stopped_build(case: Case) -> object:
    seconds = f"8{os.getpid()}"
    case.dockerfile(f"RUN sleep {seconds}")
    with case.magnet.running("build", "-t", case.name, ".") as process:
        _wait_for(seconds, process)
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
    deadline = time.monotonic() + 20
    while _sleeps(seconds) and time.monotonic() < deadline:
        time.sleep(0.1)
    return code, case.magnet.engine("images", "--quiet", case.name), _sleeps(seconds)


def _wait_for(seconds: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        if _sleeps(seconds):
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise Differs("the step did not begin")


def _sleeps(seconds: str) -> bool:
    """Whether a step runs that sleeps so long."""
    return any(
        _command(path) in (f"sleep {seconds}", f"/bin/sh -c sleep {seconds}") for path in Path("/proc").glob("[0-9]*")
    )


def _command(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""  # it has ended


@behaviour("A step that fails: magnet's exit code is 1, and the error has the step's own code", [(1, 3), (1, 125)])
def failing_step(case: Case) -> object:
    ended = []
    for code in (3, 125):
        case.dockerfile(f"RUN exit {code}")
        end, said = case.end("build", ".")
        found = re.search(r"RUN exit \d+: exit code (\d+)$", said)
        ended.append((end, int(found[1]) if found else said))
    return ended


@behaviour("A file that a step mounts was changed: the step is run again", ["one\n", "two\n"])
def changed_mount(case: Case) -> object:
    seen = []
    for text in ("one\n", "two\n"):
        case.files({"m/f": text})
        os.utime(case.magnet.root / "m/f", (10**9, 10**9))
        seen.append(case.steps("RUN --mount=type=bind,source=m,target=/m : NAME; cat /m/f", words=()))
    return seen


@behaviour("An argument was changed: what comes after its `ARG` is built again, and copies with it", ["one\n", "two\n"])
def changed_argument(case: Case) -> object:
    case.files({"one": "one\n", "two": "two\n"})
    return [
        case.steps("ARG WHICH", "COPY $WHICH /f", "RUN : NAME; cat /f", words=["--build-arg", f"WHICH={which}"])
        for which in ("one", "two")
    ]


@behaviour("A step prints more than BuildKit shows: all of it is there, or a warning says that it was clipped", True)
def clipped(case: Case) -> object:
    case.dockerfile("RUN i=0; while [ $i -lt 60000 ]; do echo line $i; i=$((i+1)); done")
    result = case.magnet("build", "--no-cache", ".")
    log = case.magnet.log("build")
    return len(re.findall(r"\bline \d+$", log, re.MULTILINE)) >= 60000 or "BUILDKIT_STEP_LOG_MAX" in log + result.err


@behaviour(
    "A step's last words without a newline are its own, and the next step is told apart",
    [("[2/3] RUN printf 'last words'", "last words"), ("[3/3] RUN true", "")],
)
def last_words(case: Case) -> object:
    case.dockerfile("RUN printf 'last words'", "RUN true")
    result = case.magnet("--progress=rawjson", "build", "--no-cache", ".")
    events = [json.loads(line) for line in result.out.splitlines() if line.startswith(b"{")]
    names = {one["digest"]: one["name"] for event in events for one in event.get("vertexes", ())}
    said = dict.fromkeys((name for name in names.values() if re.match(r"\[[23]/3\] RUN", name)), "")
    for log in (one for event in events for one in event.get("logs", ())):
        if names.get(log["vertex"]) in said:
            said[names[log["vertex"]]] += b64decode(log["data"]).decode()
    return list(said.items())


@behaviour("`--secret id=ID,env=NAME`: the value is in a file for the step, and in no log", (["11", "***"], False))
def secret_of_environment(case: Case) -> object:
    os.environ["MAGNET_CONFORMANCE_SECRET"] = "value-of-it"
    try:
        said = case.steps(
            "RUN --mount=type=secret,id=s wc -c </run/secrets/s && cat /run/secrets/s && echo",
            words=["--no-cache", "--secret", "id=s,env=MAGNET_CONFORMANCE_SECRET"],
        )
    finally:
        del os.environ["MAGNET_CONFORMANCE_SECRET"]
    return said.splitlines(), "value-of-it" in case.magnet.log("build")


@behaviour("`RUN --mount=type=secret,required=true` of a secret that was not given: an error", True)
def secret_required(case: Case) -> object:
    case.dockerfile("RUN --mount=type=secret,id=s,required=true cat /run/secrets/s")
    return case.end("build", ".")[0] in (1, 2)


@behaviour("`--ssh default` without an agent: an error before anything starts", 2)
def no_agent(case: Case) -> object:
    case.dockerfile("RUN --mount=type=ssh true")
    agent = os.environ.pop("SSH_AUTH_SOCK", None)
    try:
        return case.end("build", "--ssh", "default", ".")[0]
    finally:
        if agent is not None:
            os.environ["SSH_AUTH_SOCK"] = agent


@behaviour("Three runs of magnet at once build one key once", (1, [0, 0, 0]))
def at_once(case: Case) -> object:
    case.dockerfile("RUN cat /proc/sys/kernel/random/uuid >/uuid; sleep 1")
    argv = case.magnet.argv("build", "-q", ".")
    running = [
        subprocess.Popen(
            argv, cwd=case.magnet.root, env=case.magnet.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        for _ in range(3)
    ]
    said = [one.communicate(timeout=120)[0] for one in running]
    return len(set(said)), [one.returncode for one in running]
