"""`magnet backends`, on machines whose engines are shell scripts."""

import json

from magnet.backends.features import FEATURES
from tests.cli.program import Program

PODMAN = """case "$1" in
info) echo '{"version":{"Version":"4.3.1"},"store":{"graphDriverName":"overlay"},"host":{"security":{"rootless":true},
"cgroupVersion":"v2","cgroupManager":"systemd","ociRuntime":{"name":"crun"},
"idMappings":{"uidmap":[{"size":1},{"size":65536}]}}}';;
*) exit 1;;
esac
"""
DOCKER = """case "$1" in
version) echo '{"Client":{"Version":"28.2.2","Context":"far"},"Server":{"Version":"20.10.24"}}';;
info) echo '{"Driver":"overlay2","CgroupVersion":"1","CgroupDriver":"cgroupfs","DefaultRuntime":"runc"}';;
context) echo tcp://far:2375;;
buildx) case "$2" in
  version) echo 'github.com/docker/buildx v0.13.1 788433953af10f2a';;
  *) printf 'Driver: docker-container\\nBuildKit version: v0.12.5\\n';; esac;;
*) exit 1;;
esac
"""
NOT_INSTALLED = """\
docker: docker is not installed
  hint: install docker, or use podman or buildah
podman: podman is not installed
  hint: install podman, or use docker or buildah
buildah: buildah is not installed
  hint: install buildah, or use docker or podman

"""


def split(out: str) -> tuple[str, dict[str, list[str]], str]:
    """What is printed before the table of features, its rows by the feature, and what is after it."""
    before, _, rest = out.partition("\nFEATURE")
    table, _, after = rest.partition("\n\n")
    width = len("FEATURE") + len(table) - len(table.lstrip())
    rows = {line[:width].rstrip(): line[width:].split("  ") for line in table.splitlines()[1:]}
    return before, {what: [cell.strip() for cell in cells if cell] for what, cells in rows.items()}, after


def test_engines_that_answer_are_described_and_compared_and_the_others_say_why_not(magnet: Program) -> None:
    magnet.engine("docker", DOCKER)
    magnet.engine("podman", PODMAN)
    tools = magnet.tools
    result = magnet("backends")
    assert (result.code, result.err) == (0, "")
    before, features, after = split(result.out)
    described = [line.split("  ") for line in before.splitlines()]
    assert [[cell.strip() for cell in line if cell.strip()] for line in described] == [
        ["BACKEND", "ENGINE", "CLIENT", "ROOTLESS", "STORAGE", "CGROUPS", "RUNTIME", "BUILDER", "PROGRAM"],
        ["docker", "docker 20.10.24, remote", "28.2.2", "no", "overlay2", "v1, cgroupfs", "runc",
         "buildx 0.13.1 (docker-container), BuildKit 0.12.5", f"{tools}/docker"],
        ["podman", "podman 4.3.1", "-", "yes, 65537 ids", "overlay", "v2, systemd", "crun", "buildah", f"{tools}/podman"],
        [],
        ["buildah: buildah is not installed"],
        ["hint: install buildah, or use docker or podman"],
    ]  # fmt: skip
    assert list(features) == [feature.what for feature in FEATURES]
    assert features["mounts of this machine's files"] == ["no", "yes"]
    assert features["here-documents in RUN, COPY and ADD"] == ["yes", "no (from 4.8)"]
    assert features["containers that go on running"] == ["yes", "yes"]
    assert after == "docker is chosen: it is the first that is usable.\n"


def test_it_says_which_backend_a_run_would_take_and_why(magnet: Program) -> None:
    magnet.engine("podman", PODMAN)
    magnet.write({"magnetfile.py": "", "pyproject.toml": '[tool.magnet]\nbackend = "buildah"\n', "sub/x": ""})

    def chosen(*words: str, **env: str) -> str:
        result = magnet(*words, "backends", env=env, cwd="sub")
        assert (result.code, result.err) == (0, "")
        return result.out.splitlines()[-1]

    told = "`backend` in [tool.magnet] of pyproject.toml names it"
    assert chosen() == f"buildah is chosen: {told}, but it is not usable."
    assert chosen(MAGNET_BACKEND="docker") == "docker is chosen: MAGNET_BACKEND names it, but it is not usable."
    assert chosen("--backend", "podman", MAGNET_BACKEND="docker") == "podman is chosen: --backend names it."
    magnet.write({"pyproject.toml": ""})
    assert chosen() == "podman is chosen: it is the first that is usable."


def test_where_no_engine_is_usable_the_exit_code_says_so(magnet: Program) -> None:
    result = magnet("backends")
    assert (result.code, result.err) == (3, "")
    assert result.out == f"{NOT_INSTALLED}No backend would be chosen: none is usable.\n"


def test_as_json_it_says_the_same(magnet: Program) -> None:
    magnet.engine("podman", PODMAN)
    result = magnet("backends", "--json")
    assert result == magnet("--json", "backends")
    told = json.loads(result.out)
    not_usable = {"package": None, "usable": False}
    assert told["backends"] == [
        {"name": "docker", **not_usable, "why": "docker is not installed", "hint": "install docker, or use podman or buildah"},
        {
            "name": "podman", "package": None, "usable": True, "engine": "podman", "program": f"{magnet.tools}/podman",
            "version": "4.3.1", "client_version": None, "rootless": True, "ids": 65537, "storage_driver": "overlay",
            "cgroup_version": "2", "cgroup_manager": "systemd", "runtime": "crun", "selinux": False,
            "is_remote": False, "builder": "buildah", "builder_version": None, "builder_driver": None,
            "buildkit_version": None,
        },
        {"name": "buildah", **not_usable, "why": "buildah is not installed", "hint": "install buildah, or use docker or podman"},
    ]  # fmt: skip
    (heredoc,) = (one for one in told["features"] if one["name"] == "heredoc")
    what = "here-documents in RUN, COPY and ADD"
    assert heredoc == {"name": "heredoc", "what": what, "backends": {"podman": False}, "since": {"podman": "4.8"}}
    assert told["chosen"] == {"name": "podman", "why": "it is the first that is usable"}
    assert (magnet("backends", "--json").code, sorted(told)) == (0, ["backends", "chosen", "features"])


def test_backends_of_packages_are_shown_with_what_is_wrong_with_them(magnet: Program) -> None:
    points = "[magnet.backends]\nown = own:Own\nbroken = own:nosuch\npodman = own:Own\n"
    own = (
        "from magnet.backends.engine import Engine\nfrom magnet.backends.podman import Podman\n\n\n"
        'class Own(Podman):\n    name = "own"\n\n    @classmethod\n    def probe(cls):\n'
        '        return Engine("own", "1.0", features=frozenset({"detach"}))\n'
    )
    magnet.write(
        {
            "lib/own.py": own,
            "lib/own-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: own\nVersion: 1.0\n",
            "lib/own-1.0.dist-info/entry_points.txt": points,
        }
    )
    result = magnet("backends", env={"PYTHONPATH": f"{magnet.root}/lib"})
    assert (result.code, result.err) == (0, "")
    before, features, after = split(result.out)
    assert before == (
        "BACKEND  ENGINE   CLIENT  ROOTLESS  STORAGE  CGROUPS  RUNTIME  BUILDER  PROGRAM\n"
        "own      own 1.0  -       no        -        -        -        buildah  -\n\n"
        f"{NOT_INSTALLED.rstrip()}\n"
        "broken: the backend `broken` of own cannot be loaded: AttributeError: module 'own' has no attribute 'nosuch'\n"
        "  hint: it is `own:nosuch`; mend or uninstall the package\n"
        "podman: a backend of magnet's own has that name\n"
        "  hint: rename it in own\n"
    )
    assert (features["containers that go on running"], features["privileged containers"]) == (["yes"], ["no"])
    assert after == "own is chosen: it is the first that is usable.\n"


def test_what_is_asked_of_it_in_vain_is_an_error(magnet: Program) -> None:
    wrong = magnet("--backend", "podmna", "backends")
    assert (wrong.code, wrong.out, wrong.err) == (
        2,
        "",
        "error: there is no backend `podmna`\nhint: did you mean `podman`?\n",
    )
    more = magnet("backends", "podman")
    assert (more.code, more.out) == (2, "")
    assert more.err.startswith("error: ")
    about_targets = magnet("--force", "backends")
    assert (about_targets.code, about_targets.err) == (2, "error: `--force` is about targets, and `backends` is none\n")
