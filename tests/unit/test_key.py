"""Which inputs of a build decide its key, and which do not."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from blake3 import blake3

from magnet.index import FileIndex
from magnet.key import CacheKey, cache_key, differences, not_skippable
from magnet.memory import Memory
from magnet.model import Copy, Image, Option, Platform, Secret, Ulimit, Whole
from magnet.preparation import Prepared, Recipe, prepare
from magnet.process import Children, Shell
from magnet.values import replace

DOCKERFILE = """\
# syntax=docker/dockerfile:1
ARG RELEASE=1
ARG NOBODYS=1
FROM golang:$RELEASE AS builder
ARG RELEASE
ARG MODE=fast
COPY tools /tools/
RUN <<END
make all
END
FROM debian AS unused
ARG ONLY_UNUSED=1
COPY extra /
FROM base
COPY --from=builder /out /
COPY src /src
CMD ["app"]
"""
FILES = {"src/main.c": "main", "src/other.c": "other", "tools/tool": "tool", "extra": "extra", "not-copied": "x"}


@dataclass(frozen=True)
class Given:
    """A project on disk, the ids of the images in an engine, and what a target asks for."""

    dockerfile: str = DOCKERFILE
    files: Mapping[str, str] = field(default_factory=lambda: FILES)
    links: Mapping[str, str] = field(default_factory=lambda: {"src/link": "main.c"})
    modes: Mapping[str, int] = field(default_factory=dict)
    mtime: int = 0
    owner: int = -1
    bases: Mapping[str, str] = field(default_factory=dict)
    has_triggers: bool = False
    recipe: Recipe = field(default_factory=Recipe)


def asked(given: Given = Given(), /, **recipe: Any) -> Given:
    """The same project with another recipe."""
    return replace(given, recipe=replace(given.recipe, **recipe))


def edited(old: str, new: str, given: Given = Given()) -> Given:
    """The same project with another Dockerfile."""
    assert old in given.dockerfile
    return replace(given, dockerfile=given.dockerfile.replace(old, new, 1))


def with_files(contents: Mapping[str, str], given: Given = Given()) -> Given:
    """The same project with more files, or other ones."""
    return replace(given, files={**given.files, **contents})


def prepared(root: Path, given: Given) -> Prepared:
    root.mkdir(parents=True)
    (root / "Dockerfile").write_text(given.dockerfile)
    for name, content in given.files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
        (root / name).chmod(given.modes.get(name, 0o644))
        os.utime(root / name, (given.mtime, given.mtime))
        os.chown(root / name, given.owner, given.owner)
    for name, target in given.links.items():
        (root / name).symlink_to(target)

    def resolve(name: str, *_: object, **options: Any) -> Image:
        platform = options["platform"] or Platform("linux", "amd64")
        return Image(given.bases.get(name, f"sha256:{name}"), platform=platform, has_triggers=given.has_triggers)

    @contextmanager
    def asking(names: Sequence[str], _: Shell) -> Iterator[Any]:
        yield lambda: dict.fromkeys(names)

    backend: Any = SimpleNamespace(asking=asking, resolve=resolve)
    shell = Shell(Children(), lambda stream, data: None, lambda command: None, root, {}, nullcontext)
    with FileIndex(root.parent / f"{root.name}.index") as index:
        return prepare(given.recipe, root, backend, shell, index, Memory(root.parent / "readings"))


def key_of(root: Path, given: Given) -> CacheKey:
    return cache_key(prepared(root, given))


def for_platform(text: str) -> Given:
    return asked(platform=Platform.parse(text))


def named(image: Image) -> Given:
    """The project, whose base is an image that its Dockerfile knows by another name."""
    return asked(contexts={"base": image})


def with_option(name: str, value: str) -> Given:
    return asked(options=(Option(name, value),))


DECLARED = asked(context=[Copy("src", "src"), Copy("tools", "tools")])
WHOLE = asked(context=Whole())
SECRET = asked(secrets=(Secret("token", file="/a"),))
IGNORED = with_files({".dockerignore": "src/*.o\n"})
ONBUILD = Given(has_triggers=True)
SAME_BASES = Given(bases={"golang:2": "sha256:golang:1", "b": "sha256:base"})  # by other names
ONLY_FROM = Given("ARG X=1\nFROM base:$X\n", bases={"base:1": "sha256:base", "base:2": "sha256:base"})
COPIED = Given("FROM base\nCOPY --from=tools /a /\n")
SPARE = Given("FROM base\nRUN x\n")

DECIDES: dict[str, tuple[Given, Given]] = {
    "a copied file's content": (Given(), with_files({"src/main.c": "changed"})),
    "a copied file's name": (with_files({"src/a.c": ""}), with_files({"src/b.c": ""})),
    "a copied file's mode": (Given(), Given(modes={"src/main.c": 0o755})),
    "a file more, or less": (Given(), with_files({"src/new.c": "new"})),
    "a link's target": (Given(), Given(links={"src/link": "other.c"})),
    "a file of a stage reached by COPY --from": (Given(), with_files({"tools/tool": "changed"})),
    "an ignore file that removes a copied file": (Given(), with_files({".dockerignore": "src/other.c\n"})),
    "an instruction": (Given(), edited('CMD ["app"]', 'CMD ["other"]')),
    "an instruction of a stage reached by COPY --from": (Given(), edited("MODE=fast", "MODE=slow")),
    "the form of an instruction": (Given(), edited('CMD ["app"]', "CMD app")),
    "a flag of an instruction": (Given(), edited("COPY src", "COPY --chown=1 src")),
    "the order of instructions": (Given("FROM b\nRUN a\nRUN b\n"), Given("FROM b\nRUN b\nRUN a\n")),
    "the body of a heredoc": (Given(), edited("make all", "make some")),
    "a heredoc whose tabs are removed": (Given(), edited("<<END", "<<-END")),
    "a heredoc that is not expanded": (Given(), edited("<<END", "<<'END'")),
    "a build arg": (Given(), asked(build_args={"MODE": "slow"})),
    "a build arg that is declared before FROM": (Given(), asked(SAME_BASES, build_args={"RELEASE": "2"})),
    "an ARG before FROM that a stage declares again": (Given(), edited("RELEASE=1", "RELEASE=2", SAME_BASES)),
    "a build arg that only FROM takes": (ONLY_FROM, asked(ONLY_FROM, build_args={"X": "2"})),
    "a base image's id": (Given(), Given(bases={"base": "sha256:new"})),
    "the base image's id of a stage reached by COPY --from": (Given(), Given(bases={"golang:1": "sha256:new"})),
    "a base image's name": (Given(), edited("FROM base", "FROM b", SAME_BASES)),
    "an image's id that is copied from": (COPIED, replace(COPIED, bases={"tools": "sha256:new"})),
    "ONBUILD in the base, with which all files may be copied": (Given(), ONBUILD),
    "a file that ONBUILD in the base may copy": (ONBUILD, with_files({"not-copied": "changed"}, ONBUILD)),
    "a label": (asked(labels={"a": "1"}), asked(labels={"a": "2"})),
    "the platform": (for_platform("linux/amd64"), for_platform("linux/arm64")),
    "the platform's variant": (for_platform("linux/arm/v6"), for_platform("linux/arm/v7")),
    "an option": (Given(), with_option("--cpu-quota", "1")),
    "the network": (Given(), asked(network="none")),
    "a host": (Given(), asked(hosts=(("db", "10.0.0.1"),))),
    "a host's address": (asked(hosts=(("db", "10.0.0.1"),)), asked(hosts=(("db", "10.0.0.2"),))),
    "the size of /dev/shm": (asked(shm_size=1024), asked(shm_size=2048)),
    "a resource limit": (asked(ulimits=(Ulimit("core", 0, 0),)), asked(ulimits=(Ulimit("core", 0, 1),))),
    "an SSH agent": (Given(), asked(ssh={"default": "/run/agent"})),
    "an SSH agent's id": (asked(ssh={"default": "/run/agent"}), asked(ssh={"other": "/run/agent"})),
    "an image that is a context": (named(Image("sha256:1")), named(Image("sha256:2"))),
    "an option's value": (with_option("--memory", "1g"), with_option("--memory", "2g")),
    "a secret's id": (SECRET, asked(secrets=(Secret("other", file="/a"),))),
    "the stage": (Given(), asked(stage="builder")),
    "the syntax": (Given(), edited("docker/dockerfile:1", "docker/dockerfile:1.4")),
    "the declared copies": (DECLARED, asked(context=[Copy("src", "src"), Copy("extra", "tools")])),
    "where declared copies go": (DECLARED, asked(context=[Copy("src", "source"), Copy("tools", "tools")])),
    "a file of a declared copy": (DECLARED, with_files({"src/main.c": "changed"}, DECLARED)),
    "any file of a whole context": (WHOLE, with_files({"not-copied": "changed"}, WHOLE)),
}

DOES_NOT: dict[str, tuple[Given, Given]] = {
    "a file that is not copied": (Given(), with_files({"not-copied": "changed", "new": ""})),
    "a file of a stage that is not needed": (Given(), with_files({"extra": "changed"})),
    "a file that no declared copy has": (DECLARED, with_files({"extra": "changed"}, DECLARED)),
    "an ignored file": (IGNORED, with_files({"src/main.o": "object"}, IGNORED)),
    "an ignore file that removes nothing": (Given(), with_files({".dockerignore": "*.o\n# nothing\n"})),
    "a comment": (Given(), edited("COPY src", "# comment\nCOPY src")),
    "blank lines and continuations": (Given(), edited("COPY src /src", "\n\n  COPY \\\n# comment\n\n  src   /src\n")),
    "the case of an instruction's name": (Given(), edited("COPY src", "copy src")),
    "a stage that is not needed": (Given(), edited("COPY extra /", "RUN something else")),
    "the base image's id of a stage that is not needed": (Given(), Given(bases={"debian": "sha256:new"})),
    "a build arg that nobody declares": (Given(), asked(build_args={"MORE": "1"})),
    "a build arg that a stage declares that is not needed": (Given(), asked(build_args={"ONLY_UNUSED": "2"})),
    "an ARG before FROM that nobody takes": (Given(), edited("NOBODYS=1", "NOBODYS=2")),
    "a build arg whose ARG before FROM nobody takes": (Given(), asked(build_args={"NOBODYS": "2"})),
    "the order of build args": (asked(build_args={"MODE": "", "B": ""}), asked(build_args={"B": "", "MODE": ""})),
    "the order of labels": (asked(labels={"a": "1", "b": "2"}), asked(labels={"b": "2", "a": "1"})),
    "a tag": (Given(), asked(tags=("app:1", "app:2"))),
    "the pull policy": (Given(), asked(pull="always")),
    "the value of no_cache": (Given(), asked(no_cache=True)),
    "times": (Given(), Given(mtime=1 << 30)),
    "the owner, where one can give files away": (Given(), Given(owner=12345 if os.geteuid() == 0 else -1)),
    "the last stage by its number": (Given(), asked(stage="2")),
    "a secret's file": (SECRET, asked(secrets=(Secret("token", file="/b"),))),
    "where a secret is from": (SECRET, asked(secrets=(Secret("token", env="TOKEN"),))),
    "an SSH agent's socket": (asked(ssh={"default": "/a"}), asked(ssh={"default": "/run/agent"})),
    "the engine's own network by its name": (Given(), asked(network="default")),
    "a named context that nothing is taken from": (Given(), asked(contexts={"spare": Image("sha256:1")})),
    "an image by another name": (named(Image("sha256:1", ("a",))), named(Image("sha256:1", ("b",)))),
    "the Dockerfile's name": (Given(), asked(with_files({"docker/app": DOCKERFILE}), file="docker/app")),
}


@pytest.mark.parametrize("changed", DECIDES)
def test_every_input_that_can_change_a_result_changes_the_key(tmp_path: Path, changed: str) -> None:
    before, after = DECIDES[changed]
    assert key_of(tmp_path / "a", before).digest != key_of(tmp_path / "b", after).digest


@pytest.mark.parametrize("changed", DOES_NOT)
def test_what_cannot_change_a_result_leaves_the_key_alone(tmp_path: Path, changed: str) -> None:
    # The two are also two checkouts at different places.
    before, after = DOES_NOT[changed]
    assert key_of(tmp_path / "a", before).parts == key_of(tmp_path / "elsewhere/b", after).parts
    assert key_of(tmp_path / "c", before).digest == key_of(tmp_path / "elsewhere/d", after).digest


PLATFORM = "FROM --platform=linux/arm64 base\nRUN x\n"
ESCAPED = "FROM base\nENV B=b\nENV A=\\$B\n"
NUMBERED = "FROM a AS a\nFROM b AS b\nFROM base\nCOPY --from=a / /a\nCOPY --from=b / /b\nCOPY --from=1 / /\n"
TRIGGERED = Given("FROM base\n", has_triggers=True)
FOREIGN = Given("# syntax=example/other\nFROM base\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(Given(PLATFORM), Given(PLATFORM.replace("arm64", "amd64")), id="the platform that FROM names"),
        pytest.param(Given(ESCAPED), Given(f"# escape=`\n{ESCAPED}"), id="the escape character"),
        pytest.param(Given(NUMBERED), Given(f"FROM c\n{NUMBERED}"), id="the stage that a number means"),
        pytest.param(TRIGGERED, asked(TRIGGERED, build_args={"A": "1"}), id="a build arg that ONBUILD may declare"),
        pytest.param(FOREIGN, asked(FOREIGN, build_args={"A": "1"}), id="a build arg of another syntax"),
        pytest.param(SPARE, asked(SPARE, build_args={"BUILDKIT_SYNTAX": "a/b"}), id="BUILDKIT_SYNTAX"),
        pytest.param(SPARE, asked(SPARE, build_args={"SOURCE_DATE_EPOCH": "1"}), id="SOURCE_DATE_EPOCH"),
    ],
)
def test_less_usual_inputs_change_the_key_too(tmp_path: Path, before: Given, after: Given) -> None:
    assert key_of(tmp_path / "a", before).digest != key_of(tmp_path / "b", after).digest


def test_the_format_of_a_key_is_the_documented_one(tmp_path: Path) -> None:
    given = asked(
        Given("FROM base AS app\nARG A\nRUN x\n"),
        build_args={"A": "ä", "B": "2"},
        labels={"l": "1"},
        platform=Platform("linux", "arm64"),
        options=(Option("--cpu-quota", "1"),),
        network="none",
        hosts=(("db", "10.0.0.1"), ("db", "::1")),
        shm_size=1024,
        ulimits=(Ulimit("core", 0, -1),),
        secrets=(Secret("token", file="/a"), Secret("key", env="KEY")),
        ssh={"default": "/run/agent"},
    )
    found = prepared(tmp_path / "a", given)
    assert cache_key(found).parts == {
        "syntax": ["", "\\"],
        "instructions": [["FROM", "base", "app", ""], ["ARG", False, "A"], ["RUN", False, "x"]],
        "build args": {"A": "ä"},
        "platform": "linux/arm64",
        "labels": {"l": "1"},
        "options": ["--cpu-quota=1"],
        "network": "none",
        "hosts": {"db": ["10.0.0.1", "::1"]},
        "shm size": 1024,
        "ulimits": {"core": "core=0:-1"},
        "secrets": ["key", "token"],
        "ssh": ["default"],
        "build contexts": {},
        "source date epoch": None,
        "context": found.tree.digest,
        "base images": {"base": "sha256:base"},
    }
    assert CacheKey({"b": "ä", "a": 1}).digest == blake3(rb'["magnet build 2",{"a":1,"b":"\u00e4"}]').hexdigest()


@pytest.mark.parametrize(
    ("dockerfile", "unchecked"),
    [
        (DOCKERFILE, ""),
        ("FROM scratch", ""),
        ("FROM base\nADD --checksum=sha256:1 https://e.x/a /", ""),
        ("FROM base AS u\nADD https://e.x/a /\nFROM base", ""),
        ("FROM base\nADD https://e.x/a /", "https://e.x/a"),
        ("FROM base\nARG V=2\nADD https://e.x/$V.tar /", "https://e.x/2.tar"),
        ("FROM base AS u\nADD git@e.x:a.git /\nFROM u", "git@e.x:a.git"),
    ],
)
def test_a_build_cannot_be_skipped_that_adds_what_may_change(tmp_path: Path, dockerfile: str, unchecked: str) -> None:
    why = f"`ADD {unchecked}` has no --checksum, and what is there may have changed" if unchecked else None
    assert not_skippable(prepared(tmp_path / "a", Given(dockerfile))) == why


ARM = asked(COPIED, platform=Platform("linux", "arm64"))


@pytest.mark.parametrize(
    ("bases", "reason"),
    [
        ({"base": "linux/arm64"}, "the base image `tools` is not here yet"),
        ({"base": "linux/arm64", "tools": "linux/amd64"}, "the base image `tools` that is here is for linux/amd64"),
        ({"base": "linux/arm64", "tools": "linux/arm64"}, None),
        ({"base": "linux/arm64", "tools": "linux/arm64/v8"}, None),
    ],
)
def test_a_build_cannot_be_skipped_without_the_base_images_that_it_means(
    tmp_path: Path, bases: Mapping[str, str], reason: str | None
) -> None:
    here = {name: Image(name, platform=Platform.parse(platform)) for name, platform in bases.items()}
    assert not_skippable(replace(prepared(tmp_path / "a", ARM), bases=here)) == reason


LINES = [["RUN", "a"], ["RUN", "b"], ["RUN", "c"], ["RUN", "d"]]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({"context": "x", "labels": {"a": "1"}}, {"labels": {"a": "1"}, "context": "x"}, []),
        ({"context": "x"}, {"context": "y"}, ["context: changed"]),
        ({"l": {"a": 1, "b": 1}}, {"l": {"b": 2, "c": 1}}, ["l: `c` is new", "l: `a` is gone", "l: `b` changed"]),
        ({"build args": {"A": "1"}}, {"build args": {"A": None}}, ["build args: `A` changed"]),
        ({"i": LINES[:1]}, {"i": LINES}, ["i: `RUN b` is new", "i: `RUN c` is new", "i: `RUN d` is new"]),
        ({"i": LINES}, {"i": LINES[:1]}, ["i: fewer, or in another order"]),
        ({"i": LINES}, {"i": LINES[::-1]}, ["i: fewer, or in another order"]),
        ({"o": ["a" * 80]}, {"o": ["b" * 80]}, [f"o: `{'b' * 80}` is new"]),
        ({"o": ["a"]}, {"o": ["b" * 81]}, [f"o: `{'b' * 79}…` is new"]),
    ],
)
def test_what_changed_from_key_to_key_is_told_part_by_part(old: Any, new: Any, told: list[str]) -> None:
    assert differences(old, new) == told
