"""A Dockerfile is compared with what an engine can, in every version, before anything starts."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from magnet import backends, preflight
from magnet.backends.base import Backend
from magnet.backends.buildah import Buildah
from magnet.backends.docker import Docker
from magnet.backends.engine import Engine
from magnet.backends.features import features_of
from magnet.backends.podman import Podman
from magnet.errors import EngineError, MagnetfileError
from magnet.index import FileIndex
from magnet.memory import Memory
from magnet.model import Copy, Image
from magnet.preflight import Plan
from magnet.preparation import Recipe, prepare
from magnet.process import Children, Shell
from magnet.rewriting import Changes


def docker(version: str) -> Docker:
    builder: Any = "buildkit" if version.startswith("20") else "buildx"
    return Docker(Engine("docker", version, builder=builder, features=features_of("buildkit", version)))


def legacy(version: str) -> Docker:
    return Docker(Engine("docker", version, builder="legacy", features=features_of("legacy", version)))


def podman(version: str, **fields: Any) -> Podman:
    return Podman(Engine("podman", version, features=features_of("podman", version), **fields))


def buildah(version: str) -> Buildah:
    return Buildah(Engine("buildah", version, features=features_of("buildah", version)))


ALL = {
    "docker 20.10.24": docker("20.10.24"),
    "docker 23.0.6": docker("23.0.6"),
    "docker 26.1.5": docker("26.1.5"),
    "docker 28.5.1": docker("28.5.1"),
    "docker 20.10.24, legacy builder": legacy("20.10.24"),
    "docker 26.1.5, legacy builder": legacy("26.1.5"),
    "podman 4.3.1": podman("4.3.1"),
    "podman 4.9.4": podman("4.9.4"),
    "podman 5.4.2": podman("5.4.2"),
    "buildah 1.28.2": buildah("1.28.2"),
    "buildah 1.33.7": buildah("1.33.7"),
    "buildah 1.39.3": buildah("1.39.3"),
}
NEW_DOCKER = {"docker 28.5.1"}
DOCKER_26 = {"docker 26.1.5", *NEW_DOCKER}
DOCKER_23 = {"docker 23.0.6", *DOCKER_26}
BUILDKIT = {"docker 20.10.24", *DOCKER_23}
LEGACY = {"docker 20.10.24, legacy builder", "docker 26.1.5, legacy builder"}
NEW_PODMAN = {"podman 5.4.2", "buildah 1.39.3"}
PODMAN = {name for name in ALL if name not in BUILDKIT | LEGACY}
HEREDOCS = DOCKER_23 | NEW_PODMAN | {"podman 4.9.4", "buildah 1.33.7"}

Check = Callable[..., Plan]


OF_BASES: Mapping[str, Any] = {"database": {"volumes": ("/var/lib/db", "/log/")}, "yours": {"user": "you"}}


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "usable", lambda **_: {})


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Check]:
    """Compare a Dockerfile and the files of its directory with an engine, to which every base image is known."""
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    shell = Shell(Children(), lambda *_: None, lambda _: None, root, {}, nullcontext)

    @contextmanager
    def asking(self: Backend, names: Any, *_: object) -> Iterator[Callable[[], Mapping[str, Image]]]:
        yield lambda: {name: Image(f"sha256:{'0' * 64}", **OF_BASES.get(name, {})) for name in names}

    for kind in (Backend, Docker, Podman):
        monkeypatch.setattr(kind, "asking", asking)

    def check(backend: Backend, text: str, files: Mapping[str, str] = {}, **recipe: Any) -> Plan:
        (root / "Dockerfile").write_text(text)
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content)
        prepared = prepare(Recipe(**recipe), root, backend, shell, index, Memory(tmp_path / "readings"))
        return preflight.check(prepared, backend)

    with FileIndex(tmp_path / "index") as index:
        yield check


def refused(check: Check, *arguments: Any, **recipe: Any) -> EngineError:
    with pytest.raises(EngineError) as caught:
        check(*arguments, **recipe)
    return caught.value


@pytest.mark.parametrize(
    ("line", "words", "able"),
    [
        ("RUN <<EOF\ntrue\nEOF", "RUN <<EOF", HEREDOCS),
        ("RUN --mount=type=cache,target=/c true", "RUN --mount=type=cache", BUILDKIT | PODMAN),
        ("RUN --network=host true", "RUN --network=host", DOCKER_23 | NEW_PODMAN | {"podman 4.9.4", "buildah 1.33.7"}),
        ("RUN --security=insecure true", "RUN --security=insecure", set()),
        ("COPY --link a /", "COPY --link", DOCKER_23),
        ("COPY --parents a /", "COPY --parents", set()),
        ("COPY --exclude=**/b a /", "COPY --exclude", NEW_DOCKER | NEW_PODMAN),
        ("COPY --chmod=755 a /", "COPY --chmod", BUILDKIT | PODMAN),
        ("COPY --chmod=2755 a /", "COPY --chmod=2755", DOCKER_26 | PODMAN),
        ("COPY --chmod=a+x a /", "COPY --chmod=a+x", NEW_DOCKER),
        ("ARG M=1\nCOPY --chmod=$M a /", "COPY --chmod=$M", NEW_DOCKER | PODMAN),
        ("ADD --checksum=sha256:ab https://h/x /", "ADD --checksum", DOCKER_26 | NEW_PODMAN),
        ("ADD https://h/x.git /", "ADD https://h/x.git", DOCKER_26),
        (
            "HEALTHCHECK --start-interval=1s CMD true",
            "HEALTHCHECK --start-interval",
            DOCKER_26 | NEW_PODMAN | {"docker 26.1.5, legacy builder"},
        ),
        ("ENV X=1 \nENV A=${X:?no}", "${X:?...}", BUILDKIT | LEGACY),
        ("ENV X=1 \nENV A=${X-y}", "${X-...}", DOCKER_26 | {"docker 26.1.5, legacy builder"}),
        ("ENV X=1 \nENV A=${X#y}", "${X#...}", DOCKER_26 | NEW_PODMAN | {"docker 26.1.5, legacy builder"}),
        ("USER 7\nWORKDIR /w", "WORKDIR after USER", BUILDKIT | PODMAN),
    ],
)
def test_each_version_does_what_it_can_and_is_refused_what_it_cannot(
    check: Check, line: str, words: str, able: set[str]
) -> None:
    for name, backend in ALL.items():
        if name in able:
            check(backend, f"FROM scratch\n{line}\n", {"a": ""})
        else:
            message = refused(check, backend, f"FROM scratch\n{line}\n", {"a": ""}).message
            assert message in (f"{name} cannot do `{words}`", f"{name} cannot do `COPY --chmod`")


def test_a_refusal_shows_the_line_and_tells_who_can(check: Check) -> None:
    error = refused(check, podman("4.3.1"), "FROM scratch\n\nCOPY   --link \\\n  a b /\n", {"a": "", "b": ""})
    assert error.message == "podman 4.3.1 cannot do `COPY --link`"
    assert error.detail == ("Dockerfile:3: COPY --link a b /",)
    assert error.hint == ("docker 23.0, podman 5.7 and buildah 1.42 or later have it; none of the engines here can")


def test_what_is_not_needed_is_not_compared(check: Check) -> None:
    text = "FROM scratch AS one\nCOPY --link a /\nFROM scratch AS two\nCOPY a /\n"
    check(podman("4.3.1"), text, {"a": ""})
    refused(check, podman("4.3.1"), text, {"a": ""}, stage="one")


# Mistakes that some engine would turn into nothing


def mistaken(check: Check, lines: str, files: Mapping[str, str], **recipe: Any) -> MagnetfileError:
    """The mistake that is found in a Dockerfile, which is the same whatever the engine is."""
    found = []
    for backend in (docker("26.1.5"), legacy("20.10.24"), podman("4.3.1")):
        with pytest.raises(MagnetfileError) as caught:
            check(backend, f"FROM scratch\n{lines}\n", files, **recipe)
        found.append(caught.value)
    assert len({(error.message, error.detail, error.hint) for error in found}) == 1
    return found[0]


FILES = {"a": "", "d/b.txt": "", "d/e/c": ""}


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("COPY nosuch /", "there is no `nosuch` in the context"),
        ("COPY a nosuch /d/", "there is no `nosuch` in the context"),
        ("COPY d/nosuch/c /", "there is no `d/nosuch/c` in the context"),
        ("COPY a/c /", "there is no `a/c` in the context"),
        ("ADD zzz* /", "nothing in the context matches `zzz*`"),
        ("COPY zzz* d/*.c /d/", "nothing in the context matches `zzz*`"),
        ("COPY */b /", "nothing in the context matches `*/b`"),
        ("ARG X=z\nCOPY ${X}z* /", "nothing in the context matches `zz*`"),
        ("COPY link/nosuch /", "there is no `link/nosuch` in the context"),
        ("COPY --chmod=999 a /", "`--chmod=999` is not the mode of a file"),
        ("COPY --chmod=rwx a /", "`--chmod=rwx` is not the mode of a file"),
    ],
)
def test_a_source_that_is_not_there_and_a_mode_that_is_none_are_mistakes(
    check: Check, tmp_path: Path, line: str, what: str
) -> None:
    (tmp_path / "project/link").symlink_to("d")
    error = mistaken(check, line, FILES)
    number = 2 + line.count("\n")
    assert error.message == f"`{tmp_path}/project/Dockerfile`, line {number}: {what}"
    assert error.detail == (line.splitlines()[-1],)


@pytest.mark.parametrize(
    "line",
    [
        "COPY a zzz* /d/",
        "COPY . /",
        "COPY / /",
        "COPY d/../a /",
        "COPY ../a /",
        "COPY link/e/c absolute/b.txt up /d/",
        "COPY */*.txt d*/?/[abc] /d/",
        "COPY l*/b.txt /d/",
        "COPY --from=x nosuch /",
        "COPY $UNKNOWN /",
        "ADD https://h/x zzz* /d/",
        "ADD d/**/c /",
        "COPY d/[ /",
        "COPY dangling /",
    ],
)
def test_sources_that_are_there_or_may_be_are_none(check: Check, tmp_path: Path, line: str) -> None:
    root = tmp_path / "project"
    for name, target in (("link", "d"), ("absolute", "/link"), ("up", "d/../../a"), ("dangling", "gone")):
        (root / name).symlink_to(target)
    check(docker("26.1.5"), f"FROM base\n{line}\n", FILES)


def test_a_source_that_is_ignored_is_a_mistake_that_says_so(check: Check) -> None:
    files = {**FILES, ".dockerignore": "d\n"}
    assert mistaken(check, "COPY d/b.txt /", files).hint == "`.dockerignore` ignores it"
    assert mistaken(check, "COPY d/*.txt /", files).hint == "`.dockerignore` ignores it"
    assert mistaken(check, "COPY x /", files).hint == "`magnet --files TARGET` lists what is in the context"


def test_a_source_of_a_declared_context_is_looked_for_there(check: Check) -> None:
    declared = [Copy("d", "/in")]
    check(docker("26.1.5"), "FROM scratch\nCOPY in/b.txt /\n", FILES, context=declared)
    assert mistaken(check, "COPY d/b.txt /", FILES, context=declared).message.endswith(
        "line 2: there is no `d/b.txt` in the context"
    )


def test_a_stage_that_is_not_needed_may_be_mistaken(check: Check) -> None:
    check(docker("26.1.5"), "FROM scratch AS one\nCOPY nosuch /\nFROM scratch\nCOPY a /\n", FILES)


def test_an_owner_beyond_the_ids_of_a_rootless_engine_is_refused(check: Check) -> None:
    text = "FROM scratch\nARG U=70000\nCOPY --chown=1:$U a /\n"
    check(podman("5.4.2"), text, FILES)
    check(podman("5.4.2", rootless=True, ids=65537), text, FILES, build_args={"U": "65536"})
    refused(check, podman("5.4.2", rootless=True, ids=65537), text, FILES, build_args={"U": "65537"})
    error = refused(check, podman("5.4.2", rootless=True, ids=65537), text, FILES)
    assert error.message == (
        "podman 5.4.2 rootless cannot do `--chown=1:70000`: its containers have the ids below 65537 only"
    )
    assert error.detail == ("Dockerfile:3: COPY --chown=1:$U a /",)


# What is bridged


def plans(check: Check, text: str, files: Mapping[str, str] = FILES, **recipe: Any) -> dict[str, Plan]:
    return {name: check(backend, text, files, **recipe) for name, backend in ALL.items()}


def test_a_syntax_is_left_to_buildkit_only_where_its_own_frontend_lacks_something(check: Check) -> None:
    text = "# syntax=docker/dockerfile:1\nFROM scratch\n"
    assert {plan.changes.no_syntax for plan in plans(check, text).values()} == {True}
    text += "COPY --parents a /\n"
    for name in BUILDKIT:
        assert not check(ALL[name], text, FILES).changes.no_syntax
    for name in ALL.keys() - BUILDKIT:
        assert refused(check, ALL[name], text, FILES).message in (
            f"{name} cannot do `COPY --parents`",
            f"{name} cannot do `COPY --parents`",
        )


def test_a_foreign_syntax_is_buildkits_alone(check: Check) -> None:
    text = "# syntax=example.org/mine\nFROM scratch\nCOPY --none a /\n"
    for name, backend in ALL.items():
        if name in BUILDKIT:
            assert check(backend, text, FILES) == Plan(Changes())
        else:
            error = refused(check, backend, text, FILES)
            assert error.message == f"{name} cannot do `# syntax=example.org/mine`"


def test_volumes_move_where_run_would_write_into_nothing(check: Check) -> None:
    text = "FROM base\nVOLUME /v\nRUN true\n"
    moved = {name for name, plan in plans(check, text).items() if plan.changes.volumes_last}
    assert moved == LEGACY | {"podman 4.3.1", "podman 4.9.4", "buildah 1.28.2", "buildah 1.33.7"}
    unknown = "FROM base\nVOLUME /$UNKNOWN\nRUN true\n"
    assert refused(check, podman("4.3.1"), unknown).message == "podman 4.3.1 cannot do `RUN after VOLUME`"


def test_a_run_that_names_a_volume_of_its_base_image_is_refused_where_it_would_write_into_nothing(check: Check) -> None:
    able = BUILDKIT | NEW_PODMAN
    for line in ("RUN init --at /var/lib/db", "RUN echo x >/log/x", "RUN true\nRUN rm /var/lib/db/a"):
        text = f"FROM database AS below\nFROM below\n{line}\n"
        assert {check(ALL[name], text).changes.volumes_last for name in able} == {False}
        for name in ALL.keys() - able:
            error = refused(check, ALL[name], text)
            assert error.message == f"{name} cannot do `RUN in a VOLUME`"
            assert error.detail == (f"Dockerfile:{text.count(chr(10))}: {line.splitlines()[-1]}",)
    check(podman("4.3.1"), "FROM database\nRUN echo /var/lib/dbs /logs /log.d /var/lib\nCOPY a /log\n", FILES)
    check(podman("4.3.1"), "FROM other\nRUN init --at /var/lib/db\n")


def test_the_legacy_builder_is_given_what_is_needed_alone_and_the_platform(check: Check) -> None:
    text = "FROM --platform=$BUILDPLATFORM base\nARG TARGETOS\nARG TARGETARCH=mine\n"
    assert {name for name, plan in plans(check, text).items() if plan.changes.only_needed} == LEGACY
    assert plans(check, text) == {
        name: Plan(
            Changes(no_syntax=True, only_needed=name in LEGACY), (), {} if name in BUILDKIT else {"TARGETOS": "linux"}
        )
        for name in ALL
    }
    other = "FROM --platform=linux/s390x base\n"
    assert refused(check, legacy("26.1.5"), other).message == (
        "docker 26.1.5, legacy builder cannot do `FROM --platform=linux/s390x`"
    )


def test_a_stage_without_a_name_becomes_the_last(check: Check) -> None:
    text = "FROM base\nFROM base AS one\nFROM base\n"
    for stage, is_made in (("0", True), ("1", False), ("one", False), ("2", False), (None, False)):
        assert {plan.changes.nothing_after for plan in plans(check, text, stage=stage).values()} == {is_made}


def test_build_args_that_nothing_uses_are_told(check: Check) -> None:
    text = "ARG V=1\nFROM base:$TARGETARCH AS one\nARG A\nFROM base AS two\nARG B\nFROM one\nONBUILD ARG C\n"
    given = ("V", "A", "B", "C", "D", "TARGETARCH", "TARGETOS", "https_proxy", "ALL_PROXY", "BUILDKIT_SYNTAX")
    for name, plan in plans(check, text, build_args=dict.fromkeys(given, "x")).items():
        theirs = () if name in BUILDKIT else ("ALL_PROXY", "BUILDKIT_SYNTAX")
        assert plan.unused == tuple(sorted(("B", "C", "D", "TARGETOS", *theirs)))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("WORKDIR /w\nRUN true", ()),
        ("WORKDIR /w\nCOPY a .", ()),
        ("WORKDIR /", ()),
        ("WORKDIR /w\nCMD a", (2,)),
        ("WORKDIR /w\\\n/x\nENV A=1\nWORKDIR y\nRUN true", (3,)),
        ("USER 7\nWORKDIR /w\nCOPY a .", (3,)),
        ("USER 7\nWORKDIR /w\nUSER 0\nRUN true", (3,)),
        ("USER 7\nWORKDIR /w\nRUN true\nCOPY a .", ()),
        ("RUN true\nFROM yours\nWORKDIR /w\nADD a .\nFROM scratch", ()),
        ("RUN true\nFROM yours\nWORKDIR /w\nADD a .", (4,)),
        ("USER 7\nFROM base\nWORKDIR /w\nADD a .", ()),
    ],
)
def test_a_step_is_put_in_where_podman_would_not_make_a_workdir(
    check: Check, lines: str, expected: tuple[int, ...]
) -> None:
    for name in PODMAN:
        assert check(ALL[name], f"FROM base\n{lines}\n", FILES).changes.then_nothing == expected
    for name in BUILDKIT:
        assert check(ALL[name], f"FROM base\n{lines}\n", FILES).changes.then_nothing == ()


def test_the_user_of_a_base_image_counts(check: Check) -> None:
    error = refused(check, legacy("26.1.5"), "FROM yours\nWORKDIR /w\n")
    assert error.message == "docker 26.1.5, legacy builder cannot do `WORKDIR after USER`"
    check(legacy("26.1.5"), "FROM yours\nUSER root\nWORKDIR /w\n")
