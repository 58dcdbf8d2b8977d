"""Which keys an engine's store holds, and what becomes of those that are to go: against a store in memory."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from magnet import keys
from magnet.cache import BuildName, locked, record_path
from magnet.keys import BEING_BUILT, Keeper, StoredKey
from magnet.model import ImageListing

A, B, C, D = (letter * 64 for letter in "abcd")


@dataclass
class Store:
    """An engine's images: rows of its list; names that a container uses cannot be removed."""

    rows: list[ImageListing] = field(default_factory=list)
    used: Mapping[str, str] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)

    def add(
        self, tag: str, image: str, created: int = 0, size: str = "1MB", repository: str = "localhost/magnet"
    ) -> None:
        self.rows.append(ImageListing(repository, tag, image, created, size))

    def images(self, name: str | None = None) -> tuple[ImageListing, ...]:
        return tuple(self.rows)

    def remove_names(self, names: Sequence[str]) -> Mapping[str, str]:
        self.asked.append(list(names))
        self.rows = [row for row in self.rows if _name(row) not in names or _name(row) in self.used]
        return {name: why for name, why in self.used.items() if name in names}


def _name(row: ImageListing) -> str:
    return f"{row.repository}:{row.tag}"


@dataclass
class World:
    store: Store
    cache: Path

    def record(self, target: str, *digests: str, version: int = 2, stage: str | None = None) -> Path:
        """Let a build have these last keys, the latest first."""
        name = BuildName(target, "/p/Dockerfile", stage, ".")
        told = {"build": {"target": target, "dockerfile": "/p/Dockerfile", "stage": stage}} if version == 2 else {}
        path = record_path(self.cache, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([{"version": version, "key": one, "parts": {"a": 1}, **told} for one in digests]))
        path.with_suffix(".files").write_text("{}")
        return path

    def stored(self) -> tuple[StoredKey, ...]:
        backend: Any = self.store
        return keys.stored(backend, self.cache)

    def remove(self, *wanted: StoredKey) -> keys.Pruned:
        backend: Any = self.store
        return keys.remove(backend, self.cache, wanted)

    def tree(self) -> list[str]:
        return sorted(path.relative_to(self.cache).as_posix() for path in self.cache.rglob("*"))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(Store(), tmp_path / "cache")


def test_each_key_is_told_with_the_builds_that_keep_it_the_newest_first(world: World) -> None:
    for created, (digest, size) in enumerate({A: "1.5kB", B: "2MB", C: "3GB"}.items()):
        world.store.add(digest, f"sha256:{created}", created, size)
    world.record("app", B, A)
    world.record("test", A, stage="dev")
    assert world.stored() == (
        StoredKey(C, "sha256:2", 2, 3_000_000_000),
        StoredKey(B, "sha256:1", 1, 2_000_000, (Keeper(0, "app", "/p/Dockerfile"),)),
        StoredKey(
            A,
            "sha256:0",
            0,
            1500,
            (Keeper(0, "test", "/p/Dockerfile", "dev"), Keeper(1, "app", "/p/Dockerfile")),
        ),
    )


def test_an_image_of_the_users_own_is_no_key(world: World) -> None:
    world.store.add("1.0", "sha256:1")
    world.store.add("a" * 63, "sha256:1")
    world.store.add(A, "sha256:1", repository="localhost/magnet-test")
    world.store.add(A, "sha256:1", repository="registry.test/localhost/magnet")
    assert world.stored() == ()


def test_the_latest_key_is_the_latest_that_this_engine_holds(world: World) -> None:
    world.store.add(A, "sha256:1")
    world.store.add(C, "sha256:2")
    world.record("app", B, A, D, C)
    assert {key.digest: key.rank for key in world.stored()} == {A: 0, C: 1}


def test_a_record_that_does_not_name_its_build_keeps_its_keys(world: World) -> None:
    world.store.add(A, "sha256:1")
    world.record("app", A, version=1)
    (key,) = world.stored()
    assert key.keepers == (Keeper(0),)


def test_a_build_that_was_built_since_names_the_keys_of_the_record_before(world: World) -> None:
    world.store.add(B, "sha256:1")
    path = world.record("app", A)
    (new,) = json.loads(path.read_bytes())
    path.write_text(json.dumps([new, {"version": 1, "key": B, "parts": {"a": 1}, "files": {}}]))
    (key,) = world.stored()
    assert key.keepers == (Keeper(0, "app", "/p/Dockerfile"),)


@pytest.mark.parametrize("broken", [b"", b"\xff", b"[1]", b'[{"version": 2}]'])
def test_a_broken_record_keeps_nothing(world: World, broken: bytes) -> None:
    world.store.add(A, "sha256:1")
    world.record("app", A).write_bytes(broken)
    assert world.stored() == (StoredKey(A, "sha256:1", 0, 1_000_000),)


def digests(found: Sequence[StoredKey]) -> str:
    return "".join(sorted(key.digest[0] for key in found))


@pytest.mark.parametrize(("keep", "expected"), [(0, "abc"), (1, "bc"), (2, "c"), (3, "")])
def test_superseded_are_the_keys_before_the_last_of_each_build(world: World, keep: int, expected: str) -> None:
    for digest in (A, B, C, D):
        world.store.add(digest, "sha256:1")
    world.record("app", A, B, C)
    assert digests(keys.superseded(world.stored(), keep)) == expected


def test_a_key_is_not_superseded_while_it_is_the_latest_of_any_build(world: World) -> None:
    for digest in (A, B):
        world.store.add(digest, "sha256:1")
    world.record("app", A, B)
    world.record("test", B)
    assert keys.superseded(world.stored(), 1) == ()


def test_older_are_the_keys_whose_images_were_made_before(world: World) -> None:
    for created, digest in enumerate((A, B, C)):
        world.store.add(digest, "sha256:1", created)
    assert digests(keys.older(world.stored(), 2)) == "ab"


def test_an_image_goes_with_its_last_name_only(world: World) -> None:
    world.store.add(A, "sha256:1")
    world.store.add(B, "sha256:2")
    world.store.add(C, "sha256:3")
    world.store.add("1", "sha256:2", repository="localhost/app")
    a, b, _ = sorted(world.stored(), key=lambda key: key.digest)
    assert world.remove(a, b) == keys.Pruned((a, b), (), frozenset({"sha256:1"}))
    assert list(map(_name, world.store.rows)) == [f"localhost/magnet:{C}", "localhost/app:1"]
    assert world.tree() == [] or not world.cache.exists(), "looking and removing leave no trace"


def test_a_key_that_is_in_use_is_left_with_the_reason(world: World) -> None:
    world.store.add(A, "sha256:1")
    world.store.add(B, "sha256:2")
    world.store.used = {f"localhost/magnet:{A}": "container 0123 uses it"}
    a, b = sorted(world.stored(), key=lambda key: key.digest)
    assert world.remove(a, b) == keys.Pruned((b,), ((a, "container 0123 uses it"),), frozenset({"sha256:2"}))


def test_a_key_that_is_being_built_is_left(world: World) -> None:
    world.store.add(A, "sha256:1")
    world.store.add(B, "sha256:2")
    a, b = sorted(world.stored(), key=lambda key: key.digest)
    with locked(world.cache, A, lambda: True):
        assert world.remove(a, b) == keys.Pruned((b,), ((a, BEING_BUILT),), frozenset({"sha256:2"}))
        assert world.tree() == ["locks", f"locks/{A}"]
    assert world.remove(a) == keys.Pruned((a,), (), frozenset({"sha256:1"}))
    assert world.tree() == ["locks"]


def test_where_every_key_is_being_built_the_engine_is_not_asked(world: World) -> None:
    world.store.add(A, "sha256:1")
    with locked(world.cache, A, lambda: True):
        assert world.remove(*world.stored()).removed == ()
    assert world.store.asked == []


def test_many_keys_are_removed_with_few_commands(world: World) -> None:
    for number in range(45):
        world.store.add(f"{number:064x}", f"sha256:{number}")
    assert len(world.remove(*world.stored()).removed) == 45
    assert list(map(len, world.store.asked)) == [20, 20, 5]
    assert world.stored() == ()


def test_records_are_forgotten_but_for_those_of_keys_that_are_left(world: World) -> None:
    world.store.add(A, "sha256:1")
    kept, other = world.record("app", B, A), world.record("test", C)
    keys.forget(world.cache, world.stored())
    assert world.tree() == sorted(["builds", f"builds/{kept.name}", f"builds/{kept.stem}.files"])
    assert other not in kept.parent.iterdir()


def test_a_lock_goes_when_nobody_holds_it(world: World) -> None:
    with locked(world.cache, A, lambda: True):
        (world.cache / "locks" / B).touch()
        keys.remove_dead_locks(world.cache)
        assert world.tree() == ["locks", f"locks/{A}"]


def test_an_image_of_several_keys_counts_once() -> None:
    found = [StoredKey(A, "sha256:1", 0, 5), StoredKey(B, "sha256:1", 0, 5), StoredKey(C, "sha256:2", 0, 7)]
    assert keys.total_size(found) == 12


@pytest.mark.parametrize(
    ("shown", "size"),
    [("0B", 0), ("999B", 999), ("1.34kB", 1340), ("1.66KB", 1660), ("1e+03MB", 10**9), ("2TB", 2 * 10**12), ("N/A", 0)],
)
def test_sizes_are_read_as_every_engine_writes_them(shown: str, size: int) -> None:
    assert keys.in_bytes(shown) == size
