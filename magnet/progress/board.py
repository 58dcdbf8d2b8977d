"""Lines that show a run: the summary, the board while it goes on. Pure: time and width are arguments."""

from magnet.progress.trace import Node, Trace, duration, mark, seconds


def summary(trace: Trace, now: int, width: int) -> list[str]:
    """The summary line and a line for each target, with its time at the right edge."""
    targets = [node.vertex for node in trace.targets]
    done = [vertex for vertex in targets if vertex.completed is not None]
    begun = min((vertex.started for vertex in targets if vertex.started is not None), default=now)
    ended = max((vertex.completed or 0 for vertex in done), default=now) if len(done) == len(targets) else now
    finished = " FINISHED" if len(done) == len(targets) else ""
    head = f"[+] Building {seconds(ended - begun)} ({len(done)}/{len(targets)}){finished}"
    return [head, *(_row(node, now, width) for node in trace.targets)]


def board(trace: Trace, now: int, width: int, height: int, tail: int = 4) -> list[str]:
    """The summary of a run that goes on, with the last lines of what runs; at most `height` lines."""
    head, *rows = summary(trace, now, width)
    shown = []
    for node, row in zip(trace.targets, rows, strict=True):
        last = node.tail(tail) if node.vertex.completed is None else []
        shown.append([row, *(f" => => {line}"[:width] for line in last)])
    # What has ended gives way first, the oldest of it; the counter still counts it.
    over = 1 + sum(map(len, shown)) - height
    for index, node in enumerate(trace.targets):
        if over > 0 and node.vertex.completed is not None:
            over -= len(shown[index])
            shown[index] = []
    return [head, *(line for block in shown for line in block)][:height]


def _row(node: Node, now: int, width: int) -> str:
    time = seconds(duration(node, now))
    room = width - len(time) - 1
    if room < 1:
        return time[:width]
    state = mark(node.vertex)
    return f"{_fitted(' '.join(filter(None, (' =>', state, node.vertex.name))), room)} {time}"


def _fitted(text: str, width: int) -> str:
    """The text in just so many columns of a terminal."""
    if text.isascii():
        return text.ljust(width) if len(text) <= width else f"{text[: width - 1]}…"
    from rich.cells import cell_len, set_cell_size  # few names have characters of another width than one

    return set_cell_size(text, width) if cell_len(text) <= width else f"{set_cell_size(text, width - 1)}…"
