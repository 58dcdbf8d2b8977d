"""`magnet cache`, on an engine whose store is what a shell script says."""

import json
import re
from pathlib import Path

import pytest

from tests.cli.program import Program, Result

A, B, C = (letter * 64 for letter in "abc")

PODMAN = """case "$1" in
info) echo '{"version":{"Version":"5.4.2"},"host":{"security":{"rootless":true}}}';;
images) cat "$HOME/store";;
rmi) shift
  for name; do case "$name" in *:a*) bad=1; echo "* image used by 0123456789abcdef: image is in use by a container" >&2;; esac
  echo "$name" >>"$HOME/asked"; done
  cat "$HOME/after" >"$HOME/store"; [ -z "$bad" ];;
*) exit 1;;
esac
"""


def row(
    digest: str, *, created: int = 4102444800, size: int = 2_000_000, names: tuple[str, ...] = ()
) -> dict[str, object]:
    return {"Id": digest, "Names": [f"localhost/magnet:{digest}", *names], "Created": created, "Size": size}


def store(magnet: Program, *rows: dict[str, object], after: tuple[dict[str, object], ...] = ()) -> None:
    """Let podman have these images, and those after it was told to remove some."""
    magnet.engine("podman", PODMAN)
    (magnet.root.parent / "store").write_text(json.dumps(rows))
    (magnet.root.parent / "after").write_text(json.dumps(after))


def asked(magnet: Program) -> list[str]:
    """The names that podman was told to remove."""
    file = magnet.root.parent / "asked"
    return file.read_text().split() if file.exists() else []


def record(magnet: Program, *digests: str) -> None:
    """Let a build of the project keep these keys, the latest first."""
    told = {"target": "build", "dockerfile": str(magnet.root / "docker/Dockerfile"), "stage": "dev"}
    rows = [{"version": 2, "key": one, "parts": {"a": 1}, "build": told} for one in digests]
    magnet.write({"_build/magnet/project/builds/x.json": json.dumps(rows)})


def settled(text: str) -> str:
    return re.sub(r"\b2\d{4}d\b", "DAYSd", text)


def test_list_shows_every_key_with_its_build_and_what_is_on_disk(magnet: Program) -> None:
    store(magnet, row(C, size=3_000_000, created=0), row(B), row(A, names=("localhost/app:1",)))
    record(magnet, A, B)
    magnet.write({"_build/magnet/project/files.sqlite": "x", "_build/magnet/project/files.sqlite-wal": "x"})
    magnet.write({"_build/logs/20260101000000/build": "x" * 4097, "_build/magnet/project/more": ""})
    before = sorted(magnet.root.rglob("*"))
    done = magnet("cache", "list")
    assert (done.code, done.err) == (0, "")
    keys, disk = settled(done.out).split("\n\n")
    assert keys == (
        "Keys in podman 5.4.2 rootless:\n"
        "  aaaaaaaaaaaa  0s      2MB  build: docker/Dockerfile, stage dev (latest)\n"
        "  bbbbbbbbbbbb  0s      2MB  build: docker/Dockerfile, stage dev (older)\n"
        "  cccccccccccc  DAYSd  3MB  elsewhere\n"
        "  3 keys, 3 images, 7MB"
    )
    assert re.sub(r"[\d.]+k?B *", "SIZE ", disk) == (
        "In _build:\n"
        "  records of builds  SIZE _build/magnet/project/builds\n"
        "  file index         SIZE _build/magnet/project/files.sqlite\n"
        "  more               SIZE _build/magnet/project/more\n"
        "  logs               SIZE _build/logs\n"
        "  SIZE \n"
    )
    assert sorted(magnet.root.rglob("*")) == before, "it is a question"


def test_sizes_on_disk_are_those_of_all_files_in_a_directory(magnet: Program) -> None:
    store(magnet)
    magnet.write({"_build/logs/20260101000000/build": "x" * 50_000, "_build/logs/20260101000001/build": "x" * 50_000})
    (magnet.root / "_build/logs/latest").symlink_to("20260101000001")
    (logs,) = json.loads(magnet("cache", "list", "--json").out)["disk"]
    assert (logs["what"], logs["path"]) == ("logs", "_build/logs")
    assert 100_000 <= logs["size"] < 150_000


@pytest.mark.parametrize("words", [("cache", "list", "--json"), ("--json", "cache", "list")])
def test_list_as_json_has_whole_keys_and_bytes(magnet: Program, words: tuple[str, ...]) -> None:
    store(magnet, row(A), row(B, created=5))
    record(magnet, A)
    found = json.loads(magnet(*words).out)
    assert [one.pop("what") for one in found.pop("disk")] == ["records of builds"]
    build = {"target": "build", "dockerfile": "docker/Dockerfile", "stage": "dev", "latest": True}
    assert found == {
        "engine": "podman 5.4.2 rootless",
        "keys": [
            {"key": A, "image": f"sha256:{A}", "created": 4102444800, "size": 2_000_000, "builds": [build]},
            {"key": B, "image": f"sha256:{B}", "created": 5, "size": 2_000_000, "builds": []},
        ],
        "downloads": [],
    }


def test_an_image_that_vanishes_while_podman_lists_them_is_no_failure(magnet: Program) -> None:
    store(magnet, row(A))
    fails = f"""mkdir "$HOME/failed" 2>/dev/null && {{ echo 'Error: checking if image "{B}" is dangling: image not known' >&2; exit 125; }};"""
    magnet.engine("podman", PODMAN.replace("images)", f"images) {fails}"))
    assert "\n  1 key, 1 image, 2MB\n" in magnet("cache", "list").out
    assert (magnet.root.parent / "failed").is_dir()


def test_where_nothing_is_there_is_nothing_to_see_nor_to_remove(magnet: Program) -> None:
    store(magnet)
    assert magnet("cache", "list") == Result(0, "Keys in podman 5.4.2 rootless:\n  0 keys, 0 images, 0B\n", "")
    for words in ((), ("-n",), ("--all",)):
        assert magnet("cache", "prune", *words) == Result(0, "There is nothing to remove.\n", "")
    assert list(magnet.root.iterdir()) == [], "no trace of it is left"


def test_prune_removes_what_is_superseded_and_says_what_is_gone(magnet: Program) -> None:
    rows = row(A), row(B, names=("localhost/app:1",)), row(C, created=0), row("d" * 64)
    store(magnet, *rows, after=(rows[0], {**rows[1], "Names": ["localhost/app:1"]}, rows[3]))
    record(magnet, A, B, C)
    done = magnet("cache", "prune")
    assert (done.code, settled(done.out), done.err) == (
        0,
        "Removed from podman 5.4.2 rootless:\n"
        "  bbbbbbbbbbbb  0s      2MB  build: docker/Dockerfile, stage dev (older)\n"
        "  cccccccccccc  DAYSd  2MB  build: docker/Dockerfile, stage dev (older)\n"
        "2 keys; 1 image gone, of up to 2MB.\n",
        "",
    )
    assert asked(magnet) == [f"localhost/magnet:{B}", f"localhost/magnet:{C}"]


def test_prune_of_keys_whose_images_have_other_names_says_that_none_is_gone(magnet: Program) -> None:
    tagged = row(B, names=("localhost/app:1",))
    store(magnet, row(A), tagged, after=(row(A), {**tagged, "Names": ["localhost/app:1"]}))
    record(magnet, A, B)
    assert magnet("cache", "prune").out.endswith("\n1 key; no image gone.\n")


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        ((), "bc"),
        (("--keep", "2"), "c"),
        (("--keep", "0"), "abc"),
        (("--older-than", "7d"), "c"),
        (("--all",), "abcd"),
        (("--all", "--older-than", "1d12h"), "cd"),
    ],
)
def test_a_dry_run_says_what_would_go_and_removes_nothing(magnet: Program, words: tuple[str, ...], gone: str) -> None:
    store(magnet, row(A), row(B), row(C, created=1), row("d" * 64, created=0))
    record(magnet, A, B, C)
    for argv in (("cache", "prune", "-n", *words), ("-n", "cache", "prune", *words)):
        done = magnet(*argv)
        assert done.out.startswith("To be removed from podman 5.4.2 rootless:\n  ")
        assert "".join(re.findall(r"^  (\w)\w{11} ", done.out, re.MULTILINE)) == gone
    assert asked(magnet) == []
    assert (magnet.root / "_build/magnet/project/builds/x.json").exists()


def test_prune_all_forgets_the_records_and_leaves_what_is_in_use(magnet: Program) -> None:
    store(magnet, row(A), row(B), after=(row(A),))
    record(magnet, B)
    done = magnet("cache", "prune", "--all")
    assert done == Result(
        0,
        "Removed from podman 5.4.2 rootless:\n"
        "  bbbbbbbbbbbb  0s  2MB  build: docker/Dockerfile, stage dev (latest)\n"
        "Left in podman 5.4.2 rootless:\n"
        "  aaaaaaaaaaaa  0s  2MB  elsewhere  container 0123456789ab uses it\n"
        "1 key; 1 image gone, of up to 2MB.\n",
        "",
    )
    assert list((magnet.root / "_build/magnet/project/builds").iterdir()) == []


MAGNETFILE = """from pathlib import Path

from magnet import target


@target(inputs=["in"], outputs=["out"])
def make(t):
    Path("out").write_text(Path("in").read_text())
"""


def test_prune_lets_go_of_what_targets_made_before_their_latest(magnet: Program) -> None:
    store(magnet)
    cache = magnet.root / "_build/magnet/project"
    magnet.write({"magnetfile.py": MAGNETFILE})
    for content in ("1" * 50_000, "2" * 50_000):
        magnet.write({"in": content})
        assert magnet("make").code == 0
    kept = sum(path.is_file() for path in (cache / "objects").rglob("*"))
    listed = re.findall(r"^  (\w+ of targets) +[\d.]+kB +(\S+)$", magnet("cache", "list").out, re.MULTILINE)
    assert listed == [
        ("outputs of targets", "_build/magnet/project/objects"),
        ("records of targets", "_build/magnet/project/targets.sqlite"),
    ]
    for words in (("--keep", "2"), ("--older-than", "1d"), ("--all", "--older-than", "1d")):
        assert magnet("cache", "prune", *words).out == "There is nothing to remove.\n"
    assert magnet("cache", "prune", "-n").out == "To be removed: 1 result of targets.\n"
    assert sum(path.is_file() for path in (cache / "objects").rglob("*")) == kept
    assert re.fullmatch(r"Removed: 1 result of targets: \d\d\.\d+kB\.\n", magnet("cache", "prune").out)
    assert 0 < sum(path.is_file() for path in (cache / "objects").rglob("*")) < kept
    assert " => CACHED make " in magnet("make").err
    assert re.fullmatch(r"Removed: 1 result of targets: \d\d\.\d+kB\.\n", magnet("cache", "prune", "--all").out)
    assert [path for path in (cache / "objects").rglob("*") if path.is_file()] == []


def test_prune_sweeps_what_killed_runs_left(magnet: Program) -> None:
    store(magnet)
    dead = magnet.root / "_build/magnet/project/runs/magnet-20260101000000-00000000"
    magnet.write({f"{dead.relative_to(magnet.root)}/lock": "", "_build/magnet/project/locks/x": ""})
    assert magnet("cache", "prune", "-n").out == "To be removed: what 1 killed run left.\n"
    assert dead.exists()
    assert magnet("cache", "prune").out == "Removed: what 1 killed run left.\n"
    assert [path.name for path in (magnet.root / "_build/magnet/project").rglob("*")] == ["runs", "locks"] or [
        path.name for path in (magnet.root / "_build/magnet/project").rglob("*")
    ] == ["locks", "runs"]


def test_the_project_is_that_of_the_nearest_magnetfile_which_is_not_run(magnet: Program) -> None:
    store(magnet, row(A))
    record(magnet, A)
    magnet.write({"magnetfile.py": "this is no Python", "sub/f": ""})
    for words, cwd in (((), "sub"), (("-C", "sub"), "."), (("-f", "../magnetfile.py"), "sub")):
        assert "(latest)" in magnet(*words, "cache", "list", cwd=cwd).out
    assert "elsewhere" in magnet("-C", "..", "cache", "list").out
    assert magnet("-f", "nosuch.py", "cache", "list") == Result(
        2, "", "error: there is no magnetfile `nosuch.py`\nhint: -f takes the path of a magnetfile.py\n"
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["cache", "lst"], "`magnet cache` has no command `lst`\nhint: did you mean `list`?\n"),
        (["cache", "xyz"], "`magnet cache` has no command `xyz`\nhint: `magnet cache --help` shows what there is\n"),
        (
            ["cache", "prune", "--older-than", "7x"],
            "`7x` is not a duration\nhint: write it as 30m, 12h, 7d, 2w, or together as 1d12h\n",
        ),
        (
            ["cache", "prune", "--all", "--keep", "2"],
            "--all and --keep cannot be had together\nhint: leave out one of them\n",
        ),
        (["cache", "prune", "--dry"], "there is no option `--dry`\nhint: did you mean `--dry-run`?\n"),
        (
            ["cache", "prune", "--keep", "-1"],
            "invalid value for '--keep': -1 is not in the range x>=0\n"
            "hint: `magnet cache prune --help` shows what there is\n",
        ),
        (
            ["cache", "list", "all"],
            "got unexpected extra argument (all)\nhint: `magnet cache list --help` shows what there is\n",
        ),
        (["--json", "cache", "prune"], "--json goes with `magnet cache list`\nhint: leave it out\n"),
        (["--force", "cache", "prune"], "`--force` is about targets, and `cache` is none\n"),
        (["--backend=pod", "cache", "list"], "there is no backend `pod`\nhint: did you mean `podman`?\n"),
    ],
    ids=["near", "far", "duration", "both", "option", "range", "argument", "json", "force", "backend"],
)
def test_what_is_not_understood_is_an_error_with_a_hint(magnet: Program, words: list[str], expected: str) -> None:
    store(magnet, row(A))
    assert magnet(*words) == Result(2, "", f"error: {expected}")


def test_without_an_engine_it_is_an_error(magnet: Program) -> None:
    done = magnet("cache", "list")
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("error: no container engine is usable here\n  docker is not installed\n")
    assert magnet("--backend=buildah", "cache", "prune") == Result(
        3, "", "error: buildah is not installed\nhint: install buildah, or use docker or podman\n"
    )


def test_help_is_there_for_each_command(magnet: Program, tmp_path: Path) -> None:
    shown = magnet("cache")
    assert (shown.code, shown.err) == (0, "")
    assert shown == magnet("cache", "--help")
    assert shown.out.startswith("Usage: magnet cache [OPTIONS] [COMMAND] [ARGS]...\n")
    for command in ("list", "prune"):
        assert f"\n  {command} " in shown.out
        assert magnet("cache", command, "-h").out.startswith(f"Usage: magnet cache {command} [OPTIONS]\n")
