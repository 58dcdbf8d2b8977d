"""What is kept of answers, and when it is not trusted."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnet import memory
from magnet.memory import KEPT, Memory

QUESTION = ["Dockerfile", "FROM scratch \udcff"]
ANSWER = {"bases": ["a\udcff"], "none": None}


def never() -> Any:
    raise AssertionError("it is known")


@pytest.fixture
def remembering(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "readings")


def kept(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "readings").iterdir())


def test_a_question_is_answered_once(remembering: Memory) -> None:
    assert remembering.recall(QUESTION, lambda: ANSWER) == ANSWER
    assert remembering.recall(QUESTION, never) == ANSWER


def test_an_answer_is_the_same_the_first_time_and_later(remembering: Memory) -> None:
    assert remembering.recall(QUESTION, lambda: ("a", ("b",))) == ["a", ["b"]]
    assert remembering.recall(QUESTION, never) == ["a", ["b"]]


@given(st.lists(st.text(max_size=3), max_size=3), st.lists(st.text(max_size=3), max_size=3))
def test_other_questions_have_other_answers(one: list[str], other: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        remembering = Memory(Path(directory))
        remembering.recall(one, lambda: 1)
        assert remembering.recall(other, lambda: 2) == (1 if one == other else 2)


@pytest.mark.parametrize(
    "broken",
    [lambda data: b"", lambda data: data[:-1], lambda data: data + b" ", lambda data: data.replace(b"null", b"true")],
    ids=["empty", "cut", "longer", "changed"],
)
def test_a_broken_answer_is_given_anew(remembering: Memory, tmp_path: Path, broken: Callable[[bytes], bytes]) -> None:
    remembering.recall(QUESTION, lambda: ANSWER)
    (file,) = kept(tmp_path)
    file.write_bytes(broken(file.read_bytes()))
    assert remembering.recall(QUESTION, lambda: "new") == "new"
    assert remembering.recall(QUESTION, never) == "new"


def test_other_code_answers_anew(remembering: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    remembering.recall(QUESTION, lambda: 1)
    monkeypatch.setattr(memory, "_code", lambda: [(1, 1)])
    assert remembering.recall(QUESTION, lambda: 2) == 2


def test_code_that_is_in_no_files_is_always_asked(remembering: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_PARSER", "nosuch")
    assert remembering.recall(QUESTION, lambda: 1) == 1
    assert remembering.recall(QUESTION, lambda: 2) == 2


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    remembering = Memory(tmp_path / "file")
    assert [remembering.recall(QUESTION, lambda: 1), remembering.recall(QUESTION, lambda: 2)] == [1, 2]


def test_a_failure_is_not_kept(remembering: Memory, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        remembering.recall(QUESTION, never)
    assert not (tmp_path / "readings").exists()


def test_the_oldest_answers_go_where_there_are_too_many(remembering: Memory, tmp_path: Path) -> None:
    for number in range(KEPT + 1):
        remembering.recall([str(number)], lambda: 1)
        for file in kept(tmp_path):
            if file.stat().st_mtime > 1e9:
                os.utime(file, (number, number))
    assert len(kept(tmp_path)) == KEPT // 2
    assert remembering.recall([str(KEPT)], never) == 1
    assert remembering.recall(["0"], lambda: 2) == 2
