"""The table of checks, and what they find."""

import re
from collections.abc import Iterator, Sequence

from magnet.backends import BACKENDS
from magnet.doctor import daemon, images, isolation, rootless
from magnet.doctor.engines import Facts
from magnet.doctor.findings import Check, Finding, Result, ok, unknown
from magnet.doctor.remedies import install
from magnet.doctor.trial import Outcome

_ALL = ()
_OURS = ("docker", "podman", "buildah")
_DAEMONLESS = ("podman", "buildah")


def check_installed(facts: Facts) -> Finding | None:
    """Whether the engine's program is here; one of another package may have none."""
    if facts.name not in BACKENDS:
        return None
    if facts.program is None:
        return Finding("failed", f"{facts.name} is not installed", "", install(facts.machine, facts.name))
    return ok(facts.program)


def check_answers(facts: Facts) -> Finding:
    """Whether the engine answers a probe."""
    if facts.engine:
        return ok(f"{facts.engine} answers")
    explained = daemon.explain_silence(facts) if facts.name == "docker" else None
    return explained or Finding("failed", facts.refusal, " ".join(facts.detail))


def check_build(facts: Facts) -> Finding:
    """Whether a build works, with a COPY and a RUN."""
    what = "a RUN in a build" if facts.trial.copy and facts.trial.copy.worked else "a build"
    return _tried(facts, facts.trial.build, what)


def check_run(facts: Facts) -> Finding | None:
    """Whether a container runs."""
    return None if facts.trial.copy and facts.trial.run is None else _tried(facts, facts.trial.run, "a container")


def _tried(facts: Facts, outcome: Outcome | None, what: str) -> Finding:
    if outcome is None:
        return unknown(f"{what} was not tried: magnet has no program to run on this machine's architecture")
    if outcome.worked:
        return ok(f"{what} works, as a trial has shown")
    return Finding("failed", f"{what} does not work", _in_short(outcome.said))


def _in_short(said: Sequence[str]) -> str:
    """What an engine said, on one line, without what only frames it."""
    lines = [re.sub(r"(\s|\\n)+", " ", line).strip() for line in said]
    return "; ".join(line for line in lines if not _FRAME.fullmatch(line))[:_LONGEST]


# `time="..." level=error msg="did not get container create message from subprocess: EOF"` and its like follow from what
# the runtime has said.
_FRAME = re.compile(r"(RUN /exit: exit code \d+|: exit status \d+|Error: while running runtime: .*|time=.*)?")
_LONGEST = 400


CHECKS = (
    Check("installed", _ALL, check_installed, about_machine=False),
    Check("answers", _ALL, check_answers, about_machine=False),
    Check("remote", ("docker", "podman"), daemon.check_remote, about_machine=False),
    Check("clients", ("docker",), daemon.check_clients, about_machine=False),
    Check("builder", ("docker",), daemon.check_builder, about_machine=False),
    Check("subids", _DAEMONLESS, rootless.check_subids, always=True),
    Check("id-helpers", _DAEMONLESS, rootless.check_id_helpers, always=True),
    Check("namespaces", _DAEMONLESS, rootless.check_namespaces),
    Check("runtime-dir", _DAEMONLESS, rootless.check_runtime_dir),
    Check("cgroups", _DAEMONLESS, isolation.check_cgroups),
    Check("runtime", _DAEMONLESS, isolation.check_runtime),
    Check("limits", ("podman",), isolation.check_limits),
    Check("network", _DAEMONLESS, isolation.check_network),
    Check("tun", _DAEMONLESS, rootless.check_tun),
    Check("fuse", _DAEMONLESS, rootless.check_fuse),
    Check("storage", _OURS, images.check_storage, about_machine=False, unprobed=False),
    Check("policy", _DAEMONLESS, images.check_policy, always=True),
    Check("short-names", _DAEMONLESS, images.check_short_names),
    Check("disk", _ALL, images.check_disk, always=True),
    Check("build", _ALL, check_build, about_machine=False, unprobed=False),
    Check("run", _ALL, check_run, about_machine=False, unprobed=False),
)
"""Every check, in the order in which it is shown; the names are those of the JSON."""


def examine(facts: Facts) -> Iterator[Result]:
    """What the checks find that arise for an engine; of one that is not installed there is only that to say."""
    is_remote = bool(facts.engine and facts.engine.is_remote)
    for check in CHECKS:
        if check.engines and facts.name not in check.engines:
            continue
        if (check.about_machine and is_remote) or (facts.engine is None and not check.unprobed):
            continue
        finding = check.examine(facts)
        if finding:
            yield Result(check.id, facts.name, finding)
        if check.id == "installed" and facts.program is None and facts.name in BACKENDS:
            return
