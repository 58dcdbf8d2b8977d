"""How what is found is shown, to people and to programs."""

import json

import pytest

from magnet.doctor.checks import examine
from magnet.doctor.engines import Facts
from magnet.doctor.machine import Device, SubIds
from magnet.doctor.report import Choice, as_json, table
from magnet.doctor.verdict import Verdict, judge
from magnet.values import replace
from tests.unit.patients import ANN, DOCKER, FAILS, NOT_TRIED, PODMAN, PODMAN_OF_ANN, RUN_FAILS, WORKS, on

ASKED = Choice("podman", "as it was asked for")


def verdicts(*facts: Facts) -> list[Verdict]:
    return [judge(one, list(examine(one))) for one in facts]


ILL = on(PODMAN_OF_ANN, FAILS, subuids=SubIds(0, 100000), devices={"/dev/net/tun": Device(0o600, False)})


def test_the_table_tells_engine_by_engine_what_works_and_what_mends_the_rest() -> None:
    found = verdicts(Facts("docker", ANN), on(PODMAN, RUN_FAILS, may_raise_limits=False, open_files=20000))
    assert table(found, ASKED) == (
        "docker    build: no    run: no\n"
        "  failed   installed  docker is not installed\n"
        "                      fix: sudo apt-get install -y docker.io\n"
        "\n"
        "podman 4.3.1    build: yes    run: no\n"
        "  ok       installed    /usr/bin/podman\n"
        "  ok       answers      podman 4.3.1 answers\n"
        "  ok       cgroups      cgroups v2, managed by systemd\n"
        "  ok       runtime      the OCI runtime is crun\n"
        "  failed   limits       podman gives containers 1048576 open files, and no more than 20000 can be given here\n"
        "                        root has no CAP_SYS_RESOURCE here: `error setting rlimit type 7: operation not permitted`\n"
        "                        fix: mkdir -p /etc/containers/containers.conf.d && printf '[containers]\\ndefault_ulimits = "
        '["nofile=20000:20000", "nproc=4096:4096"]\\n\' > /etc/containers/containers.conf.d/50-ulimits.conf\n'
        "  ok       network      netavark and aardvark-dns make the network of containers\n"
        "  ok       storage      images are kept with overlay\n"
        "  ok       policy       the policy for images is /etc/containers/policy.json\n"
        "  ok       short-names  short names of images are looked for in docker.io\n"
        "  ok       disk         80GB free at /store\n"
        "  ok       build        a RUN in a build works, as a trial has shown\n"
        "  failed   run          a container does not work\n"
        "                        no\n"
        "\n"
        "Targets use podman, as it was asked for: it can build, but not all that targets need. "
        "What is to be mended: limits.\n"
    )


def test_json_and_table_say_the_same() -> None:
    found = verdicts(DOCKER, ILL)
    text, record = table(found, ASKED), json.loads(as_json(found, ASKED))
    shown = [line for line in text.splitlines() if line.startswith("  ")]
    told = []
    for check in record["checks"]:
        lines = [
            check["what"],
            *([check["why"]] if check["why"] else []),
            *([f"fix: {check['fix']}"] if check["fix"] else []),
        ]
        told += [(check["status"], check["id"], lines[0]), *[("", "", line) for line in lines[1:]]]
    assert len(told) == len(shown)
    for (status, name, line), row in zip(told, shown, strict=True):
        assert row.split()[: 2 if status else 0] == ([status, name] if status else [])
        assert row.endswith(f"  {line}")
    assert [(one["name"], one["build"], one["run"]) for one in record["engines"]] == [
        ("docker", True, True), ("podman", False, False),
    ]  # fmt: skip


def test_json_has_these_names() -> None:
    record = json.loads(as_json(verdicts(Facts("buildah", ANN)), Choice(None, "none answers")))
    assert record == {
        "chosen": None,
        "why": "none answers",
        "usable": False,
        "engines": [
            {"name": "buildah", "version": None, "rootless": None, "program": None, "build": False, "run": False}
        ],
        "checks": [
            {
                "id": "installed", "engine": "buildah", "status": "failed", "what": "buildah is not installed",
                "why": None, "fix": "sudo apt-get install -y buildah",
            }
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ((PODMAN,), "Targets use podman, as it was asked for: it can build and run."),
        (
            (replace(PODMAN, trial=NOT_TRIED),),
            "Targets use podman, as it was asked for: nothing is known to keep it from building and running.",
        ),
        (
            (DOCKER, ILL),
            "Targets use podman, as it was asked for: it can neither build nor run. What is to be mended: subids, tun. "
            "Here, docker can: --backend docker.",
        ),
        ((replace(DOCKER, trial=WORKS),), "No engine answers here, and targets that need one fail."),
    ],
    ids=["well", "not tried", "ill", "none"],
)
def test_the_last_line_tells_what_becomes_of_targets(facts: tuple[Facts, ...], said: str) -> None:
    assert table(verdicts(*facts), ASKED).splitlines()[-1] == said
