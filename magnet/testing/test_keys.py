"""What was built is not built again, and what changed is."""

import os
import re
import subprocess

import pytest

from magnet.testing.program import Magnet


def build(magnet: Magnet, tag: str, *words: str) -> bool:
    """Build, and say whether the build was found done."""
    result = magnet("build", "-t", tag, *words, ".")
    assert result.code == 0, result.err
    log = magnet.log("build")
    is_cached = bool(re.search("^Cached: true *$", log, re.MULTILINE))
    assert is_cached == ("\n => CACHED build " in result.err)
    assert is_cached != bool(re.search(r"^(Env: .*)?Exec: .* build ", log, re.MULTILINE))
    return is_cached


def cat(magnet: Magnet, tag: str) -> bytes:
    return magnet.ok("run", "--rm", tag, "cat", "/f")


def explained(magnet: Magnet, *words: str) -> str:
    return magnet.ok("--explain", "build", *words).decode()


def test_a_build_of_which_nothing_changed_is_not_done_again(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write({"Dockerfile": f"FROM {base}\nARG A\nCOPY f /f\n", "f": "one", "other": "1"})
    assert [build(magnet, tag), build(magnet, tag)] == [False, True]
    magnet.write({"other": "2", "Dockerfile": f"# a comment\nFROM {base}\nARG A\n\nCOPY f /f\n"})
    os.utime(magnet.root / "f")
    assert build(magnet, f"{tag}-b")
    assert cat(magnet, f"{tag}-b") == b"one"
    assert not build(magnet, tag, "--build-arg", "A=1")
    magnet.write({"f": "two"})
    assert not build(magnet, tag)
    assert cat(magnet, tag) == b"two"
    magnet.write({"f": "one"})
    assert build(magnet, tag)
    assert cat(magnet, tag) == b"one"


def test_force_and_no_cache_build_what_is_done(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write({"Dockerfile": f"FROM {base}\nRUN cat /proc/sys/kernel/random/uuid >/f\n"})
    assert not build(magnet, tag)
    first = cat(magnet, tag)
    assert "CACHED" not in magnet("--force", "build", "-t", tag, ".").err.replace("#5 CACHED", "")[-100:]
    assert cat(magnet, tag) == first, "the engine's own cache still has the step"
    assert not build(magnet, tag, "--no-cache")
    second = cat(magnet, tag)
    assert second != first
    assert build(magnet, tag)
    assert cat(magnet, tag) == second


def test_a_new_base_image_is_a_new_build(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write({"Dockerfile": f"FROM {base}\nRUN echo 1 >/f\n"})
    build(magnet, f"{tag}-base")
    magnet.write({"app": f"FROM {tag}-base\nLABEL app=yes\n"})
    assert [build(magnet, tag, "-f", "app"), build(magnet, tag, "-f", "app")] == [False, True]
    magnet.write({"Dockerfile": f"FROM {base}\nRUN echo 2 >/f\n"})
    build(magnet, f"{tag}-base")
    assert explained(magnet, "-f", "app") == f"build: app: to do\n  base images: `{tag}-base` changed\n"
    assert not build(magnet, tag, "-f", "app")
    assert cat(magnet, tag) == b"2\n"


def test_a_miss_is_explained_by_what_changed(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write({"Dockerfile": f"FROM {base}\nARG A=1\nCOPY d /d\n", "d/f": "1", "d/g": "1", "d/h": "1"})
    assert explained(magnet) == "build: Dockerfile: to do\n  there was no build of this before\n"
    build(magnet, tag)
    assert explained(magnet) == "build: Dockerfile: done\n"
    magnet.write({"d/f": "2", "d/new": ""})
    (magnet.root / "d/g").unlink()
    (magnet.root / "d/h").chmod(0o700)
    assert explained(magnet, "--build-arg", "A=2").splitlines() == [
        "build: Dockerfile: to do",
        "  build args: `A` changed",
        "  context: `d/new` is new",
        "  context: `d/g` is gone",
        "  context: `d/f` changed",
        "  context: `d/h` changed",
    ]


def test_a_changed_file_of_the_same_size_and_time_reaches_the_engine(magnet: Magnet, base: str, tag: str) -> None:
    # BuildKit trusts size and time of what it has under the name of the context's directory.
    magnet.write({"Dockerfile": f"FROM {base}\nCOPY f /f\n"})
    seen = []
    for content in ("one", "two", "six"):
        magnet.write({"f": content})
        os.utime(magnet.root / "f", (1_000_000_000, 1_000_000_000))
        build(magnet, tag)
        seen.append(cat(magnet, tag))
    assert seen == [b"one", b"two", b"six"]


@pytest.mark.parametrize(
    "lines",
    [
        "FROM {base}\nRUN --mount=type=bind,source=d",
        "FROM scratch AS made\nCOPY d /\nFROM {base}\nRUN --mount=from=made",
    ],
    ids=["of the context", "of a stage"],
)
def test_a_changed_file_that_a_step_mounts_reaches_the_step(magnet: Magnet, base: str, tag: str, lines: str) -> None:
    # Podman and buildah take a step from their cache whatever has become of the files that are mounted into it.
    magnet.write({"Dockerfile": f"{lines.format(base=base)},target=/m cat /m/f >/f\n"})
    seen = []
    for content in ("one", "two"):
        magnet.write({"d/f": content})
        result = magnet("build", "-t", tag, ".")
        if magnet.is_legacy:
            assert result.code == 3
            return
        seen.append(cat(magnet, tag))
    assert seen == [b"one", b"two"]


def test_an_argument_that_changes_reaches_every_instruction(magnet: Magnet, base: str, tag: str) -> None:
    # Podman and buildah take such instructions from their layer cache, whatever the argument is.
    instructions = "ENV e=$A\nLABEL l=$A\nWORKDIR /$A\nCOPY f /to/$A/\n"
    magnet.write({"Dockerfile": f"FROM {base}\nARG A=0\n{instructions}CMD echo $e; pwd; ls /to\n", "f": ""})
    seen = []
    for words in (["--build-arg=A=1"], ["--build-arg=A=2"], []):
        build(magnet, tag, *words)
        seen.append(magnet.ok("run", "--rm", tag).split())
    assert seen == [[b"1", b"/1", b"1"], [b"2", b"/2", b"2"], [b"0", b"/0", b"0"]]


def test_a_step_that_had_a_network_is_not_taken_for_one_without(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write({"Dockerfile": f"FROM {base}\nRUN grep -c : /proc/net/dev >/f\n"})
    build(magnet, tag, "--network=host")
    assert int(cat(magnet, tag)) > 1
    if not magnet.can("network"):
        said = magnet.refused("build", "--network=none", ".")
        assert "cannot build with the network `none`: its steps would have this machine's\n" in said
        return
    build(magnet, tag, "--network=none")
    assert cat(magnet, tag) == b"1\n"


def test_a_changed_host_reaches_the_steps(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write({"Dockerfile": f"FROM {base}\nRUN grep -o '10.9.8.*a-name' /etc/hosts >/f\n"})
    for address in ("10.9.8.1", "10.9.8.2"):
        build(magnet, tag, f"--add-host=a-name:{address}")
        assert cat(magnet, tag).split() == [address.encode(), b"a-name"]


def test_an_image_from_scratch_is_for_the_platform_that_was_asked_for(magnet: Magnet, tag: str) -> None:
    # Podman and buildah take a layer from their cache, and the platform with it.
    magnet.write({"Dockerfile": "FROM scratch\nCOPY f /f\n", "f": tag})
    built = []
    for words in ([], ["--platform=linux/arm64"], [], ["--platform=linux/arm/v7"]):
        result = magnet("build", "-t", tag, *words, ".")
        if magnet.is_legacy and words:
            assert result.code == 3
            continue
        assert result.code == 0, result.err
        built.append(magnet.architecture(tag))
    native = built[0]
    assert built == ([native, native] if magnet.is_legacy else [native, "arm64", native, "arm"])


def test_two_runs_that_want_the_same_build_do_it_once(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write({"Dockerfile": f"FROM {base}\nRUN sleep 2\n"})
    runs = [
        subprocess.Popen(
            magnet.argv("build", "-t", f"{tag}-{number}", "."), cwd=magnet.root, env=magnet.env, stderr=subprocess.PIPE
        )
        for number in range(2)
    ]
    said = [run.communicate(timeout=120)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert sorted(b" => CACHED build " in one for one in said) == [False, True]
    assert magnet.ok("run", "--rm", f"{tag}-0", "true") == magnet.ok("run", "--rm", f"{tag}-1", "true") == b""


@pytest.mark.parametrize("ignore", ["", "*\n!d\n", "d/x\n"], ids=["none", "all but", "some"])
def test_a_build_sees_just_what_it_copies(magnet: Magnet, base: str, tag: str, ignore: str) -> None:
    magnet.write(
        {
            "Dockerfile": f"FROM {base}\nCOPY d/*.c link/y s*/z* /c/\nRUN find /c -type f | sort >/f\n",
            **dict.fromkeys(["d/a.c", "d/b.h", "d/x/y", "s1/z1", "s1/no", "s2/z2/deep", "other"], ""),
            **({".dockerignore": ignore} if ignore else {}),
        }
    )
    (magnet.root / "link").symlink_to("d/x")
    files = magnet.ok("--files", "build").decode()
    listed = sorted(re.findall(r"^ +0  \S+ +(\S+) ", files, re.MULTILINE))
    everything = ["d/a.c", "d/x/y", "s1/z1", "s2/z2/deep"]
    expected = {"": everything, "*\n!d\n": ["d/a.c", "d/x/y"], "d/x\n": ["d/a.c", "s1/z1", "s2/z2/deep"]}[ignore]
    assert listed == expected
    if ignore:
        return  # what is copied and ignored is an error on some engines
    build(magnet, tag)
    assert cat(magnet, tag).split() == [b"/c/a.c", b"/c/deep", b"/c/y", b"/c/z1"]
