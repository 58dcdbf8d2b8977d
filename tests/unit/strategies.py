"""Any run, as events, for property tests of displays."""

from hypothesis import strategies as st

from magnet.events import SolveStatus, Vertex, VertexLog, VertexStatus, VertexWarning
from tests.unit.script import SECOND, START

DIGESTS = "abcdefgh"

times = st.integers(0, 400).map(lambda tenths: START + tenths * SECOND // 10)

_wide = st.sampled_from(
    [
        "构建",
        "e\u0301te\u0301",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "❤️",
        "a\nb",
        "\tx",
        "\x1b[31mred",
        "\udcff",
    ]
)
names = st.lists(st.one_of(st.text(max_size=30), _wide), min_size=1, max_size=4).map("".join)

_parents = {digest: st.sampled_from(["", *DIGESTS[:index]]) for index, digest in enumerate(DIGESTS)}


@st.composite
def vertexes(draw: st.DrawFn) -> Vertex:
    """A target or a step, of which any may be known before and any may be its parent."""
    digest = draw(st.sampled_from(DIGESTS))
    started = draw(st.one_of(st.none(), times))
    completed = draw(st.one_of(st.none(), times)) if started is not None else None
    error = draw(st.sampled_from(["", "", "exit code 1"])) if completed is not None else ""
    return Vertex(
        digest,
        draw(names),
        started=started,
        completed=completed,
        cached=draw(st.booleans()),
        error=error,
        canceled=bool(error) and draw(st.booleans()),
        parent=draw(_parents[digest]),
    )


_digests = st.sampled_from(DIGESTS)
_sizes = st.integers(0, 10**13)
_output = st.one_of(st.binary(max_size=60), names.map(lambda name: f"{name}\n".encode(errors="surrogateescape") * 3))

statuses = st.builds(
    VertexStatus,
    names,
    _digests,
    st.just(""),
    _sizes,
    _sizes,
    times,
    st.one_of(st.none(), times),
    st.one_of(st.none(), times),
)
logs = st.builds(VertexLog, _digests, st.sampled_from([1, 2]), _output, times)
warnings = st.builds(VertexWarning, _digests, names)

events = st.one_of(
    vertexes().map(lambda one: SolveStatus(vertexes=(one,))),
    statuses.map(lambda one: SolveStatus(statuses=(one,))),
    logs.map(lambda one: SolveStatus(logs=(one,))),
    warnings.map(lambda one: SolveStatus(warnings=(one,))),
)
"""One event of a run."""

scripts = st.lists(events, max_size=40)
"""Events in any order."""
