import xml.etree.ElementTree as ET
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnet.events import SolveStatus, Vertex
from magnet.progress.timeline import GUTTER, MOST_ROWS, WIDTH, fitted, tick, timeline
from magnet.progress.trace import Trace
from tests.unit.script import at, folded
from tests.unit.test_report import vertex

SVG = "{http://www.w3.org/2000/svg}"
SECOND = 10**9


def drawn(trace: Trace, now: float = 20) -> ET.Element:
    return ET.fromstring(timeline(trace, at(now)))


def rows(picture: ET.Element) -> dict[str, list[tuple[str, float, float]]]:
    """The bars of each row, by its title: class, begin and width, in tenths of a percent of the room for bars."""
    room = WIDTH - GUTTER - 16
    return {
        row.findtext(f"{SVG}title", ""): [
            (
                bar.attrib["class"],
                round((float(bar.attrib["x"]) - GUTTER) / room * 1000),
                round(float(bar.attrib["width"]) / room * 1000),
            )
            for bar in row.findall(f"{SVG}rect")
        ]
        for row in picture.findall(f"{SVG}g")
    }


def texts(picture: ET.Element, style: str) -> list[str]:
    return [one.text or "" for one in picture.iter(f"{SVG}text") if one.attrib["class"] == style]


RUN = folded(
    SolveStatus(
        vertexes=(
            vertex("app", 0, 10, "base", "lint"),
            vertex("base", 0, 4),
            vertex("lint", 0, 0, cached=True),
            vertex("test", 5, 10, error="stopped", canceled=True),
            vertex("a1", 4, 9, name="[1/2] RUN make", parent="app", error="exit code 2"),
            vertex("a2", 4.5, 5, name="inner", parent="a1"),
            Vertex("never", "never"),
        )
    )
)


def test_bars_are_where_and_as_long_as_the_times_say() -> None:
    assert rows(drawn(RUN)) == {
        "app: 10.0s": [("done wait", 0, 400), ("done", 400, 600)],
        "[1/2] RUN make: 5.0s ERROR": [("failed", 400, 500)],
        "inner: 0.5s": [("done", 450, 50)],
        "base: 4.0s": [("done", 0, 400)],
        "lint: 0.0s CACHED": [("cached", 0, 2)],
        "test: 5.0s CANCELED": [("canceled", 500, 500)],
    }


def test_it_tells_the_whole_time_what_became_of_all_and_the_scale() -> None:
    picture = drawn(RUN)
    assert texts(picture, "title") == ["10.0s: 5 targets, 1 cached, 1 canceled"]
    assert texts(picture, "scale") == [
        "done", "cached", "failed", "canceled", "waiting", "0s", "2s", "4s", "6s", "8s", "10s",
    ]  # fmt: skip
    assert texts(picture, "target") == ["app", "base", "lint", "test"]
    assert texts(picture, "step") == ["[1/2] RUN make", "inner"]
    assert texts(picture, "time") == ["10.0s", "5.0s ERROR", "0.5s", "4.0s", "0.0s CACHED", "5.0s CANCELED"]


def test_it_is_one_file_without_scripts_and_links() -> None:
    picture = drawn(RUN)
    assert {one.tag.removeprefix(SVG) for one in picture.iter()} == {
        "svg",
        "style",
        "rect",
        "text",
        "path",
        "g",
        "title",
    }
    assert not [name for one in picture.iter() for name in one.attrib if "href" in name or name.startswith("on")]
    style = picture.findtext(f"{SVG}style", "")
    assert "@media (prefers-color-scheme: dark)" in style
    assert "url(" not in style
    assert "@import" not in style


def test_a_run_without_targets_and_one_that_goes_on_are_drawn() -> None:
    assert rows(drawn(Trace())) == {}
    trace = folded(SolveStatus(vertexes=(Vertex("1", "a", started=at(0)), vertex("2", 0, 5))))
    assert rows(drawn(trace, 10)) == {"a: 10.0s": [("done", 0, 1000)], "2: 5.0s": [("done", 0, 500)]}


def test_of_very_many_those_that_took_longest_are_shown() -> None:
    steps = [vertex(f"s{number}", 0, number / 100, parent="t") for number in range(MOST_ROWS + 40)]
    picture = drawn(folded(SolveStatus(vertexes=(vertex("t", 0, 9), *steps, vertex("u", 0, 0)))))
    assert len(rows(picture)) == MOST_ROWS
    assert texts(picture, "target") == ["t", "u"]
    assert texts(picture, "step")[0] == "s42"
    assert texts(picture, "scale")[-1] == "42 more that took less time are left out"


NAMES = st.text(max_size=80) | st.sampled_from(
    ["<a href='x'>&amp;]]></a>", "\x1b[0m\udcff\0\ufffe\r\n\t", "\u6784" * 99]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(NAMES, st.floats(0, 1e4), st.floats(0, 1e4), st.booleans(), st.booleans()), max_size=8))
def test_whatever_ran_it_is_well_formed_and_within_its_bounds(
    found: list[tuple[str, float, float, bool, bool]],
) -> None:
    vertexes = [
        vertex(str(n), begun, ended, "0", name=name, parent="0" if n and is_step else "", cached=cached)
        for n, (name, begun, ended, is_step, cached) in enumerate(found)
    ]
    picture = drawn(folded(SolveStatus(vertexes=tuple(vertexes))))
    width, height = float(picture.attrib["width"]), float(picture.attrib["height"])
    for bar in picture.iter(f"{SVG}rect"):
        x, y = float(bar.attrib.get("x", 0)), float(bar.attrib.get("y", 0))
        assert 0 <= x <= x + float(bar.attrib["width"]) <= width + 1
        assert 0 <= y < height
    for text in picture.iter(f"{SVG}text"):
        end = float(text.attrib["x"]) + (Counter(text.text or "").total()) * 6.6
        limit = GUTTER if text.attrib["class"] in ("target", "step") else width
        assert float(text.attrib["x"]) >= 0
        assert end <= limit
        assert 0 <= float(text.attrib["y"]) < height


def test_a_time_is_in_its_bar_or_beside_it() -> None:
    trace = folded(SolveStatus(vertexes=(vertex("a", 0, 10), vertex("b", 0, 0.1), vertex("c", 9.9, 10))))
    places = [float(one.attrib["x"]) for one in drawn(trace).iter(f"{SVG}text") if one.attrib["class"] == "time"]
    in_bar, right, left = places
    assert in_bar == GUTTER + 4
    assert GUTTER + 0.01 * (WIDTH - GUTTER) < right < GUTTER + 20
    assert left + 4 * 6.6 < GUTTER + 0.99 * (WIDTH - GUTTER - 16)


@pytest.mark.parametrize(
    ("length", "expected"),
    [(0, 10**6), (1, 10**6), (8 * 10**6, 10**6), (8 * 10**6 + 8, 2 * 10**6), (SECOND, 200 * 10**6),
     (60 * SECOND, 10 * SECOND), (8 * 3600 * SECOND, 3600 * SECOND), (100 * 3600 * SECOND, 13 * 3600 * SECOND)],
)  # fmt: skip
def test_marks_are_at_round_times(length: int, expected: int) -> None:
    assert tick(length) == expected


@given(st.text("ab\u6784", max_size=12), st.integers(1, 12))
def test_a_text_that_does_not_fit_ends_in_an_ellipsis(text: str, columns: int) -> None:
    found = fitted(text, columns)
    assert sum(2 if one == "\u6784" else 1 for one in found) <= columns
    assert found == text or (found.endswith("\u2026") and text.startswith(found[:-1]))
