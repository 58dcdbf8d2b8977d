"""What was seen of many targets together, of which nothing changed: the next look costs a stat per file and no more.

A file holds, for one set of calls, everything that was seen of their inputs and outputs, and what each call came to. If
nothing of it has changed, each would be found done. It is a cache and nothing more, as the index of files is.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from json import dumps, loads
from pathlib import Path

from blake3 import blake3

from magnet.index import Tree, seen
from magnet.snapshot import Snapshot, is_unchanged
from magnet.values import frozen

_FORMAT = b"magnet graph 2\0"
_KEPT = 20
"""How many sets of calls are remembered: as many as there are command lines in use."""

_LENGTH = 8
_SEAL = 32


@frozen
class Done:
    """A call of which nothing changed: its result for who needs it, its log's digest, what it returned and took."""

    result: str
    log: str
    value: str
    took: int


def recall(path: Path, name: str) -> Mapping[str, Done]:
    """What each call came to, by the name under which it was remembered; nothing if anything at all has changed."""
    try:
        content = path.read_bytes()
    except OSError:
        return {}
    body = content[_SEAL:]
    if content[:_SEAL] != blake3(_FORMAT + body).digest():
        return {}
    known, rows, *columns = _columns(body)
    if known != name.encode() or not is_unchanged(Snapshot(*columns)):
        return {}
    return {call: Done(*fields) for call, *fields in loads(rows)}


def remember(path: Path, name: str, done: Mapping[str, Done], trees: Iterable[Tree]) -> None:
    """Remember what calls came to, and all that was seen of their inputs and outputs.

    Files that are too young to be trusted are as good as changed: nothing is remembered then.
    """
    snapshot = seen(trees)
    if not is_unchanged(snapshot):
        return
    rows = dumps([(call, one.result, one.log, one.value, one.took) for call, one in done.items()])
    columns = (name.encode(), rows.encode(), *snapshot)
    body = b"".join(len(column).to_bytes(_LENGTH, "big") + column for column in columns)
    new = path.with_name(f".{path.name}-{os.getpid()}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(blake3(_FORMAT + body).digest() + body)
        new.replace(path)
        for old in sorted(path.parent.iterdir(), key=os.path.getmtime)[:-_KEPT]:
            old.unlink()


def _columns(body: bytes) -> list[bytes]:
    columns, at = [], 0
    while at < len(body):
        size = int.from_bytes(body[at : at + _LENGTH], "big")
        at += _LENGTH + size
        columns.append(body[at - size : at])
    return columns
