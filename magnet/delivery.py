"""What becomes of an image besides its place in the engine's store: archives, tars, directories, other stores.

What is written is whole or not there: it is made under another name beside its place, and what was there before stays
until then.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from blake3 import blake3

from magnet.backends.base import Backend, same_platform
from magnet.errors import MagnetError, MagnetfileError
from magnet.model import Image, Output, Platform, this_machine
from magnet.process import Shell
from magnet.values import replace
from magnet.workspace import Workspace

if TYPE_CHECKING:
    from magnet.archives import Archived


_NEW_LIST = "localhost/magnet-list"
"""The repository of lists that are there until they have their own names."""


def deliver(
    backend: Backend, images: Sequence[Image], names: Sequence[str], output: Output, shell: Shell, workspace: Workspace
) -> bool:
    """Write an image to where an output says; of several platforms there is one of `images` for each.

    Returns whether there was anything to do: a file that is still as it was written of the same image stays.
    """
    record = _Record(output, images, names, workspace)
    if record.is_still_so and not shell.dry_run:
        shell.say(f"CACHED {output.path}")
        return False
    with ExitStack() as scratches:
        files = [scratches.enter_context(workspace.scratch()) / "image.tar" for _ in images]
        for image, file in zip(images, files, strict=True):
            backend.save(image, file, shell)
        if not shell.dry_run:
            _write(files, names, output, shell)
            record.write()
            shell.say(f"Wrote {output.path}")
    return True


def load(backend: Backend, path: Path, platform: Platform | None, shell: Shell, scratch: Path) -> Image:
    """Put the image of an archive into the engine's store, under the names that it has there."""
    from magnet import archives

    if not path.is_file():
        raise MagnetfileError(f"there is no archive `{path}`")
    if shell.dry_run:
        return backend.load(path, "", shell)
    image = _one_of(archives.read(archives.uncompressed(path, scratch)), path, platform)
    # As every engine takes it: docker knows no OCI archives, and podman keeps an image of one without HEALTHCHECK.
    file = scratch / "image.tar"
    with shell.measure(f"reading {path.name}", image.size) as advance:
        archives.write_docker_archive(image, (), file, advance)
    loaded = backend.load(file, image.id, shell)
    if image.names:
        backend.tag(loaded.id, image.names, shell)
    return replace(loaded, tags=image.names)


def copy(backend: Backend, image: Image, names: Sequence[str], to: Backend, shell: Shell, scratch: Path) -> Image:
    """Put an image into another engine's store, under these names."""
    copied = None if shell.dry_run else to.inspect(image.id, shell)
    if copied is None:
        file = scratch / "image.tar"
        backend.save(image, file, shell)
        copied = to.load(file, image.id, shell)
    if names:
        to.tag(copied.id, names, shell)
    return replace(copied, tags=tuple(names))


def make_lists(
    backend: Backend, images: Sequence[Image], names: Sequence[str], shell: Shell, workspace: Workspace
) -> bool:
    """Let each name be that of an image of several platforms, of which these are the images of one platform each.

    Returns whether there was anything to do: a list that is still as it was made of the same images stays.
    """
    is_done = True
    for name in names:
        what = [image.id for image in images]
        record = _record_file(workspace, "lists", name)
        with suppress(OSError, ValueError):
            before = json.loads(record.read_bytes())
            if not shell.dry_run and before[0] == what and before[1] == backend.described_list(name, shell):
                continue
        is_done = False
        backend.make_list(name, images, f"{_NEW_LIST}:{workspace.run_id}-{workspace.number()}", shell)
        if not shell.dry_run:
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(json.dumps([what, backend.described_list(name, shell)]))
    return not is_done


def set_time(
    backend: Backend, image: Image, bases: Sequence[tuple[str, ...]], epoch: int, shell: Shell, scratch: Path
) -> Image:
    """Put an image into the store that differs from this one in its times alone: all but its base is of that time.

    `bases` are the layers of the images that it may have been built upon.
    """
    from magnet import archives, reproducible

    built, file = scratch / "built.tar", scratch / "image.tar"
    backend.save(image, built, shell)
    (found,) = archives.read(built)
    with shell.measure("setting the time", 2 * found.size) as advance:
        new = reproducible.at_time(found, bases, epoch, scratch, advance)
        there = backend.inspect(new.id, shell)
        if there is None:
            archives.write_docker_archive(new, (), file, advance)
    return there or backend.load(file, new.id, shell)


def _write(files: Sequence[Path], names: Sequence[str], output: Output, shell: Shell) -> None:
    from magnet import archives, rootfs

    images = [image for file in files for image in archives.read(file)]
    place = Path(output.path)
    with shell.measure(f"writing {place.name}", sum(image.size for image in images)) as advance:
        if output.type == "oci-archive":
            with _new_file(place) as new:
                archives.write_oci_archive(images, names, new, advance)
        elif output.type == "docker-archive":
            with _new_file(place) as new:
                archives.write_docker_archive(images[0], names, new, advance)
        else:
            with rootfs.opened(images[0]) as tree:
                if output.type == "tar":
                    with _new_file(place) as new:
                        rootfs.write_tar(tree, new, advance)
                else:
                    with _new_directory(place) as new:
                        rootfs.unpack(tree, new, advance)


def _one_of(found: "Sequence[Archived]", path: Path, platform: Platform | None) -> "Archived":
    """The image that is meant: of several platforms, the one for that which is asked for, or for this machine."""
    if len({image.names for image in found}) > 1:
        raise MagnetError(
            f"`{path.name}` holds several images", detail=sorted(name for image in found for name in image.names),
            hint="load one that holds a single image, as `t.save` writes it",
        )  # fmt: skip
    wanted = platform or this_machine()
    fitting = [image for image in found if same_platform(image.platform, wanted)]
    if fitting and (platform or len(found) > 1):
        return fitting[0]
    if len(found) == 1 and not platform:
        return found[0]
    there = ", ".join(str(image.platform) for image in found) or "none"
    raise MagnetError(f"`{path.name}` holds no image for {wanted}", hint=f"name another `platform`; there is: {there}")


@contextmanager
def _new_file(place: Path) -> Iterator[Path]:
    """A name beside a place, for a file that is put there at the end of the block."""
    if place.is_dir():
        raise MagnetfileError(f"`{place}` is a directory", hint="name a file in it")
    place.parent.mkdir(parents=True, exist_ok=True)
    new = place.with_name(f".{place.name}.{_unique()}")
    try:
        yield new
        new.replace(place)
    finally:
        new.unlink(missing_ok=True)


@contextmanager
def _new_directory(place: Path) -> Iterator[Path]:
    """A new directory, whose files are put into that place at the end of the block, among what is there."""
    if place.exists() and not place.is_dir():
        raise MagnetfileError(f"`{place}` is no directory")
    place.mkdir(parents=True, exist_ok=True)
    new = place / f".{_unique()}"
    new.mkdir(0o700)
    try:
        yield new
        _check(os.fsencode(new), os.fsencode(place))
        _move(os.fsencode(new), os.fsencode(place))
    finally:
        _remove(new)


def _check(new: bytes, place: bytes) -> None:
    """Raise MagnetError where a file would have to take the place of a directory, or a directory that of a file."""
    for entry in os.scandir(new):
        there = os.path.join(place, entry.name)
        is_directory = entry.is_dir(follow_symlinks=False)
        if os.path.lexists(there) and is_directory != _is_directory(there):
            what = ("a directory", "no directory") if is_directory else ("no directory", "a directory")
            raise MagnetError(
                f"`{os.fsdecode(there)}` is {what[0]} in the image, and {what[1]} here", hint="remove it first"
            )
        if is_directory and os.path.lexists(there):
            _check(entry.path, there)


def _move(new: bytes, place: bytes) -> None:
    for entry in list(os.scandir(new)):
        there = os.path.join(place, entry.name)
        if entry.is_dir(follow_symlinks=False):
            mode = entry.stat(follow_symlinks=False).st_mode & 0o7777
            os.chmod(entry.path, mode | 0o700)  # else it could not be moved
            if os.path.lexists(there):
                _move(entry.path, there)
                continue
            times = entry.stat(follow_symlinks=False).st_mtime_ns
            os.rename(entry.path, there)
            os.chmod(there, mode)
            os.utime(there, ns=(times, times))
        else:
            os.replace(entry.path, there)


def _is_directory(path: bytes) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _remove(directory: Path) -> None:
    from shutil import rmtree

    for place, names, _ in os.walk(directory):
        for name in names:
            if not os.path.islink(os.path.join(place, name)):
                os.chmod(os.path.join(place, name), 0o700)
    rmtree(directory, ignore_errors=True)


def _unique() -> str:
    return f"magnet-{os.getpid()}-{os.urandom(4).hex()}"


def _record_file(workspace: Workspace, kind: str, name: str) -> Path:
    return workspace.cache / kind / blake3(name.encode(errors="surrogateescape")).hexdigest()[:32]


class _Record:
    """What was written to the place of an output last, and how it looked then; of directories there is none."""

    def __init__(self, output: Output, images: Sequence[Image], names: Sequence[str], workspace: Workspace) -> None:
        self._place = Path(output.path)
        self._what = [output.type, [image.id for image in images], list(names)]
        file = _record_file(workspace, "outputs", repr((output.type, str(output.path))))
        self._file = None if output.type == "directory" else file

    @property
    def is_still_so(self) -> bool:
        """Whether the place looks as it did when the same was written there."""
        with suppress(OSError, ValueError):
            return self._file is not None and json.loads(self._file.read_bytes()) == [self._what, self._look()]
        return False

    def write(self) -> None:
        """Remember how the place looks now."""
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps([self._what, self._look()]))

    def _look(self) -> list[int]:
        found = self._place.stat()
        return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev]
