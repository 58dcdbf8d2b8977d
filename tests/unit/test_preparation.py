"""How an engine gets a context: in place or staged, with whose modes, and with which trust in its layer cache."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from magnet.backends.builders import BUILDERS
from magnet.backends.engine import BuilderKind
from magnet.errors import EngineError
from magnet.index import FileIndex
from magnet.memory import Memory
from magnet.model import BuildRequest, Copy, Image, Modes, Secret, Ulimit, Whole
from magnet.preparation import Prepared, Recipe, defeats_layer_cache, prepare, request
from magnet.process import Children, Shell

Make = Callable[..., tuple[Prepared, BuildRequest]]


class Engine:
    """An engine that has no images, as far as the preparation of a build needs one."""

    engine = "docker 20.10, legacy builder"

    def __init__(self, builder: BuilderKind) -> None:
        self.builder = BUILDERS[builder]

    @contextmanager
    def asking(self, names: Iterable[str], *_: object) -> Iterator[Callable[[], dict[str, Image | None]]]:
        yield lambda: dict.fromkeys(names)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("project/src/a", "project/real/f", "project/x/file"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "project/link").symlink_to("real")
    return tmp_path / "project"


@pytest.fixture
def make(root: Path, tmp_path: Path) -> Iterator[Make]:
    """Prepare a build from a Dockerfile and an ignore file, and ask for it."""
    made: list[Path] = []
    shell = Shell(Children(), lambda *_: None, lambda _: None, root, {}, nullcontext)

    def make(
        *lines: str,
        ignored: str = "",
        builder: BuilderKind = "buildkit",
        modes: Modes = "keep",
        context: Any = None,
        **more: Any,
    ) -> tuple[Prepared, BuildRequest]:
        (root / "Dockerfile").write_text("\n".join(["FROM scratch", *lines, ""]))
        (root / ".dockerignore").write_text(ignored)
        scratch = tmp_path / f"scratch{len(made)}"
        scratch.mkdir()
        made.append(scratch)
        engine: Any = Engine(builder)
        recipe = Recipe(modes=modes, context=context, **more)
        prepared = prepare(recipe, root, engine, shell, index, Memory(tmp_path / "readings"))
        return prepared, request(prepared, engine, scratch, dry_run=False)

    with FileIndex(tmp_path / "index") as index:
        yield make


def is_in_place(root: Path, asked: BuildRequest) -> bool:
    return asked.context.resolve() == root


@pytest.mark.parametrize(
    ("lines", "ignored", "expected"),
    [
        (["COPY src /"], "", True),
        (["COPY src /"], "src/b\n", True),
        (["COPY src /"], "src/b\n!src/b/c\n", False),
        (["COPY s*/a /"], "", False),
        (["COPY . /"], "src/b\n", True),
        (["COPY . /"], "*\n!src\n!x/file\n", True),
        (["COPY . /"], "src/a\n!src\n", False),
        (["COPY . /"], "*\n!src\nsrc/a\n", False),
        (["COPY . /"], "*\n!**/a\n", False),
        (["COPY $UNKNOWN /"], "src/a\n!src\n", False),
    ],
)
def test_a_context_is_staged_where_engines_would_not_ignore_the_same(
    root: Path, make: Make, lines: list[str], ignored: str, expected: bool
) -> None:
    for builder in ("buildkit", "buildah"):
        _, asked = make(*lines, ignored=ignored, builder=builder)
        assert is_in_place(root, asked) == expected


def test_podman_and_buildah_get_a_context_that_a_step_mounts_staged(root: Path, make: Make) -> None:
    lines = ["RUN --mount=source=src,target=/m true"]
    assert is_in_place(root, make(*lines)[1])
    assert not is_in_place(root, make(*lines, builder="buildah")[1])


@pytest.mark.parametrize("name", ["src", "src/a"])
def test_a_context_is_staged_where_a_file_has_more_than_engines_agree_on(root: Path, make: Make, name: str) -> None:
    mode = stat.S_IMODE((root / name).stat().st_mode)
    for special in (stat.S_ISUID, stat.S_ISGID, stat.S_ISVTX):
        (root / name).chmod(mode | special)
        _, asked = make("COPY src /")
        assert not is_in_place(root, asked)
        assert stat.S_IMODE((asked.context / name).stat().st_mode) == mode
    (root / name).chmod(mode)
    assert is_in_place(root, make("COPY src /")[1])
    os.setxattr(root / name, "user.magnet", b"1")
    _, asked = make("COPY src /")
    assert not is_in_place(root, asked)
    assert os.listxattr(asked.context / name) == []


def test_the_legacy_builder_gets_an_ignore_file_that_it_would_read_itself_and_no_other(make: Make) -> None:
    _, asked = make("COPY . /", ignored="src/b\n!src\n", builder="legacy")
    assert (asked.context / ".dockerignore").read_text() == "src/b\n!src\n"
    with pytest.raises(EngineError, match=r"docker 20\.10, legacy builder would apply the `\.dockerignore`"):
        make("COPY . /", ignored="src\n", builder="legacy", context=[Copy(".")])


@pytest.mark.parametrize("context", [None, Whole(), [Copy("src", "/src")]])
def test_the_modes_of_git_are_one_context_under_every_umask(root: Path, make: Make, context: Any) -> None:
    seen: dict[Modes, set[str]] = {"keep": set(), "git": set()}
    for directory, file in ((0o700, 0o700), (0o755, 0o755), (0o775, 0o775)):
        (root / "src").chmod(directory)
        (root / "src/a").chmod(file)
        for modes, digests in seen.items():
            prepared, asked = make("COPY src /", modes=modes, context=context)
            digests.add(prepared.tree.digest)
        found = [path.stat().st_mode & 0o777 for path in (asked.context / "src", asked.context / "src/a")]
        assert found == [0o755, 0o755]
        assert (asked.context / "src/a").read_text() == "project/src/a"
    assert (len(seen["git"]), len(seen["keep"])) == (1, 3)


@pytest.mark.parametrize(
    ("lines", "buildkit", "buildah"),
    [
        (["COPY src x/file /"], False, False),
        (["COPY src/* x* /"], False, False),
        (["COPY link /"], False, False),
        (["COPY link/f /"], False, False),
        (["COPY link/* /"], True, False),
        (["COPY nosuch* /"], True, False),
        (["COPY l*/f /"], True, False),
        (["COPY $UNKNOWN /"], False, False),
        (["ARG A=x", "ENV A=y", "ARG A=z", "COPY $A* /"], True, True),
        (["RUN --mount=source=src,target=/m true"], False, True),
    ],
)
def test_a_layer_cache_is_not_trusted_with_what_it_is_known_to_miss(
    make: Make, lines: list[str], buildkit: bool, buildah: bool
) -> None:
    missed: dict[BuilderKind, bool] = {"buildkit": buildkit, "buildx": buildkit, "buildah": buildah, "legacy": False}
    for builder, expected in missed.items():
        prepared, _ = make(*lines, builder=builder)
        engine: Any = Engine(builder)
        assert defeats_layer_cache(prepared, engine) == expected, builder


NONE = {"buildkit": False, "buildx": False, "buildah": True, "legacy": True}
ALL, NOWHERE = dict.fromkeys(NONE, True), dict.fromkeys(NONE, False)


@pytest.mark.parametrize(
    ("recipe", "missed"),
    [
        ({"network": "none"}, NONE),
        ({"network": "host"}, NOWHERE),
        ({"hosts": (("a", "10.0.0.1"),)}, ALL),
        ({"shm_size": 1}, ALL),
        ({"ulimits": (Ulimit("core", 0, 0),)}, ALL),
        ({"secrets": (Secret("t", env="T"),)}, NOWHERE),
        ({"ssh": {"default": "/agent"}}, NOWHERE),
    ],
)
def test_a_layer_cache_is_not_trusted_with_what_is_around_a_step_that_it_does_not_see(
    make: Make, recipe: dict[str, Any], missed: dict[BuilderKind, bool]
) -> None:
    for builder, expected in missed.items():
        engine: Any = Engine(builder)
        assert defeats_layer_cache(make("RUN true", builder=builder, **recipe)[0], engine) == expected, builder


@pytest.mark.parametrize("builder", ["buildkit", "buildah"])
def test_a_file_of_hosts_is_made_for_steps_without_a_network_where_the_engine_makes_none(
    make: Make, builder: BuilderKind
) -> None:
    hosts = (("db", "10.0.0.1"), ("db", "::1"))
    for network in ("default", "host"):
        assert make("RUN true", builder=builder, network=network, hosts=hosts)[1].hosts_file is None
    _, asked = make("RUN true", builder=builder, network="none", hosts=hosts)
    if builder == "buildkit":
        assert asked.hosts_file is None
        return
    assert asked.hosts_file is not None
    assert asked.hosts_file.read_text() == (
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.1\tdb\n::1\tdb\n"
    )


def test_a_directory_by_another_name_is_staged_without_what_it_ignores_and_named_by_all_digests(
    root: Path, make: Make
) -> None:
    (root / "x/.dockerignore").write_text("ign*\n")
    (root / "x/ignored").touch()
    (root / "src/.dockerignore").write_text("*\n")
    contexts = {"x": root / "x", "spare": root / "src"}
    lines = ["COPY --from=x / /"]
    names = []
    for content in ("one", "two"):
        (root / "x/file").write_text(content)
        prepared, asked = make(*lines, contexts=contexts)
        assert list(asked.contexts) == list(prepared.directories) == ["x"]
        staged = Path(asked.contexts["x"])
        assert sorted(path.name for path in staged.iterdir()) == [".dockerignore", "file"]
        assert (staged / "file").read_text() == content
        names += [asked.context.name, staged.name]
    # BuildKit keeps the one under the name of the other.
    assert len(set(names)) == 4
    assert make(*lines, contexts=contexts)[1].context.name == names[2]
