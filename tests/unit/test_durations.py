"""Lengths of time as people write them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnet.durations import duration, spelled, time_limit
from magnet.errors import MagnetfileError, UsageError


@given(st.integers(1, 10**7))
def test_a_duration_that_is_spelled_out_is_read_as_what_it_was(seconds: int) -> None:
    assert duration(spelled(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "1.5h", "-5m", "5M", "٣s"])
def test_what_is_no_duration_is_an_error_that_shows_some(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        duration(text)
    assert caught.value.message == f"`{text}` is not a duration"
    assert caught.value.hint == "write it as 30m, 12h, 7d, 2w, or together as 1d12h"


@pytest.mark.parametrize(("limit", "seconds"), [(90, 90), (0.25, 0.25), ("90s", 90), ("1h30m", 5400)])
def test_a_limit_is_seconds_or_a_duration(limit: float | str, seconds: float) -> None:
    assert time_limit(limit, "timeout") == seconds


@pytest.mark.parametrize("limit", [0, -1, 10**400, math.nan, math.inf, True, "0s", "90", "soon", [], None])
def test_what_is_no_limit_is_an_error_that_shows_some(limit: object) -> None:
    with pytest.raises(MagnetfileError) as caught:
        time_limit(limit, "timeout")  # type: ignore[arg-type]
    assert caught.value.message == f"`{limit}` is no time for `timeout`"
    assert caught.value.hint == "give seconds, as 90 or 0.5, or a text, as `90s`, `5m` or `1h30m`"
