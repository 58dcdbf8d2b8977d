"""The commands that are not about a target: `magnet cache list` and `magnet cache prune`."""

import json
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from magnet import keys, parameters, project, records
from magnet.backends import check_name, choose
from magnet.backends.base import Backend
from magnet.backends.containers import human_size
from magnet.cache import KEPT, REPOSITORY
from magnet.downloads import upkeep
from magnet.downloads.store import Store, directory
from magnet.durations import UNITS, duration
from magnet.errors import UsageError, did_you_mean
from magnet.keys import Keeper, StoredKey
from magnet.values import frozen
from magnet.workspace import BUILD_DIRECTORY, RemoveContainers, Workspace

_KNOWN = {
    "builds": "records of builds",
    "caches": "caches of toolchains and targets",
    "files.sqlite": "file index",
    "graphs": "records of graphs of targets",
    "locks": "locks",
    "readings": "readings of Dockerfiles",
    "objects": "outputs of targets",
    "runs": "directories of runs",
    "targets.sqlite": "records of targets",
}
"""What lies in the cache of a project, by its name there; anything else is called by its name."""

_HELP = f"""See and free what magnet's cache holds.

A build that is done is an image in the engine's own store, under the name {REPOSITORY}:KEY, in which KEY is a digest of
all that went into it. As long as the name is there, the build is not done again. Each build keeps the {KEPT} keys that
it used last, so that switching branches finds both done. The keys of builds that are gone from the magnetfile, and
those of other projects and checkouts, stay until `prune --all`.

The engine is chosen as for targets: `magnet --backend podman cache list`. Docker has a store of its own; podman and
buildah share one for each user. The project is that of the nearest magnetfile, else the working directory; -C and -f
before `cache` say otherwise.

Files that targets downloaded are kept for all projects of a user; `--downloads` is about these alone, and needs no
engine.

What is removed is built, or downloaded, again when it is wanted again. Nothing else is lost.
"""

_LIST_HELP = """List the keys in the engine's store, the newest first, and what lies in the project's `_build`.

For each key: its first twelve digits, its age, the size of its image, and the build of this project that keeps it,
which is a target and its Dockerfile. `latest` is the key that the build made or found done last, of those that this
engine holds, and `older` one before it; keys that no build of this project keeps are `elsewhere`: they are those of
other projects and checkouts, or of builds whose record is gone.

Sizes are the engine's, which counts the layers that images share for each of them: the total is the most that the
images take.

Of files that were downloaded, it shows the first digits of the BLAKE3 digest, how long ago each was used last, what it
takes on disk together with what it was unpacked to, and the URLs that gave it last; `older` is one that its URL does
not give any more.
"""

_PRUNE_HELP = """Remove keys that are superseded, and what killed runs left behind.

Without options, each build of this project keeps its latest key and loses the older ones, and each target with inputs
or outputs its latest result; keys of other projects stay. Directories, locks, processes and containers of runs of this
project that were killed are removed, too. Images of other names, the engine's layer cache, logs and the file index are
not touched. Of downloads, those go that their URL does not give any more, and parts of files that did not come whole;
with --all, all of them.

To remove a key is to remove one name of an image. The image goes with it if it has no other name; an image that has a
tag of yours stays as it is. A key is left, and reported, while a container uses its image, or while a running build of
this project is about to make it.

How much space that frees, no engine tells: what is reported is the size of the images that are gone, some layers of
which other images may still have.

\b
Examples:
  magnet cache prune                     all but the latest key of each build
  magnet cache prune --keep 2            all but the last two
  magnet cache prune --older-than 2w     the superseded ones of more than two weeks
  magnet cache prune --all               every key in this engine, of any project, and all downloads
  magnet cache prune --downloads --all --older-than 30d
                                         downloads that were not used for a month
  magnet --backend podman cache prune    in podman's store
"""


@frozen
class Given:
    """What the command line says before a command's name, as far as it means something to it.

    `root` is the project's directory; `backend` the name of an engine that was asked for by option or environment.
    """

    root: Path
    remove_containers: RemoveContainers
    backend: str | None = None
    dry_run: bool = False
    as_json: bool = False
    environ: Mapping[str, str] = {}


class _Duration(click.ParamType[int]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if isinstance(value, int) else duration(value)


class _Group(click.Group):
    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args[0] not in self.commands:
            hint = did_you_mean(args[0], self.commands) or f"`{ctx.command_path} --help` shows what there is"
            raise UsageError(f"`{ctx.command_path}` has no command `{args[0]}`", hint=hint)
        return super().resolve_command(ctx, args)


def run(words: Sequence[str], given: Given) -> int:
    """Do what the words say, the first of which is `cache`, and return the exit code."""
    group = _cache_group(given)
    parameters.invoke(group, words)
    return 0


def age(seconds: float) -> str:
    """A duration in the largest unit that it fills.

    >>> age(5), age(7199), age(3 * 24 * 3600)
    ('5s', '1h', '3d')
    """
    unit = next((unit for unit in "dhm" if seconds >= UNITS[unit]), "s")
    return f"{max(0, int(seconds)) // UNITS[unit]}{unit}"


def make_command() -> click.Group:
    """The `cache` command, for its help and its options: of no project."""
    return _cache_group(Given(root=Path(), remove_containers=lambda _backend, _run: None))


def _cache_group(given: Given) -> click.Group:
    settings = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

    def show_help() -> None:
        context = click.get_current_context()
        if context.invoked_subcommand is None:
            print(context.get_help())

    return _Group(
        "cache",
        help=_HELP,
        callback=show_help,
        invoke_without_command=True,
        context_settings=settings,
        commands=[
            click.Command(
                "list",
                help=_LIST_HELP,
                short_help="List the keys and what lies in _build, with sizes.",
                params=[
                    click.Option(["--json", "as_json"], is_flag=True, help="Print it as JSON, with whole keys."),
                    _DOWNLOADS,
                ],
                callback=lambda as_json, downloads: _list(
                    None if downloads else _Place(given), _store(given), as_json=as_json or given.as_json
                ),
            ),
            click.Command(
                "prune",
                help=_PRUNE_HELP,
                short_help="Remove superseded keys, and what killed runs left.",
                params=_prune_options(),
                callback=lambda **options: _prune(given, **options),
            ),
        ],
    )


_DOWNLOADS = click.Option(["--downloads"], is_flag=True, help="Only what was downloaded.")


def _prune_options() -> list[click.Parameter]:
    return [
        _DOWNLOADS,
        click.Option(
            ["--all", "every"],
            is_flag=True,
            help="Remove all keys in this engine's store, of this project and of others, this project's records "
            "of builds and results of targets, and all downloads. All of it is done anew when it is wanted again.",
        ),
        click.Option(
            ["--older-than"],
            type=_Duration(),
            metavar="AGE",
            help="Of these, remove only what was made longer ago, as the image of a key, or used, as a download: 30m, "
            "12h, 7d, 2w.",
        ),
        click.Option(
            ["--keep"],
            type=click.IntRange(min=0),
            metavar="N",
            help="Keep the last N keys of each build, and results of each target.  [default: 1]",
        ),
        click.Option(["-n", "--dry-run"], is_flag=True, help="Show what would be removed, and remove nothing."),
    ]


class _Place:
    """The project and the engine that a command is about; there is no trace of the command in either."""

    def __init__(self, given: Given) -> None:
        stored = project.read_settings(given.root)
        name = given.backend or stored.backend
        if name:
            check_name(name)
        self.build_directory = given.root / BUILD_DIRECTORY
        self.cache = self.build_directory / "magnet" / project.describe(given.root, stored.name).name
        self.backend: Backend = choose(name)
        self.workspace = Workspace(self.cache, "")
        self.remove_containers = given.remove_containers


def _store(given: Given) -> Store:
    return Store(directory(given.environ))


def _list(place: _Place | None, store: Store, *, as_json: bool) -> None:
    downloads = upkeep.kept(store)
    if as_json:
        record = _place_record(place) if place else {}
        json.dump({**record, "downloads": list(map(_download_record, downloads))}, sys.stdout, indent=2)
        print()
        return
    if place:
        _list_place(place)
    if downloads or not place:
        print(f"{chr(10) if place else ''}Downloads in {store.directory}:")
        _print_table(_download_rows(downloads))
        size = human_size(sum(one.size for one in downloads))
        print(f"  {_count(len(downloads), 'file')}, {size}")


def _place_record(place: _Place) -> dict[str, Any]:
    found = keys.stored(place.backend, place.cache)
    keys_found = list(map(_as_record, found))
    return {"engine": str(place.backend.engine), "keys": keys_found, "disk": list(_on_disk(place))}


def _list_place(place: _Place) -> None:
    found = keys.stored(place.backend, place.cache)
    disk = list(_on_disk(place))
    print(f"Keys in {place.backend.engine}:")
    _print_table(_rows(found))
    images = len({key.image for key in found})
    print(f"  {_count(len(found), 'key')}, {_count(images, 'image')}, {human_size(keys.total_size(found))}")
    if disk:
        print(f"\nIn {os.path.relpath(place.build_directory)}:")
        _print_table([(one["what"], human_size(one["size"]), one["path"]) for one in disk])
        print(f"  {human_size(sum(one['size'] for one in disk))}")


def _prune(
    given: Given, *, downloads: bool, every: bool, older_than: int | None, keep: int | None, dry_run: bool
) -> None:
    if every and keep is not None:
        raise UsageError("--all and --keep cannot be had together", hint="leave out one of them")
    if given.as_json:
        raise UsageError("--json goes with `magnet cache list`", hint="leave it out")
    if downloads and keep is not None:
        raise UsageError("--keep is not about downloads", hint="leave out one of --keep and --downloads")
    since = None if older_than is None else time.time() - older_than
    if downloads:
        if not _prune_downloads(_store(given), since, every=every, dry_run=dry_run or given.dry_run):
            print("There is nothing to remove.")
        return
    place = _Place(given)
    kept = 0 if every else 1 if keep is None else keep
    before = records.END_OF_TIME if older_than is None else time.time_ns() - older_than * 10**9
    found = keys.stored(place.backend, place.cache)
    chosen = keys.older(found if every else keys.superseded(found, kept), before / 10**9)
    is_dry = dry_run or given.dry_run
    parts = [
        _prune_runs(place, dry_run=is_dry),
        _prune_targets(place, kept, before, dry_run=is_dry),
        _prune_downloads(_store(given), since, every=every, dry_run=is_dry),
        _show_keys(place, chosen) if is_dry else _prune_keys(place, chosen, forget=every and older_than is None),
    ]
    if not any(parts):
        print("There is nothing to remove.")


def _prune_runs(place: _Place, *, dry_run: bool) -> bool:
    """Remove what killed runs left, and say so; whether there was anything."""
    dead = place.workspace.dead_runs()
    if not dry_run:
        place.workspace.sweep(place.remove_containers)
        keys.remove_dead_locks(place.cache)
    if dead:
        print(f"{_removed(dry_run)}: what {_count(len(dead), 'killed run')} left.")
    return bool(dead)


def _prune_targets(place: _Place, keep: int, before: int, *, dry_run: bool) -> bool:
    """Remove what is kept of targets with inputs and outputs, and say so; whether there was anything."""
    size = records.size(place.cache)
    count = records.prune(place.cache, keep=keep, before=before, dry_run=dry_run)
    if count:
        freed = "" if dry_run else f": {human_size(max(0, size - records.size(place.cache)))}"
        print(f"{_removed(dry_run)}: {_count(count, 'result')} of targets{freed}.")
    return count > 0


def _prune_downloads(store: Store, before: float | None, *, every: bool, dry_run: bool) -> bool:
    """Remove what was downloaded and is not wanted any more, and say so; whether there was anything."""
    files, parts = upkeep.kept(store), upkeep.begun(store)
    if not every:
        files = upkeep.superseded(files)
    if before is not None:
        files = tuple(one for one in files if one.used < before)
        parts = tuple(one for one in parts if one.used < before)
    if not dry_run:
        upkeep.remove(store, files, parts)
        keys.remove_dead_locks(store.directory)
    if files:
        print(f"{_removed(dry_run)}: {_count(len(files), 'download')}: {human_size(sum(one.size for one in files))}.")
    if parts:
        size = human_size(sum(one.size for one in parts))
        print(f"{_removed(dry_run)}: {_count(len(parts), 'part')} of downloads: {size}.")
    return bool(files or parts)


def _show_keys(place: _Place, chosen: Sequence[StoredKey]) -> bool:
    """Print the keys that would be removed; whether there are any."""
    _report("To be removed from", place, chosen)
    return bool(chosen)


def _prune_keys(place: _Place, chosen: Sequence[StoredKey], *, forget: bool) -> bool:
    """Remove keys, and print what became of them; whether there were any."""
    pruned = keys.remove(place.backend, place.cache, chosen)
    left = [key for key, _ in pruned.left]
    if forget:
        keys.forget(place.cache, left)
    _report("Removed from", place, pruned.removed)
    _report("Left in", place, left, [why for _, why in pruned.left])
    if pruned.removed:
        size = human_size(keys.total_size(key for key in pruned.removed if key.image in pruned.gone))
        gone = f"{_count(len(pruned.gone), 'image')} gone, of up to {size}" if pruned.gone else "no image gone"
        print(f"{_count(len(pruned.removed), 'key')}; {gone}.")
    return bool(chosen)


def _removed(dry_run: bool) -> str:
    return "To be removed" if dry_run else "Removed"


def _report(what: str, place: _Place, found: Sequence[StoredKey], notes: Sequence[str] = ()) -> None:
    if found:
        print(f"{what} {place.backend.engine}:")
        _print_table(_rows(found, notes))


def _rows(found: Sequence[StoredKey], notes: Sequence[str] = ()) -> Iterator[Sequence[str]]:
    now = time.time()
    for number, key in enumerate(found):
        builds = "; ".join(map(_described, key.keepers)) or "elsewhere"
        yield key.digest[:12], age(now - key.created), human_size(key.size), builds, *notes[number : number + 1]


def _described(keeper: Keeper) -> str:
    state = "older" if keeper.rank else "latest"
    if keeper.target is None:
        return f"a build of this project ({state})"
    stage = f", stage {keeper.stage}" if keeper.stage else ""
    return f"{keeper.target}: {os.path.relpath(keeper.dockerfile)}{stage} ({state})"


def _as_record(key: StoredKey) -> Mapping[str, Any]:
    builds = [
        {
            "target": keeper.target,
            "dockerfile": os.path.relpath(keeper.dockerfile) if keeper.dockerfile else None,
            "stage": keeper.stage,
            "latest": keeper.rank == 0,
        }
        for keeper in key.keepers
    ]
    return {"key": key.digest, "image": key.image, "created": key.created, "size": key.size, "builds": builds}


def _download_rows(found: Sequence[upkeep.Kept]) -> Iterator[Sequence[str]]:
    now = time.time()
    for one in found:
        told = [", ".join(one.urls) or f"{', '.join(one.names)} (older)", *(["unpacked"] if one.is_unpacked else [])]
        yield one.digest[:12], age(now - one.used), human_size(one.size), ", ".join(told)


def _download_record(one: upkeep.Kept) -> Mapping[str, Any]:
    return {
        "digest": f"blake3:{one.digest}",
        "names": list(one.names),
        "urls": list(one.urls),
        "size": one.size,
        "used": int(one.used),
        "unpacked": one.is_unpacked,
    }


def _on_disk(place: _Place) -> Iterator[dict[str, Any]]:
    """What lies in the project's build directory, with the space that it takes on disk in bytes."""
    parts: dict[str, list[Path]] = {}
    for path in sorted(place.cache.glob("*")):
        # SQLite keeps up to two more files beside its own.
        parts.setdefault(re.sub("-(wal|shm|journal)$", "", path.name), []).append(path)
    for name, paths in parts.items():
        size = sum(map(upkeep.disk_size, paths))
        yield {"what": _KNOWN.get(name, name), "path": os.path.relpath(paths[0]), "size": size}
    for path in sorted(place.build_directory.glob("*")):
        if path.is_dir() and path.name != "magnet":
            yield {"what": path.name, "path": os.path.relpath(path), "size": upkeep.disk_size(path)}


def _print_table(rows: Iterable[Sequence[str]]) -> None:
    """Print rows in columns; all rows have as many cells."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
