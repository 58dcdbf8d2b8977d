"""What is remembered of many targets together."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from magnet.globs import Selection
from magnet.graph import Done, recall, remember
from magnet.index import FileIndex, Tree

DONE = {"lib()": Done("result", "", "", 0), "app(name='\udcff\t\n')": Done("other", "ab" * 32, '{"path": "x"}', 7)}


@pytest.fixture
def look(tmp_path: Path) -> Callable[..., Tree]:
    """Looks at a directory, so many seconds later than now."""

    def look(seconds: int = 10) -> Tree:
        selection = Selection(tmp_path / "src", ("**",))
        with FileIndex(tmp_path / "files.sqlite", clock=lambda: time.time_ns() + seconds * 10**9) as index:
            return index.tree(selection.name, selection.walk)

    (tmp_path / "src/deep").mkdir(parents=True)
    (tmp_path / "src/deep/file").write_text("1")
    return look


def test_what_was_done_is_recalled_by_its_name_until_something_changes(
    tmp_path: Path, look: Callable[..., Tree]
) -> None:
    path = tmp_path / "graphs" / "graph"
    assert recall(path, "name") == {}
    remember(path, "name", DONE, [look(), look()])
    assert recall(path, "name") == DONE
    assert recall(path, "other name") == {}
    (tmp_path / "src/deep/new").write_text("2")
    assert recall(path, "name") == {}
    assert [one.name for one in path.parent.iterdir()] == ["graph"]


def test_what_is_too_young_is_not_remembered(tmp_path: Path, look: Callable[..., Tree]) -> None:
    remember(tmp_path / "graph", "name", DONE, [look(0)])
    assert not (tmp_path / "graph").exists()


def test_what_was_seen_twice_and_not_alike_is_not_remembered(tmp_path: Path, look: Callable[..., Tree]) -> None:
    before = look()
    (tmp_path / "src/deep/file").write_text("22")
    for trees in ([before, look()], [look(), before]):
        remember(tmp_path / "graph", "name", DONE, trees)
        assert not (tmp_path / "graph").exists()
    remember(tmp_path / "graph", "name", DONE, [look()])
    assert recall(tmp_path / "graph", "name") == DONE


def test_where_nothing_can_be_written_nothing_is_remembered(tmp_path: Path, look: Callable[..., Tree]) -> None:
    (tmp_path / "file").touch()
    remember(tmp_path / "file" / "graph", "name", DONE, [look()])
    assert recall(tmp_path / "file" / "graph", "name") == {}
