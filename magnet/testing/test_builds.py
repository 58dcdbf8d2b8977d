"""A build sees just what was asked for, on every engine, and fails with the reason."""

import os
import re

import pytest

from magnet.testing.program import PREFIX, Magnet

LIST = "find . -print0 | sort -z | xargs -0 stat -c '%A %n'"


def files_of(magnet: Magnet, tag: str, directory: str) -> list[str]:
    """The files below a directory of an image, by name."""
    out = magnet.ok("run", "--rm", "-w", directory, tag, "find", ".", "!", "-type", "d").decode()
    return sorted(out.split())


def test_args_labels_tags_and_stages_are_what_was_asked_for(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write(
        {
            "Dockerfile": f"FROM {base} AS one\nARG WHO=nobody\nRUN echo $WHO >/who\nFROM one AS two\nRUN echo 2 >>/who\n"
            "FROM two\nRUN echo 3 >>/who\n",
            "magnetfile.py": "from magnet import target\n\n@target\ndef go(t):\n"
            f"    image = t.build(tags=[{tag!r}, '{tag}-b'], build_args={{'WHO': 'a b'}}, stage='two', labels={{'l': 'x y'}})\n"
            f"    t.output(str(t.inspect({tag!r}).id == t.inspect('{tag}-b').id == image.id))\n"
            "    t.output(image.labels['l'])\n",
        }
    )
    assert magnet.ok("go") == b"True\nx y\n"
    (magnet.root / "magnetfile.py").unlink()
    assert magnet.ok("run", "--rm", tag, "cat", "/who") == b"a b\n2\n"


def test_a_stage_may_be_named_by_its_number(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write({"Dockerfile": f"FROM {base} AS first\nRUN echo 1 >/n\nFROM first\nRUN echo 2 >/n\n"})
    magnet.ok("build", "-t", tag, "--target", "0", ".")
    assert magnet.ok("run", "--rm", tag, "cat", "/n") == b"1\n"


def test_a_dockerfile_may_lie_outside_the_context(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write({"sub/src/f": "content", "docker/app.Dockerfile": f"FROM {base}\nCOPY src /src\n"})
    magnet.ok("build", "-t", tag, "-f", "docker/app.Dockerfile", "sub")
    assert magnet.ok("run", "--rm", tag, "cat", "/src/f") == b"content"


def test_a_containerfile_is_found(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write({"Containerfile": f"FROM {base}\nRUN echo here >/f\n"})
    magnet.ok("build", "-t", tag)
    assert magnet.ok("run", "--rm", tag, "cat", "/f") == b"here\n"


@pytest.mark.parametrize(
    ("ignore", "left"),
    [
        ({".dockerignore": "# o\n/*.o\n !keep.o \n./d/**/x\n"}, ["./.dockerignore", "./Dockerfile", "./a", "./d/y/z", "./keep.o"]),
        ({".dockerignore": "a\n", ".containerignore": "*.o\n"}, [
            "./.containerignore", "./.dockerignore", "./Dockerfile", "./a", "./d/x", "./d/y/x", "./d/y/z"]),
        ({".dockerignore": "a\n", "Dockerfile.dockerignore": "d\n.*\nDockerfile*\n"}, ["./a", "./b.o", "./keep.o"]),
    ],
    ids=["dockerignore", "containerignore", "of-the-dockerfile"],
)  # fmt: skip
def test_ignore_files_mean_the_same(
    magnet: Magnet, base: str, tag: str, ignore: dict[str, str], left: list[str]
) -> None:
    files = dict.fromkeys(["a", "b.o", "keep.o", "d/x", "d/y/x", "d/y/z"], "")
    magnet.write({"Dockerfile": f"FROM {base}\nCOPY . /c\n", **files, **ignore})
    if magnet.is_legacy and len(ignore) > 1 and "./.dockerignore" in left:
        assert "legacy builder would apply" in magnet("build", "-t", tag, ".").error
        return
    magnet.ok("build", "-t", tag, ".")
    assert files_of(magnet, tag, "/c") == left


def test_magnets_own_directory_is_never_in_a_context(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write({"Dockerfile": f"FROM {base}\nCOPY . /c\n", "_build/old": "", "sub/_build/kept": ""})
    magnet.ok("build", "-t", tag, ".")
    assert files_of(magnet, tag, "/c") == ["./Dockerfile", "./sub/_build/kept"]


def test_a_declared_context_holds_just_what_is_declared_in_any_layout(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write(
        {
            "Dockerfile": f"FROM {base}\nCOPY . /c\n",
            "src/run.sh": "#!/bin/sh\n",
            "src/a.o": "",
            "src/sub/b.c": "",
            "src/-dash and space": "",
            "other": "",
            "magnetfile.py": "from magnet import Copy, target\n\n@target\ndef go(t):\n"
            f"    t.build(tags=[{tag!r}], context=[Copy('src', '/in/here', exclude='*.o'), Copy('other', 'x/renamed')])\n",
        }
    )
    source = magnet.root / "src"
    (source / "run.sh").chmod(0o750)
    (source / "empty").mkdir(mode=0o700)
    (source / "link").symlink_to("sub/b.c")
    (source / "dangling").symlink_to("/no/where")
    open(os.fsencode(source) + b"/new\nline \xff", "w").close()
    for path in (
        source,
        source / "sub",
        source / "sub/b.c",
        source / "a.o",
        source / "-dash and space",
        magnet.root / "other",
    ):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (source / os.fsdecode(b"new\nline \xff")).chmod(0o600)
    magnet.ok("go")
    (magnet.root / "magnetfile.py").unlink()
    out = magnet.ok("run", "--rm", "-w", "/c", tag, "sh", "-c", LIST)
    assert out.splitlines() == [
        b"drwxr-xr-x .",
        b"drwxr-xr-x ./in",
        b"drwxr-xr-x ./in/here",
        b"-rw-r--r-- ./in/here/-dash and space",
        b"lrwxrwxrwx ./in/here/dangling",
        b"drwx------ ./in/here/empty",
        b"lrwxrwxrwx ./in/here/link",
        b"-rw------- ./in/here/new",
        b"line \xff",
        b"-rwxr-x--- ./in/here/run.sh",
        b"drwxr-xr-x ./in/here/sub",
        b"-rw-r--r-- ./in/here/sub/b.c",
        b"drwxr-xr-x ./x",
        b"-rw-r--r-- ./x/renamed",
    ]
    assert not list((magnet.root / "_build").glob("magnet/*/runs/*"))


def test_an_ignore_file_in_a_declared_context_ignores_nothing(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write(
        {
            "Dockerfile": f"FROM {base}\nCOPY . /c\n",
            "src/.dockerignore": "*\n",
            "src/f": "",
            "magnetfile.py": "from magnet import Copy, target\n\n@target\ndef go(t):\n"
            f"    t.build(tags=[{tag!r}], context=[Copy('src')])\n",
        }
    )
    result = magnet("go")
    if magnet.is_legacy:
        assert result.code == 3
        assert "legacy builder would apply the `.dockerignore` at the root of this context" in result.error
        return
    assert result.code == 0, result.err
    (magnet.root / "magnetfile.py").unlink()
    assert files_of(magnet, tag, "/c") == ["./.dockerignore", "./f"]


def test_a_narrow_context_has_only_what_the_dockerfile_copies(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write(
        {
            "Dockerfile": f"FROM {base}\nCOPY a b* /c/\n",
            "a": "",
            "b1": "",
            "other": "",
            ".dockerignore": "b2\n",
            "b2": "",
        }
    )
    magnet.ok("context", "-t", tag, ".")
    assert files_of(magnet, tag, "/c") == ["./a", "./b1"]


def test_shell_and_onbuild_are_kept(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write({"Dockerfile": f'FROM {base}\nSHELL ["/bin/sh", "-ec"]\nONBUILD RUN echo on >/built\n'})
    magnet.ok("build", "-t", tag, ".")
    magnet.write({"Dockerfile": f"FROM {tag}\n"})
    magnet.ok("build", "-t", f"{tag}-b", ".")
    assert magnet.ok("run", "--rm", f"{tag}-b", "cat", "/built") == b"on\n"
    magnet.write({"Dockerfile": f"FROM {tag}\nRUN false; true\n"})
    assert magnet("build", ".").code == 1


def test_the_same_build_again_is_the_same_image(magnet: Magnet, base: str) -> None:
    magnet.write({"Dockerfile": f"FROM {base}\nCOPY f /f\nRUN cat /f\n", "f": "1"})
    first = magnet.ok("build", "-q", "--iidfile", "iid", ".")
    assert re.fullmatch(rb"sha256:[0-9a-f]{64}\n", first)
    assert magnet.ok("build", "-q", ".") == first
    assert (magnet.root / "iid").read_bytes() == first.rstrip()
    assert magnet.ok("build", "-q", "--no-cache", ".") != first


def test_platforms_are_right_or_refused(magnet: Magnet, base: str) -> None:
    magnet.write({"Dockerfile": f"FROM {base}\nCOPY Dockerfile /\n"})
    if magnet.is_legacy:
        assert "cannot build for a chosen platform\n" in magnet.refused("build", "--platform", "linux/arm64", ".")
        return
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    other = "arm64" if machine == "amd64" else "amd64"
    magnet.ok("build", "--platform", f"linux/{machine}", ".")
    assert magnet("build", "--platform", f"linux/{other}", ".").code in (1, 3)


PULLING = """
from magnet import target

REMOTE = {remote!r}
OLD, NEW = REMOTE + "-old", REMOTE + "-new"


@target
def publish(t):
    t.build(file="old", tags=OLD)
    t.build(file="new", tags=NEW)
    t.tag(NEW, REMOTE)
    t.push(REMOTE)


@target
def build(t, policy: str):
    t.tag(OLD, REMOTE)
    t.run(t.build(file="app", pull=policy), "cat", "/v", attach=True)


@target
def build_without(t, policy: str):
    t.tag(OLD, REMOTE)
    t.remove(REMOTE)
    t.run(t.build(file="app", pull=policy), "cat", "/v", attach=True)
"""


def test_pull_policies_mean_the_same(magnet: Magnet, base: str, tag: str, registry: str) -> None:
    remote = f"{registry}/{tag.removeprefix('localhost/')}"
    magnet.write(
        {
            "old": f"FROM {base}\nRUN echo old >/v\n",
            "new": f"FROM {base}\nRUN echo new >/v\n",
            "app": f"FROM {remote}\n",
            "magnetfile.py": PULLING.format(remote=remote),
        }
    )
    magnet.ok("publish")
    versions = {policy: magnet.ok("build", policy) for policy in ("missing", "never", "newer", "always")}
    assert versions == {"missing": b"old\n", "never": b"old\n", "newer": b"new\n", "always": b"new\n"}
    without = {policy: magnet.ok("build-without", policy) for policy in ("missing", "newer", "always")}
    assert without == dict.fromkeys(without, b"new\n")
    result = magnet("build-without", "never")
    assert (result.code, f"error: target `build-without`: no image `{remote}` in " in result.error) == (3, True)
    assert result.error.endswith(", and `pull` is `never`\nhint: build or pull the image first\n")


def test_always_fails_and_newer_goes_on_where_nothing_can_be_pulled(magnet: Magnet, base: str) -> None:
    magnet.write({"Dockerfile": f"FROM {base}\n"})
    assert f"no image `{base}` in" in magnet("build", "--pull", ".").error
    magnet.ok("build", "--pull=newer", ".")


@pytest.mark.parametrize("code", [3, 125])
def test_a_failing_step_is_named_with_its_exit_code(magnet: Magnet, base: str, code: int) -> None:
    magnet.write({"Dockerfile": f"FROM {base}\nRUN echo said; exit {code}\n"})
    result = magnet("build", ".")
    assert result.code == 1
    assert "Dockerfile:2\n" in result.err
    assert f"\n   2 | >>> RUN echo said; exit {code}\n" in result.err
    assert re.search(r"^log: _build/logs/\d{14}(-\d+)?/build$", result.err, re.MULTILINE)
    assert re.sub(r"exit code \d+\n", "exit code N\n", result.error, count=1) == (
        f"error: target `build`: {magnet.name} build failed with exit code N\n"
        f"  RUN echo said; exit {code}: exit code {code}\n"
    )
    assert "\nsaid\n" in re.sub(r"\n#\d+ [\d.]+ said\n", "\nsaid\n", magnet.log("build"))


@pytest.mark.parametrize(
    ("dockerfile", "code", "words"),
    [
        ("FROM {base}\nCOPY nosuch /\n", 2, "nosuch"),
        (f"FROM {PREFIX}-no-such-base\n", 1, "no-such-base"),
        ("FROM {base}\nRUN [\n  nonsense\n", 2, "line 3: unknown instruction: nonsense"),
        ("", 2, "Dockerfile"),
    ],
    ids=["source", "base", "instruction", "empty"],
)
def test_a_build_that_cannot_be_is_an_error_without_a_traceback(
    magnet: Magnet, base: str, dockerfile: str, code: int, words: str
) -> None:
    magnet.write({"Dockerfile": dockerfile.format(base=base)})
    result = magnet("build", ".")
    assert result.code == code, result.err
    assert words in result.error
    assert "Traceback" not in result.err


def test_the_cache_of_layers_notices_every_changed_file(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write({"Dockerfile": f"FROM {base}\nCOPY f /f\n"})
    for content in ("one", "two!", "three"):
        magnet.write({"f": content})
        magnet.ok("build", "-t", tag, ".")
        assert magnet.ok("run", "--rm", tag, "cat", "/f") == content.encode()
