"""Frozen records: what they share with the standard library's dataclasses, which are the oracle."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnet.values import frozen, replace


@frozen
class Point:
    x: int
    y: int = 2
    label: str = ""


@dataclasses.dataclass(frozen=True)
class Oracle:
    x: int
    y: int = 2
    label: str = ""


@frozen(eq=False)
class Lonely:
    x: int


@frozen
class Doubled:
    x: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", self.x * 2)

    def __repr__(self) -> str:
        return f"twice {self.x // 2}"


def made(make: Callable[[], object]) -> str:
    """How the value that is made shows itself, or that it cannot be made."""
    try:
        return repr(make()).replace("Oracle", "Point")
    except TypeError:
        return "TypeError"


names = st.sampled_from(["x", "y", "label", "nosuch"])


@given(st.lists(st.integers(0, 3), max_size=4), st.dictionaries(names, st.integers(0, 3), max_size=4))
def test_a_record_is_made_as_a_dataclass_is(args: list[Any], kwargs: dict[str, Any]) -> None:
    assert made(lambda: Point(*args, **kwargs)) == made(lambda: Oracle(*args, **kwargs))


@given(st.lists(st.integers(0, 1), min_size=1, max_size=3), st.lists(st.integers(0, 1), min_size=1, max_size=3))
def test_records_are_equal_by_their_fields(one: list[Any], other: list[Any]) -> None:
    assert (Point(*one) == Point(*other)) == (Oracle(*one) == Oracle(*other))
    assert len({Point(*one), Point(*other)}) == len({Oracle(*one), Oracle(*other)})


def test_records_of_two_classes_are_not_equal() -> None:
    others: list[object] = [Oracle(1), (1, 2, ""), Doubled(1)]
    assert Point(1) not in others


def test_without_eq_a_record_is_equal_to_itself_alone() -> None:
    one = Lonely(1)
    assert one == one
    assert one != Lonely(1)
    assert len({one, Lonely(1)}) == 2


def test_a_record_cannot_be_changed() -> None:
    point = Point(1)
    with pytest.raises(AttributeError, match="a Point cannot be changed: make another with `replace`"):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del point.x
    assert point == Point(1)


def test_replace_makes_another_record() -> None:
    point = Point(1)
    assert replace(point, y=3) == Point(1, 3)
    assert point == Point(1)
    with pytest.raises(TypeError, match="has no field `z`"):
        replace(point, z=1)


def test_what_a_class_defines_itself_stays() -> None:
    assert repr(Doubled(2)) == "twice 2"
    assert Doubled(2) == Doubled(2)


def test_a_mistake_names_the_field() -> None:
    with pytest.raises(TypeError, match=r"^Point\(\) needs `x`$"):
        Point()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"^Point\(\) has no field `z`$"):
        Point(1, z=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"^Point\(\) got `x` twice$"):
        Point(1, x=1)  # type: ignore[misc]
    with pytest.raises(TypeError, match=r"^Point\(\) takes 3 values, not 4$"):
        Point(1, 2, "", 4)  # type: ignore[call-arg]
