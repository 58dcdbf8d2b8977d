"""What was seen of the files of a context, in the form in which it is kept and compared with the disk."""

import os
import stat
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice, starmap
from operator import attrgetter, eq
from typing import Literal, NamedTuple

from magnet.context import Entry, Walked
from magnet.digest import content_digest, tree_digest
from magnet.meter import Advance, Measure, unmeasured

MARGIN = 2_000_000_000
"""Nanoseconds that a file must be older than the look at it: the coarsest timestamps, FAT's, are of two seconds."""

Facts = tuple[int, ...]
"""Size, mtime, ctime, inode, device and mode."""

_facts_of: Callable[[os.stat_result], Facts] = attrgetter(
    "st_size", "st_mtime_ns", "st_ctime_ns", "st_ino", "st_dev", "st_mode"
)
_FACTS = struct.Struct("<qqqQQQ")
_FIRST = -(1 << 63)
"""A time, in nanoseconds, that `_FACTS` can just hold."""

_UNTRUSTED: Facts = (-1, 0, 0, 0, 0, 0)
"""Stands for facts that would prove nothing; no file has such a size."""

_TYPES = {"file": stat.S_IFREG, "dir": stat.S_IFDIR, "link": stat.S_IFLNK}
_KINDS: Mapping[int, Literal["file", "dir", "link"]] = {ord("f"): "file", ord("d"): "dir", ord("l"): "link"}
_DIGEST = 32
_MANY, _MUCH = 500, 1 << 13
"""From so many files of so many bytes each on, a second thread gains more than it costs.

With smaller files the two threads wait for each other: reading one takes less than handing over the interpreter.
"""

_BATCH = 64


class Snapshot(NamedTuple):
    """What was seen of a selection: the columns of a row.

    A list of names has a zero byte after each, a list of facts is as in `_FACTS`; a digest is hexadecimal, contents
    are not. All lists from `names` on have one item per entry, in the order of the folders, each of which has
    `counts` of them; only contents are those of the files. A folder is a source's path up to and with its last slash;
    the last one is empty, and has the entries that no source gives.
    """

    digest: bytes
    begun: bytes
    directories: bytes
    listed: bytes
    folders: bytes
    counts: bytes
    names: bytes
    facts: bytes
    kinds: bytes
    modes: bytes
    paths: bytes
    targets: bytes
    contents: bytes


def is_unchanged(snapshot: Snapshot) -> bool:
    """Whether all that was seen is still there, and as it was. False, too, if that cannot be known."""
    names, recorded = iter(_split(snapshot.names)), _FACTS.iter_unpack(snapshot.facts)
    try:
        listed = map(_facts_of, map(os.stat, _split(snapshot.directories)))
        if not all(map(eq, listed, _FACTS.iter_unpack(snapshot.listed))):
            return False
        for folder, count in _folders(snapshot):
            if not folder:  # the last one
                break
            with _looking_into(folder) as look:
                # Nothing of ours runs for a single file: map, eq and all are C.
                if not all(map(eq, map(_facts_of, map(look, islice(names, count))), recorded)):
                    return False
    except OSError:
        return False
    return True


@contextmanager
def _looking_into(folder: bytes) -> Iterator[Callable[[bytes], os.stat_result]]:
    directory = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield partial(os.stat, dir_fd=directory, follow_symlinks=False)
    finally:
        os.close(directory)


def merged(snapshots: Iterable[Snapshot]) -> Snapshot:
    """One that is unchanged if all of them are; it has no digest and no contents."""
    # Something that was seen twice, and not alike, is there twice: then it cannot be unchanged.
    directories: dict[tuple[bytes, bytes], None] = {}
    groups: dict[bytes, dict[tuple[bytes, bytes], None]] = {}
    for one in snapshots:
        directories |= dict.fromkeys(zip(_split(one.directories), _pieces(one.listed), strict=True))
        named = zip(_split(one.names), _pieces(one.facts), strict=True)
        for folder, count in _folders(one):
            groups.setdefault(folder, {}).update(dict.fromkeys(islice(named, count)))
    folders = dict(sorted(groups.items(), reverse=True))
    entries = [entry for group in folders.values() for entry in group]
    return Snapshot(
        *(b"", b"", _join(name for name, _ in directories), b"".join(facts for _, facts in directories)),
        _join(folders),
        struct.pack(f"<{len(folders)}Q", *map(len, folders.values())),
        _join(name for name, _ in entries),
        b"".join(facts for _, facts in entries),
        *(b"", b"", b"", b"", b""),
    )


def _pieces(facts: bytes) -> list[bytes]:
    return [facts[at : at + _FACTS.size] for at in range(0, len(facts), _FACTS.size)]


# Taking a snapshot


def take(walked: Walked, known: Sequence[Snapshot], begun: int, measure: Measure = unmeasured) -> Snapshot:
    """The snapshot of what was walked, by a walk that began at `begun` or later.

    A file is read if it is not in a known snapshot, the last of those that have it, just as it is now.
    """
    groups: dict[bytes, list[Entry]] = {}
    for entry in walked.entries:
        groups.setdefault(entry.source[: entry.source.rfind(b"/") + 1], []).append(entry)
    folders = dict(sorted(groups.items(), reverse=True))
    entries = [entry for group in folders.values() for entry in group]
    facts = [seen for folder, group in folders.items() for seen in _seen(folder, group, begun - MARGIN)]
    old: dict[bytes, tuple[Facts, bytes]] = {}
    for snapshot in known:
        if not folders.keys().isdisjoint(_split(snapshot.folders)):
            old.update(files_of(snapshot))
    contents = _contents(entries, facts, old, measure)
    return Snapshot(
        digest=tree_digest(entries, contents).encode(),
        begun=begun.to_bytes(8, "big"),
        directories=_join(walked.directories),
        listed=_pack(_listed(path, begun - MARGIN) for path in walked.directories),
        folders=_join(folders),
        counts=struct.pack(f"<{len(folders)}Q", *map(len, folders.values())),
        names=_join(entry.source[entry.source.rfind(b"/") + 1 :] for entry in entries),
        facts=_pack(facts),
        kinds="".join(entry.kind[0] for entry in entries).encode(),
        modes=struct.pack(f"<{len(entries)}H", *(entry.mode for entry in entries)),
        paths=_join(entry.path for entry in entries),
        targets=_join(entry.target for entry in entries),
        contents=b"".join(contents[entry.source] for entry in entries if entry.kind == "file"),
    )


def _seen(folder: bytes, entries: Sequence[Entry], before: int) -> list[Facts]:
    start = len(folder)
    try:
        with _looking_into(folder) as look:
            seen = list(map(_facts_of, map(look, [entry.source[start:] for entry in entries])))
    except OSError:  # no source, or one was removed since the walk
        return [_UNTRUSTED for _ in entries]
    return [_trusted(facts, entry.kind, before) for facts, entry in zip(seen, entries, strict=True)]


def _listed(directory: bytes, before: int) -> Facts:
    try:
        return _trusted(_facts_of(os.stat(directory)), "dir", before)
    except OSError:
        return _UNTRUSTED


def _trusted(facts: Facts, kind: str, before: int) -> Facts:
    """The facts, if nothing can change without changing them.

    What changed within `MARGIN` of the look could change again and get the same times.
    """
    _, mtime, ctime, _, _, mode = facts
    is_old = _FIRST < mtime < before and ctime < before
    return facts if is_old and stat.S_IFMT(mode) == _TYPES[kind] else _UNTRUSTED


def _contents(
    entries: Sequence[Entry], facts: Sequence[Facts], old: Mapping[bytes, tuple[Facts, bytes]], measure: Measure
) -> dict[bytes, bytes]:
    """The digest of each file's content by its source: an old one where it can be trusted."""
    contents: dict[bytes, bytes] = {}
    unknown: dict[bytes, int] = {}
    for entry, seen in zip(entries, facts, strict=True):
        if entry.kind == "file":
            then, content = old.get(entry.source, (_UNTRUSTED, b""))
            if seen == then != _UNTRUSTED:
                contents[entry.source] = content
            else:
                unknown[entry.source] = size_of(entry.source, seen)
    if not unknown:
        return contents
    size = sum(unknown.values())
    hashed = _hash_by_two if len(unknown) >= _MANY and size >= _MUCH * len(unknown) else _hash
    with measure("hashing the context", size) as advance:
        return contents | dict(zip(unknown, hashed(list(unknown), advance), strict=True))


def size_of(source: bytes, facts: Facts) -> int:
    """The bytes of a file: as it was seen, or, where that proves nothing, as it is."""
    if facts != _UNTRUSTED:
        return facts[0]
    try:
        return os.stat(source).st_size
    except OSError:
        return 0


def _hash(sources: Sequence[bytes], advance: Advance) -> list[bytes]:
    return [content_digest(source, advance) for source in sources]


def _hash_by_two(sources: Sequence[bytes], advance: Advance) -> list[bytes]:
    from concurrent.futures import ThreadPoolExecutor  # costs 10 ms

    batches = (sources[start : start + _BATCH] for start in range(0, len(sources), _BATCH))
    with ThreadPoolExecutor(2) as pool:
        return [digest for digests in pool.map(partial(_hash, advance=advance), batches) for digest in digests]


# Reading a snapshot


def entries_of(snapshot: Snapshot) -> Iterator[Entry]:
    """The entries, in no order."""
    modes = struct.unpack(f"<{len(snapshot.kinds)}H", snapshot.modes)
    kinds = map(_KINDS.__getitem__, snapshot.kinds)
    return map(Entry, _split(snapshot.paths), kinds, modes, _sources(snapshot), _split(snapshot.targets))


def files_of(snapshot: Snapshot) -> Iterator[tuple[bytes, tuple[Facts, bytes]]]:
    """For each source that is a file, its facts, and the digest of its content."""
    seen = zip(_sources(snapshot), _FACTS.iter_unpack(snapshot.facts), snapshot.kinds, strict=True)
    files = ((source, facts) for source, facts, kind in seen if kind == ord("f"))
    for start, (source, facts) in zip(range(0, len(snapshot.contents), _DIGEST), files, strict=True):
        yield source, (facts, snapshot.contents[start : start + _DIGEST])


def _sources(snapshot: Snapshot) -> Iterator[bytes]:
    names = iter(_split(snapshot.names))
    return (folder + name for folder, count in _folders(snapshot) for name in islice(names, count))


def _folders(snapshot: Snapshot) -> Iterator[tuple[bytes, int]]:
    folders = _split(snapshot.folders)
    return zip(folders, struct.unpack(f"<{len(folders)}Q", snapshot.counts), strict=True)


def _join(names: Iterable[bytes]) -> bytes:
    return b"\0".join([*names, b""])


def _split(names: bytes) -> list[bytes]:
    return names.split(b"\0")[:-1]


def _pack(facts: Iterable[Facts]) -> bytes:
    return b"".join(starmap(_FACTS.pack, facts))
