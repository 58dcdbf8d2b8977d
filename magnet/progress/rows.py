"""Rows that show a run: how the line of a vertex, or of what belongs to one, looks. Pure: time and width are arguments.

A row is never wider than it may be, and never two: it counts the columns of wide characters, and has no control ones.
"""

from collections.abc import Mapping, Sequence

from magnet.events import VertexStatus, VertexWarning
from magnet.progress.trace import Node, duration, mark, plain_lines, seconds
from magnet.values import frozen

COLOURS: Mapping[str, str] = {"done": "34", "error": "31", "canceled": "33", "warning": "33", "output": "2"}
"""The parameters of SGR by style: the colours of BuildKit."""

_LEAST_NAME = 20
"""Columns of a part's name that are kept before numbers are shown beside it."""

_LEAST_BAR, _WIDEST_BAR = 6, 20

_UNITS = ("kB", "MB", "GB", "TB", "PB")


@frozen
class Row:
    """A line without an end, and its style: one of COLOURS, or none."""

    text: str
    style: str = ""


def painted(row: Row) -> str:
    """The text of a row, with its colour."""
    return f"\x1b[{COLOURS[row.style]}m{row.text}\x1b[0m" if row.style else row.text


def vertex_row(node: Node, depth: int, now: int, width: int) -> Row:
    """A vertex, what became of it, and its time at the right edge; `depth` counts the vertexes that it is a part of."""
    vertex = node.vertex
    why = f"({shown(vertex.skipped)})" if vertex.skipped else ""
    name = " ".join(filter(None, (mark(vertex), shown(vertex.name), why)))
    style = "" if vertex.completed is None else "canceled" if vertex.canceled else "error" if vertex.error else "done"
    return Row(timed(f"{_indent(depth)}{name}", seconds(duration(node, now)), width), style)


def status_row(status: VertexStatus, depth: int, now: int, width: int) -> Row:
    """A part of a vertex's work: how much of it is done, a bar and the time that is left where that can be told."""
    begun = status.started or status.timestamp or now
    time = seconds((status.completed or now) - begun)
    text = f"{_indent(depth)}{shown(status.id)}"
    room = width - len(time) - 1
    numbers = _numbers(status, now - begun, room - min(_columns(text), len(_indent(depth)) + _LEAST_NAME))
    if numbers:
        text = f"{_fitted(text, min(_columns(text), room - len(numbers) - 1))} {numbers}"
    return Row(timed(text, time, width), "" if status.completed is None else "done")


def warning_row(warning: VertexWarning, depth: int, width: int) -> Row:
    """What a vertex warns of."""
    return Row(_cut(f"{_indent(depth)}WARN: {shown(warning.short)}", width), "warning")


def output_row(line: str, depth: int, width: int) -> Row:
    """A line that a vertex printed."""
    return Row(_cut(f"{_indent(depth)}# {_plain(line.expandtabs())}", width), "output")


def size(count: int) -> str:
    """A number of bytes as docker shows it.

    >>> size(999), size(12_500_000), size(999_960)
    ('999B', '12.5MB', '1.0MB')
    """
    if count < 1000:
        return f"{count}B"
    amount, unit = count / 1000, 0
    while amount >= 999.95 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.1f}{_UNITS[unit]}"


def time_left(nanoseconds: int) -> str:
    """An estimate, in a unit that does not pretend to more than it knows.

    >>> time_left(300_000_000), time_left(61 * 10**9), time_left(3_700 * 10**9)
    ('1s left', '1m01s left', '1h01m left')
    """
    whole = -(-nanoseconds // 10**9)
    if whole < 60:
        return f"{whole}s left"
    return f"{whole // 60}m{whole % 60:02}s left" if whole < 3600 else f"{whole // 3600}h{whole // 60 % 60:02}m left"


def _numbers(status: VertexStatus, taken: int, room: int) -> str:
    """What stands beside the name of a part: as much of it as there is room for, a blank before it included."""
    sizes = [size(one) for one in (status.current, status.total) if one]
    if status.total and not status.current:
        sizes.insert(0, size(0))
    amount = " / ".join(sizes)
    if status.completed is None and status.total:
        least = _LEAST_BAR + 3
        for text in _estimates(status, amount, taken):
            if len(text) + 1 + least <= room:
                return f"{_bar(status, min(room - len(text) - 4, _WIDEST_BAR))} {text}"
    return amount if len(amount) + 1 <= room else ""


def _estimates(status: VertexStatus, amount: str, taken: int) -> Sequence[str]:
    """The amount with the rate and the time left, then with less."""
    if not status.current or taken <= 0:
        return [amount]
    rate = f"{size(status.current * 10**9 // taken)}/s"
    left = time_left(max(status.total - status.current, 0) * taken // status.current)
    return [f"{amount} {rate} {left}", f"{amount} {left}", amount]


def _bar(status: VertexStatus, width: int) -> str:
    done = "=" * (status.current * width // status.total)
    return f"[{f'{done}>'[:width]:<{width}}]"


def _indent(depth: int) -> str:
    return " " + "=> " * (depth + 1)


def timed(text: str, time: str, width: int) -> str:
    """A line with the time at its right edge."""
    room = width - len(time) - 1
    return f"{_fitted(text, room)} {time}" if room > 0 else time[:width]


def shown(name: str) -> str:
    """A name in one line, without what a terminal would not show as a character."""
    if not name.isprintable():
        name = " ".join(plain_lines(name.encode(errors="surrogateescape"))).expandtabs(1)
    return _plain(name)


def _plain(text: str) -> str:
    # Terminals differ in what joiners and selectors make of the characters around them.
    return text if text.isascii() else text.replace("\u200d", "").replace("\ufe0f", "")


def _columns(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # costs 20 ms, and few names have characters of another width than one

    return cell_len(text)


def _cut(text: str, width: int) -> str:
    return text if _columns(text) <= width else _fitted(text, width)


def _fitted(text: str, width: int) -> str:
    """The text in just so many columns of a terminal, at least one."""
    if text.isascii():
        return text.ljust(width) if len(text) <= width else f"{text[: width - 1]}…"
    from rich.cells import cell_len, set_cell_size  # see above

    return set_cell_size(text, width) if cell_len(text) <= width else f"{set_cell_size(text, width - 1)}…"
