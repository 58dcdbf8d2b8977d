"""When a build is done, when it is not, and why: against an engine whose store is a directory."""

import io
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from urllib.parse import quote, unquote
from uuid import uuid4

import pytest
from blake3 import blake3

from magnet.backends import builders
from magnet.backends.base import Engine
from magnet.backends.features import features_of
from magnet.building import Builder
from magnet.cache import KEPT, BuildCache, BuildName, Hit, Miss, reference
from magnet.errors import Canceled, CommandFailed, EngineError
from magnet.index import FileIndex
from magnet.key import CacheKey, cache_key
from magnet.model import BuildRequest, Image, Option
from magnet.preparation import Prepared, Recipe
from magnet.process import Children, Shell
from magnet.questions import Explain, Files
from magnet.values import replace
from magnet.workspace import Workspace

KEY = CacheKey({"context": "x"})
DOCKERFILE = "FROM base\nARG MODE=fast\nCOPY src /\nCMD app\n"
PODMAN = Engine("podman", "5.0", builder="buildkit", features=features_of("podman", "5.0"))


@dataclass
class World:
    """A project, and an engine: each name of an image is a file that holds its id, so that processes share it."""

    root: Path
    store: Path
    engine: Engine = PODMAN
    bases: dict[str, str] = field(default_factory=dict)
    during: Callable[[], object] = dict
    built: list[BuildRequest] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    children: Children = field(default_factory=Children)
    took: int | None = None
    now: int = 0

    # What an engine can do.

    @property
    def builder(self) -> builders.Builder:
        return builders.BUILDERS[self.engine.builder]

    @contextmanager
    def asking(self, names: Iterable[str], *_: object) -> Iterator[Callable[[], dict[str, Image | None]]]:
        yield lambda: {name: self.inspect(name) for name in names}

    def inspect(self, name: str, *_: object) -> Image | None:
        image = self.names().get(name)
        if name == "base":
            return self.resolve(name)
        return Image(image) if image else None

    def resolve(self, name: str, *_: object, **__: object) -> Image:
        return Image(self.bases.get(name, f"sha256:{name}"))

    def tag(self, image: str, names: Iterable[str], *_: object) -> None:
        for name in names:
            (self.store / quote(name, safe="")).write_text(image)

    def retag(self, image: Image, names: Iterable[str], *_: object) -> None:
        self.tag(image.id, names)

    def remove(self, name: str, *_: object) -> None:
        (self.store / quote(name, safe="")).unlink()

    def build(self, request: BuildRequest, shell: Shell) -> Image:
        self.built.append(request)
        self.during()
        self.tag(f"sha256:{len(self.built)}", request.tags)
        return Image(f"sha256:{len(self.built)}", tags=request.tags)

    # What it has, and what magnet makes of it.

    def names(self) -> dict[str, str]:
        return {unquote(file.name): file.read_text() for file in self.store.iterdir()}

    def keys(self) -> set[str]:
        return {name.partition(":")[2] for name in self.names() if name.startswith("localhost/magnet:")}

    def doing(self, identity: str = "app") -> Builder:
        def write(_: int, data: bytes) -> None:
            self.said.append(data.decode())

        backend: Any = self
        shell = Shell(self.children, write, lambda command: None, self.root, {}, nullcontext, clock=lambda: self.now)
        return Builder(backend, shell, Workspace(self.cache, f"run{uuid4()}"), identity)

    @property
    def cache(self) -> Path:
        return self.root.parent / "cache"

    def keys_of(self, identity: str = "app") -> BuildCache:
        builder = self.doing()
        name = BuildName(identity, "/Dockerfile", None, ".")
        return BuildCache(builder.backend, builder.shell, self.cache, name)

    def prepare(self, identity: str = "app", **recipe: Any) -> Prepared:
        with FileIndex(self.cache / "index") as index:
            return self.doing(identity).prepare(Recipe(**recipe), self.root, index)

    def make(self, identity: str = "app", *, force: bool = False, **recipe: Any) -> tuple[str, bool]:
        """The image's id, and whether it was there already."""
        with FileIndex(self.cache / "index") as index:
            built = self.doing(identity).build(self.prepare(identity, **recipe), index, force=force)
        assert built.image.tags == self.prepare(**recipe).recipe.tags
        self.took = built.took
        return built.image.id, built.is_cached

    def why(self, **recipe: Any) -> tuple[str, ...]:
        answer = self.doing().ask(self.prepare(**recipe))
        assert not answer.is_done
        return answer.reasons


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "store").mkdir()
    (tmp_path / "app/src").mkdir(parents=True)
    (tmp_path / "app/Dockerfile").write_text(DOCKERFILE)
    for name in ("main.c", "other.c"):
        (tmp_path / "app/src" / name).write_text(name)
        (tmp_path / "app/src" / name).chmod(0o644)
    return World(tmp_path / "app", tmp_path / "store")


def test_what_was_built_is_not_built_again_and_gets_its_tags(world: World) -> None:
    assert world.make(tags=("app:1",)) == ("sha256:1", False)
    world.tag("sha256:other", ["app:1"])
    assert world.make(tags=("app:1", "app:2")) == ("sha256:1", True)
    key = cache_key(world.prepare())
    assert world.names() == dict.fromkeys(("app:1", "app:2", reference(key.digest)), "sha256:1")
    assert world.said == [f"CACHED localhost/magnet:{key.digest}\n"]
    assert len(world.built) == 1


@pytest.mark.parametrize("anyway", [{"force": True}, {"no_cache": True}])
def test_what_is_forced_is_built_anyway_and_its_key_moves(world: World, anyway: dict[str, Any]) -> None:
    assert world.make() == ("sha256:1", False)
    assert world.make(**anyway) == ("sha256:2", False)
    assert world.make() == ("sha256:2", True)


def test_what_is_fetched_without_a_checksum_never_gets_a_key(world: World) -> None:
    (world.root / "Dockerfile").write_text("FROM base\nADD https://e.x/a /\n")
    assert [world.make(), world.make()] == [("sha256:1", False), ("sha256:2", False)]
    assert world.keys() == set()
    assert world.why() == ("`ADD https://e.x/a` has no --checksum, and what is there may have changed",)


@pytest.mark.parametrize("name", ["src/main.c", "src/new.c", "Dockerfile"])
def test_what_changes_while_it_is_built_gets_no_key(world: World, name: str) -> None:
    world.during = lambda: (world.root / name).write_text("FROM base\n")
    assert world.make() == ("sha256:1", False)
    assert world.said == ["Files of the build changed while it ran, so that its image gets no key.\n"]
    assert world.keys() == set()
    assert world.why() == ("there was no build of this before",)


def test_a_base_image_that_changes_while_it_is_used_gives_no_key(world: World) -> None:
    world.during = lambda: world.bases.update(base="sha256:new")
    world.make()
    world.bases.clear()
    assert world.make() == ("sha256:2", False)


def test_a_build_that_fails_saves_nothing_and_can_be_tried_again(world: World) -> None:
    world.during = Mock(side_effect=EngineError("no space left"))
    with pytest.raises(EngineError):
        world.make()
    assert world.names() == {}
    world.during = dict
    assert world.make() == ("sha256:2", False)


def test_only_its_last_keys_are_kept_of_a_build(world: World) -> None:
    modes = [str(number) for number in range(KEPT + 2)]
    keys = [cache_key(world.prepare(build_args={"MODE": mode})).digest for mode in modes]
    for mode in modes:
        world.make(build_args={"MODE": mode})
    assert world.keys() == set(keys[-KEPT:])
    assert [world.make(build_args={"MODE": mode})[1] for mode in modes[-KEPT:]] == [True] * KEPT


def test_the_keys_that_were_used_last_are_kept_whoever_built_them(world: World) -> None:
    world.make("other", build_args={"MODE": "0"})
    keys = [cache_key(world.prepare(build_args={"MODE": str(mode)})).digest for mode in range(KEPT + 2)]
    for mode in (0, 1, 0, 2, *range(3, KEPT), 0, 0, KEPT, KEPT + 1):
        world.make("app", build_args={"MODE": str(mode)})
    (record,) = [
        one for file in (world.cache / "builds").glob("*.json") if len(one := json.loads(file.read_bytes())) > 1
    ]
    assert [keys.index(one["key"]) for one in record] == [KEPT + 1, KEPT, 0, *range(KEPT - 1, 2, -1)]
    assert world.keys() == {keys[mode] for mode in (0, *range(3, KEPT + 2))}


def test_a_key_that_another_build_keeps_is_not_let_go(world: World) -> None:
    world.make("other", build_args={"MODE": "0"})
    world.make("app", build_args={"MODE": "0"}, force=True)
    for mode in range(1, KEPT + 1):
        world.make("app", build_args={"MODE": str(mode)})
    assert world.make("other", build_args={"MODE": "0"}) == ("sha256:2", True)


def test_an_old_key_that_cannot_be_let_go_is_no_failure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "remove", Mock(side_effect=CommandFailed("it is in use", returncode=1)))
    for mode in range(KEPT + 1):
        assert world.make(build_args={"MODE": str(mode)}) == (f"sha256:{mode + 1}", False)


HALF = b'[{"version": 2, "key": "k"}]'
OF_ANOTHER_VERSION = b'[{"version": 0, "key": "k", "parts": {"a": 1}}]'
BROKEN = [b"", b"[{", b"null", b"[1]", b"{}", b"\xff", OF_ANOTHER_VERSION, HALF]


@pytest.mark.parametrize("record", BROKEN)
def test_a_broken_record_is_no_error(world: World, record: bytes) -> None:
    world.make()
    (file,) = (world.cache / "builds").glob("*.json")
    file.write_bytes(record)
    file.with_suffix(".files").write_bytes(record)
    assert world.why(build_args={"MODE": "slow"}) == ("there was no build of this before",)
    assert world.make() == ("sha256:1", True)
    assert world.why(build_args={"MODE": "slow"}) == ("build args: `MODE` changed",)
    assert world.make(build_args={"MODE": "slow"}) == ("sha256:2", False)
    assert len(json.loads(file.read_bytes())) == 2


def test_a_record_of_the_first_version_is_as_good(world: World) -> None:
    world.make()
    (file,) = (world.cache / "builds").glob("*.json")
    (record,) = json.loads(file.read_bytes())
    del record["build"]
    file.write_text(json.dumps([{**record, "version": 1, "files": {}}]))
    assert world.why(build_args={"MODE": "slow"}) == ("build args: `MODE` changed",)
    for mode in range(KEPT):
        world.make(build_args={"MODE": str(mode)})
    assert not {record["key"]} & world.keys()


def test_what_is_found_done_tells_what_it_took_to_do_it(world: World) -> None:
    world.during = lambda: setattr(world, "now", world.now + 7)
    world.make()
    assert world.took is None
    world.make()
    assert world.took == 7
    world.make(build_args={"MODE": "slow"})
    world.make()  # an older key, which becomes the latest again
    assert world.took == 7
    world.make()
    assert world.took == 7
    (file,) = (world.cache / "builds").glob("*.json")
    for old in ({}, {"took": "long"}):
        record = [
            {name: value for name, value in one.items() if name != "took"} for one in json.loads(file.read_bytes())
        ]
        file.write_text(json.dumps([one | old for one in record]))
        world.make()
        assert world.took is None


def written(name: str, content: str) -> Callable[[World], object]:
    return lambda world: (world.root / name).write_text(content)


CHANGES: list[tuple[Callable[[World], object], Mapping[str, Any], tuple[str, ...]]] = [
    (written("src/main.c", "changed"), {}, ("context: `src/main.c` changed",)),
    (written("src/new.c", ""), {}, ("context: `src/new.c` is new",)),
    (lambda world: (world.root / "src/main.c").unlink(), {}, ("context: `src/main.c` is gone",)),
    (lambda world: (world.root / "src/main.c").chmod(0o755), {}, ("context: `src/main.c` changed",)),
    (lambda world: world.bases.update(base="sha256:x"), {}, ("base images: `base` changed",)),
    (lambda world: None, {"build_args": {"MODE": "slow"}}, ("build args: `MODE` changed",)),
    (lambda world: None, {"labels": {"a": "1"}}, ("labels: `a` is new",)),
    (lambda world: None, {"options": (Option("--memory", "1g"),)}, ("options: `--memory=1g` is new",)),
    (lambda world: None, {"no_cache": True}, ("`no_cache` was asked for",)),
    (written("Dockerfile", DOCKERFILE.replace("CMD app\n", "")), {}, ("instructions: fewer, or in another order",)),
    (lambda world: world.remove(world.names().popitem()[0]), {}, ("its image is not in podman 5.0 any more",)),
]


AS_WRITTEN: tuple[Any, ...] = (
    written("Dockerfile", f"{DOCKERFILE}CMD other\n"),
    {},
    ("instructions: `CMD other` is new",),
)


@pytest.mark.parametrize(("change", "recipe", "reasons"), [*CHANGES, AS_WRITTEN])
def test_the_reason_of_a_build_names_what_changed(
    world: World, change: Callable[[World], object], recipe: Mapping[str, Any], reasons: tuple[str, ...]
) -> None:
    assert world.why() == ("there was no build of this before",)
    world.make()
    assert world.doing().ask(world.prepare()).is_done
    change(world)
    assert world.why(**recipe) == reasons


def test_buildah_is_not_to_trust_its_layers_where_a_step_mounts_the_context(world: World) -> None:
    for builder, mount in (("buildah", "--mount=target=/s "), ("buildkit", "--mount=target=/s "), ("buildah", "")):
        world.engine = replace(world.engine, builder=builder)
        written("Dockerfile", f"FROM base\nRUN {mount}make\n")(world)
        world.make(force=True)
    assert [request.no_cache for request in world.built] == [True, False, False]


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_two_that_want_one_key_build_it_once(world: World, kind: str) -> None:
    many: Any = threading if kind == "threads" else multiprocessing.get_context("fork")
    start = many.Thread if kind == "threads" else many.Process
    is_building, is_waiting = many.Event(), many.Event()

    def build() -> None:
        with world.keys_of().claim(KEY, lambda: False) as found:
            assert isinstance(found, Miss)
            is_building.set()
            assert is_waiting.wait(30)
            found.save(Image("sha256:first"), {})

    def wait() -> None:
        assert is_building.wait(30)
        with world.keys_of("other").claim(KEY, lambda: bool(is_waiting.set())) as found:
            assert isinstance(found, Hit)
            world.tag(found.image.id, ["waited"])

    one, other = start(target=build), start(target=wait)
    one.start()
    other.start()
    one.join()
    other.join()
    assert world.names() == {reference(KEY.digest): "sha256:first", "waited": "sha256:first"}
    assert not list((world.cache / "locks").iterdir())


def test_what_was_built_while_it_was_looked_up_is_a_hit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def inspect_while_another_builds(*_: object) -> None:
        monkeypatch.undo()
        with world.keys_of("other").claim(KEY, lambda: False) as found:
            assert isinstance(found, Miss)
            found.save(Image("sha256:first"), {})

    monkeypatch.setattr(world, "inspect", inspect_while_another_builds)
    with world.keys_of().claim(KEY, lambda: False) as found:
        assert isinstance(found, Hit)


def test_one_that_waits_gives_up_when_the_run_stops(world: World) -> None:
    with world.keys_of().claim(cache_key(world.prepare()), lambda: False):
        world.children.stop()
        with pytest.raises(Canceled):
            world.make("other")
    assert world.built == []


def test_the_lock_of_a_killed_process_is_free(world: World) -> None:
    many = multiprocessing.get_context("fork")
    has_claimed = many.Event()

    def claim() -> None:
        with world.keys_of().claim(KEY, lambda: False):
            has_claimed.set()
            signal.pause()

    child = many.Process(target=claim)
    child.start()
    assert has_claimed.wait(30)
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join()
    with world.keys_of().claim(KEY, lambda: True) as found:
        assert isinstance(found, Miss)


def printed(question: Explain | Files, *, as_json: bool) -> str:
    out = io.StringIO()
    question.print(out, as_json=as_json)
    return out.getvalue()


def test_explain_prints_each_build_with_its_reasons(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world.root)
    explain = Explain()
    world.make()
    explain("app", world.doing(), world.prepare())
    written("Dockerfile", "ARG X\nFROM base\nCOPY $SRC /\n")(world)
    written("src/main.c", "changed")(world)
    explain("app", world.doing("other"), world.prepare())
    widened = "the Dockerfile copies what cannot be known before it is built"
    assert printed(explain, as_json=False) == (
        "app: Dockerfile: done\n"
        "app: Dockerfile: to do\n"
        "  there was no build of this before\n"
        f"  the context holds all that is not ignored: {widened}\n"
    )
    build = {"target": "app", "dockerfile": "Dockerfile", "done": True, "reasons": [], "context": ""}
    todo = {**build, "done": False, "reasons": ["there was no build of this before"], "context": widened}
    assert printed(explain, as_json=True) == json.dumps([build, todo], indent=2) + "\n"


def test_files_prints_what_is_in_each_context_and_why(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world.root / "src")
    (world.root / "src/link").symlink_to("main.c")
    written("src/main.c", "0123456789")(world)
    files = Files()
    files("app", world.doing(), world.prepare())
    main, other = (blake3(content).hexdigest() for content in (b"0123456789", b"other.c"))
    assert printed(files, as_json=False) == (
        "app: ../Dockerfile: 3 files, 23 bytes\n"
        f"  10  {main[:16]}  src/main.c   copied as `src`\n"
        f"   7  {other[:16]}  src/other.c  copied as `src`\n"
        "   6  -> main.c         src/link     copied as `src`\n"
    )
    rows = [("src/main.c", 10, main), ("src/other.c", 7, other), ("src/link", 6, "-> main.c")]
    listed = [{"path": path, "size": size, "digest": digest, "why": "copied as `src`"} for path, size, digest in rows]
    build = {"target": "app", "dockerfile": "../Dockerfile", "context": "", "files": listed}
    assert printed(files, as_json=True) == json.dumps([build], indent=2) + "\n"
