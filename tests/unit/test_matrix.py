"""One target for each combination of a matrix, on the command line and for those who need it."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnet import target
from magnet.buildfile import Target, calls_of, is_matrix
from magnet.errors import MagnetfileError, UsageError
from magnet.parameters import parse_calls


@target(matrix={"py": ["3.11", "3.12"], "n": [1, 2]})
def check(t: Any, py: str, n: int, *, extra: str = "x") -> tuple[str, int]:
    return py, n


@target(matrix={"py": ["3.11", "3.12"]})
def words(t: Any, py: str, *names: str) -> tuple[str, ...]:
    return names


@target
def plain(t: Any) -> None: ...


def names(needed: Any) -> list[str]:
    return [call.name for call in calls_of(needed)]


def test_a_target_with_a_matrix_is_one_for_each_combination_in_order() -> None:
    assert names(check) == ["check(py=3.11, n=1)", "check(py=3.11, n=2)", "check(py=3.12, n=1)", "check(py=3.12, n=2)"]
    assert [call.run(None) for call in calls_of(check)] == [("3.11", 1), ("3.11", 2), ("3.12", 1), ("3.12", 2)]
    assert (is_matrix(check), is_matrix(check("3.11", 1)), is_matrix(plain), is_matrix(plain())) == (
        True,
        True,
        False,
        False,
    )


def test_a_call_may_give_values_of_some_axes_and_other_arguments() -> None:
    assert names(check(n=2)) == ["check(py=3.11, n=2)", "check(py=3.12, n=2)"]
    assert names(check("3.12", extra="y")) == ["check(py=3.12, n=1, extra=y)", "check(py=3.12, n=2, extra=y)"]
    assert names(check("3.12", 1)) == ["check(py=3.12, n=1)"]
    assert names(words("3.11", "a", "b")) == ["words(py=3.11, names=('a', 'b'))"]


def test_what_is_needed_of_a_matrix_is_each_of_its_calls() -> None:
    @target(needs=[plain, words, check(n=1)])
    def everything(t: Any) -> None: ...

    shown = [calls_of(needed)[0].name for needed in everything.needs]
    assert shown == ["plain", "words(py=3.11)", "words(py=3.12)", "check(py=3.11, n=1)", "check(py=3.12, n=1)"]


def test_an_axis_with_a_default_is_shown_all_the_same() -> None:
    @target(matrix={"os": ["linux", "darwin"]})
    def build(t: Any, os: str = "linux") -> None: ...

    assert names(build) == ["build(os=linux)", "build(os=darwin)"]


def test_builds_of_one_combination_are_not_those_of_another() -> None:
    assert [call.work for call in calls_of(words("3.11", "a"))] == ["words(py=3.11)"]
    assert [call.work for call in calls_of(check(n=1, extra="y"))] == ["check(py=3.11, n=1)", "check(py=3.12, n=1)"]


AXES = st.dictionaries(
    st.sampled_from("abc"), st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True), min_size=1
)


@given(AXES, st.data())
def test_the_command_line_chooses_among_the_combinations(axes: dict[str, list[int]], data: st.DataObject) -> None:
    @target(matrix=axes)
    def one(t: Any, a: int = -1, b: int = -1, c: int = -1) -> None: ...

    chosen = {name: data.draw(st.lists(st.sampled_from(values), unique=True), name) for name, values in axes.items()}
    given_words = [word for name, values in chosen.items() for value in values for word in (f"--{name}", str(value))]
    found = [dict(call.arguments) for call in parse_calls(["one", *given_words, "plain"], find(one, plain))]
    kept = [[value for value in values if value in (chosen[name] or values)] for name, values in axes.items()]
    expected = [{"a": -1, "b": -1, "c": -1, **dict(zip(axes, values, strict=True))} for values in product(*kept)]
    assert found == [*expected, {}]


def find(*targets: Target[..., Any]) -> Callable[[str], Target[..., Any]]:
    return {one.name: one for one in targets}.__getitem__


def test_an_axis_is_an_option_though_the_parameter_is_an_argument() -> None:
    found = parse_calls(["words", "--py", "3.12", "a", "b"], find(words))
    assert [call.name for call in found] == ["words(py=3.12, names=('a', 'b'))"]
    with pytest.raises(UsageError, match=r"^target `words`: invalid value for '--py': '3' is not one of"):
        parse_calls(["words", "--py", "3"], find(words))


def test_a_value_that_is_none_of_the_axis_is_refused() -> None:
    with pytest.raises(MagnetfileError) as caught:
        check(py="3.1")
    assert (caught.value.message, caught.value.hint) == (
        "target `check`: `py` cannot be '3.1'",
        "its matrix has '3.11', '3.12'",
    )
    with pytest.raises(MagnetfileError, match=r"^target `check`: `n` cannot be '1'$"):
        check(n="1")
    with pytest.raises(MagnetfileError, match=r"^target `check`: got an unexpected keyword argument 'm'$"):
        check(m=1)


@pytest.mark.parametrize(
    ("given_options", "message", "hint"),
    [
        ({"matrix": {"pyt": ["1"]}}, "it has a matrix of `pyt`, and no such parameter", "did you mean `py`?"),
        ({"matrix": {"os": ["1"]}}, "it has a matrix of `os`, and no such parameter", "write `def ...(t, os):`"),
        ({"matrix": {"rest": ["1"]}}, "it has a matrix of `rest`, and no such parameter", "write `def ...(t, rest):`"),
        ({"matrix": {"py": "3.11"}}, "`py` of its matrix is '3.11', and no list", "give ['3.11']"),
        ({"matrix": {"py": 3}}, "`py` of its matrix is 3, and no list", "give [3]"),
        ({"matrix": {"py": []}}, "`py` of its matrix has no values", "give at least one, or leave it out"),
        ({"matrix": {"py": [1, "1"]}}, "`py` of its matrix has the value `1` twice", "leave one out"),
        ({"matrix": {}}, "`matrix` is {}, and has no axis", 'as in matrix={"python": ["3.11", "3.12"]}'),
        ({"matrix": ["3.11"]}, "`matrix` is ['3.11'], and no dictionary", 'as in matrix={"python": ["3.11", "3.12"]}'),
        (
            {"matrix": {"py": [1]}, "outputs": "dist"},
            "all combinations of its matrix would have the same `outputs`",
            "leave `outputs` out, or declare them at a target that needs this one",
        ),
    ],
)
def test_a_matrix_that_cannot_be_meant_is_refused_at_load_with_its_place(
    given_options: Any, message: str, hint: str
) -> None:
    with pytest.raises(MagnetfileError) as caught:

        @target(**given_options)
        def one(t: Any, py: str, *rest: str) -> None: ...

    assert caught.value.message.startswith("test_matrix.py:")
    assert caught.value.message.endswith(f": target `one`: {message}")
    assert caught.value.hint == hint
