"""A picture of a run: when its targets and steps ran, as a self-contained SVG for a page or a pull request. Pure.

It has no script and no font of its own, and suits light and dark pages. A bar is pale where a target waited for others.
"""

from collections.abc import Iterator, Sequence
from unicodedata import east_asian_width

from magnet.progress.spans import Span, parts, span, waits
from magnet.progress.trace import Node, Trace, mark, seconds
from magnet.values import frozen

WIDTH = 1000
GUTTER = 320
"""Where the names end and the bars begin."""

MOST_ROWS = 300
"""How many targets and steps are shown; of more, those that took longest."""

_MARGIN = 16
_ROW = 20
_TOP = 72
_CHARACTER = 6.7
"""How wide a character of the font is at most, of those that take one column."""

_TICKS = (
    *(unit * factor for unit in (1, 10, 100, 1000) for factor in (1, 2, 5)),
    *(count * 1000 for count in (10, 15, 30, 60, 120, 300, 600, 900, 1800)),
)
"""Milliseconds between two marks of the scale; then as many hours as are needed."""

_MOST_TICKS = 8
_HOUR = 3600 * 10**9
_LEGEND = {"done": "done", "cached": "cached", "failed": "failed", "canceled": "canceled", "done wait": "waiting"}
"""What the colours mean, by the classes that have them."""

_STYLE = """\
text { font: 11px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1f2328 }
.title { font-size: 14px; font-weight: bold }
.target { font-weight: bold }
.scale { fill: #59636e }
.page { fill: #ffffff }
.line { stroke: #d1d9e0 }
.done { fill: #54aeff }
.cached { fill: #6fdd8b }
.failed { fill: #ff8182 }
.canceled { fill: #d4a72c }
.wait { opacity: 0.35 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .scale { fill: #9198a1 }
  .page { fill: #0d1117 }
  .line { stroke: #3d444d }
  .done { fill: #1f6feb }
  .cached { fill: #238636 }
  .failed { fill: #da3633 }
  .canceled { fill: #9e6a03 }
}
"""


@frozen
class _Row:
    node: Node
    depth: int
    begin: int
    end: int
    waits: Sequence[Span] = ()


def timeline(trace: Trace, now: int) -> str:
    """The picture; every target has a row, and every step and every target in it one below it."""
    rows, left_out = _chosen(list(_rows(trace, now)))
    begin = min((row.begin for row in rows), default=now)
    end = max((row.end for row in rows), default=now)
    scale = (WIDTH - GUTTER - _MARGIN) / max(end - begin, 1)
    bottom = _TOP + _ROW * len(rows)
    height = bottom + _MARGIN + (_ROW if left_out else 0)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">',
        f"<style>\n{_STYLE}</style>",
        f'<rect class="page" width="{WIDTH}" height="{height}"/>',
        _label(_MARGIN, 26, _title(trace, end - begin), WIDTH - 2 * _MARGIN, "title"),
        *_legend(),
        *_scale(end - begin, scale, bottom),
    ]
    for number, row in enumerate(rows):
        lines += _drawn(row, _TOP + _ROW * number, begin, scale)
    if left_out:
        text = f"{left_out} more that took less time are left out"
        lines.append(_label(_MARGIN, bottom + 14, text, WIDTH - 2 * _MARGIN, "scale"))
    return "\n".join((*lines, "</svg>\n"))


def tick(length: int) -> int:
    """The nanoseconds between two marks of a scale of that length.

    >>> tick(2_300_000_000), tick(3600 * 10**9)
    (500000000, 600000000000)
    """
    least = length // _MOST_TICKS
    return next((one * 10**6 for one in _TICKS if one * 10**6 >= least), -(-least // _HOUR) * _HOUR)


def _rows(trace: Trace, now: int) -> Iterator[_Row]:
    for target in trace.targets:
        if target.vertex.completed is None and target.vertex.started is None:
            continue
        yield _Row(target, 0, *span(target, now), waits(trace, target, now))
        for one in parts(target):
            waited = waits(trace, one, now) if one.vertex.is_child else ()
            yield _Row(one, _depth(trace, one), *span(one, now), waited)


def _depth(trace: Trace, node: Node) -> int:
    depth = 0
    while parent := trace.nodes.get(node.vertex.parent):
        node, depth = parent, depth + 1
    return depth


def _chosen(rows: Sequence[_Row]) -> tuple[Sequence[_Row], int]:
    """The rows that are shown, and how many are not; targets come before steps, and the longest first."""
    order = sorted(
        range(len(rows)), key=lambda index: (not _is_target(rows[index]), rows[index].begin - rows[index].end)
    )
    kept = sorted(order[:MOST_ROWS])
    return [rows[index] for index in kept], len(rows) - len(kept)


def _is_target(row: _Row) -> bool:
    return not row.depth or row.node.vertex.is_child


def _title(trace: Trace, length: int) -> str:
    vertexes = [node.vertex for node, _ in trace.all_targets]
    counts = {
        "cached": sum(one.cached for one in vertexes),
        "failed": len(trace.failed),
        "canceled": sum(one.canceled for one in vertexes),
    }
    targets = f"{len(vertexes)} target{'' if len(vertexes) == 1 else 's'}"
    return ", ".join((f"{seconds(length)}: {targets}", *(f"{count} {what}" for what, count in counts.items() if count)))


def _legend() -> Iterator[str]:
    x = _MARGIN
    for kind, text in _LEGEND.items():
        yield f'<rect class="{kind}" x="{x}" y="38" width="10" height="10" rx="2"/>'
        yield _label(x + 15, 47, text, WIDTH, "scale")
        x += 15 + round((len(text) + 2) * _CHARACTER)


def _scale(length: int, scale: float, bottom: int) -> Iterator[str]:
    step = tick(length)
    for at in range(0, length + 1, step):
        x = GUTTER + at * scale
        yield f'<path class="line" d="M{x:.1f} {_TOP - 6}V{bottom}"/>'
        text = _time(at, step)
        yield _label(min(x, WIDTH - _MARGIN - len(text) * _CHARACTER), _TOP - 10, text, WIDTH, "scale")


def _time(at: int, step: int) -> str:
    """A time at a mark of the scale.

    >>> _time(1_500_000_000, 500_000_000), _time(90 * 10**9, 30 * 10**9), _time(0, 10**9)
    ('1.5s', '1m30s', '0s')
    """
    if step < 10**9:
        return f"{at / 1e9:.3f}".rstrip("0").rstrip(".") + "s"
    minutes, rest = divmod(at // 10**9, 60)
    return f"{minutes}m{f'{rest}s' if rest else ''}" if minutes else f"{rest}s"


def _drawn(row: _Row, y: int, begin: int, scale: float) -> Iterator[str]:
    """A row: its name, its bar, and its time in the bar, or beside it where that has no room."""
    vertex = row.node.vertex
    kind = "canceled" if vertex.canceled else "failed" if vertex.error else "cached" if vertex.cached else "done"
    time = " ".join(filter(None, (seconds(row.end - row.begin), mark(vertex))))
    x, width = GUTTER + (row.begin - begin) * scale, max((row.end - row.begin) * scale, 1)
    indent = 14 * row.depth
    yield f"<g><title>{_xml(f'{vertex.name}: {time}')}</title>"
    style = "target" if _is_target(row) else "step"
    yield _label(_MARGIN + indent, y + 14, vertex.name, GUTTER - 2 * _MARGIN - indent, style)
    for at, stop, waiting in _parts(row):
        left, part = GUTTER + (at - begin) * scale, (stop - at) * scale
        look = f"{kind} wait" if waiting else kind
        yield f'<rect class="{look}" x="{left:.1f}" y="{y + 3}" width="{max(part, 1):.1f}" height="14"/>'
    yield _label(_place(x, width, len(time) * _CHARACTER), y + 14, time, WIDTH, "time")
    yield "</g>"


def _parts(row: _Row) -> Iterator[tuple[int, int, bool]]:
    """The parts of a bar, and whether it was waiting in them."""
    at = row.begin
    for start, stop in row.waits:
        if at < start:
            yield at, start, False
        yield start, stop, True
        at = stop
    if at < row.end or not row.waits:
        yield at, row.end, False


def _place(x: float, width: float, text: float) -> float:
    """Where a text begins that belongs to a bar: in it, right of it, or left of it."""
    if text + 8 <= width:
        return x + 4
    return x + width + 4 if x + width + 4 + text <= WIDTH else x - 4 - text


def _label(x: float, y: int, text: str, room: float, style: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y}">{_xml(fitted(text, int(room / _CHARACTER)))}</text>'


def fitted(text: str, columns: int) -> str:
    """The text, with its end left out where it would take more columns.

    >>> fitted("[2/3] RUN make all", 11), fitted("make", 4)
    ('[2/3] RUN …', 'make')
    """
    if sum(map(_columns, text)) <= columns:
        return text
    room, kept = columns - 1, []
    for character in text:
        room -= _columns(character)
        if room < 0:
            break
        kept.append(character)
    return "".join((*kept, "…"))


def _columns(character: str) -> int:
    return 2 if east_asian_width(character) in "WF" else 1


def _xml(text: str) -> str:
    """Text as XML has it, in which most control characters, and half of a surrogate pair, cannot be."""
    clean = "".join(character if character.isprintable() else "\ufffd" for character in text)
    return clean.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
