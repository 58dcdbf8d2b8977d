"""Matrices: axes, each with the values that a parameter of a target has in turn, and the combinations of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from magnet.errors import MagnetfileError, did_you_mean

Axes = tuple[tuple[str, tuple[Any, ...]], ...]
"""Parameters of a target, in order, with the values of each."""


def checked(matrix: Mapping[str, Iterable[Any]], parameters: Sequence[str], where: str) -> Axes:
    """The axes that a target declares; MagnetfileError for what cannot be meant. `where` names the target."""
    if not isinstance(matrix, Mapping) or not matrix:
        what = "has no axis" if isinstance(matrix, Mapping) else "no dictionary"
        raise MagnetfileError(
            f"{where}: `matrix` is {matrix!r}, and {what}", hint='as in matrix={"python": ["3.11", "3.12"]}'
        )
    return tuple((name, _values(name, values, parameters, where)) for name, values in matrix.items())


def _values(name: str, values: Any, parameters: Sequence[str], where: str) -> tuple[Any, ...]:
    if name not in parameters:
        hint = did_you_mean(str(name), parameters) or f"write `def ...(t, {name}):`"
        raise MagnetfileError(f"{where}: it has a matrix of `{name}`, and no such parameter", hint=hint)
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise MagnetfileError(f"{where}: `{name}` of its matrix is {values!r}, and no list", hint=f"give [{values!r}]")
    found = tuple(values)
    if not found:
        raise MagnetfileError(
            f"{where}: `{name}` of its matrix has no values", hint="give at least one, or leave it out"
        )
    texts = list(map(str, found))
    if again := next((text for text in texts if texts.count(text) > 1), None):
        raise MagnetfileError(f"{where}: `{name}` of its matrix has the value `{again}` twice", hint="leave one out")
    return found


def combinations(axes: Axes, chosen: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """The combinations of the values that are chosen, or of all where an axis is not in `chosen`.

    They come in the order in which the axes and their values are declared; the last axis changes fastest.

    >>> axes = (("os", ("linux", "darwin")), ("n", (1, 2)))
    >>> [tuple(one.values()) for one in combinations(axes, {"n": [1]})]
    [('linux', 1), ('darwin', 1)]
    """
    names = [name for name, _ in axes]
    for values in product(*(_in_order(values, chosen.get(name, values)) for name, values in axes)):
        yield dict(zip(names, values, strict=True))


def check_chosen(axes: Axes, name: str, value: Any, target: str) -> None:
    """Raise MagnetfileError where a value is none of its axis."""
    values = dict(axes)[name]
    if repr(value) not in map(repr, values):
        known = ", ".join(map(repr, values))
        raise MagnetfileError(f"target `{target}`: `{name}` cannot be {value!r}", hint=f"its matrix has {known}")


def told(axes: Axes) -> str:
    """A matrix in short.

    >>> told((("os", ("linux", "darwin")), ("n", (1, 2))))
    '4 combinations of os, n'
    """
    count = 1
    for _, values in axes:
        count *= len(values)
    return f"{count} combination{'' if count == 1 else 's'} of {', '.join(name for name, _ in axes)}"


def _in_order(values: Sequence[Any], chosen: Sequence[Any]) -> list[Any]:
    is_chosen: Callable[[Any], bool] = set(map(repr, chosen)).__contains__
    return [value for value in values if is_chosen(repr(value))]
