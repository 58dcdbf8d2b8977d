"""What becomes of an image besides its place in the engine's store: archives, tars, directories, other stores.

What is written is whole or not there: it is made under another name beside its place, and what was there before stays
until then.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from blake3 import blake3

from magnet.backends.base import Backend, same_platform
from magnet.errors import MagnetError, MagnetfileError
from magnet.model import Image, Output, Platform, this_machine
from magnet.process import Shell
from magnet.references import with_tag
from magnet.values import replace
from magnet.workspace import Workspace

if TYPE_CHECKING:
    from magnet.archives import Archived


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


class Variants:
    """The images that one name stands for on the several platforms of a build, while the name is what it was then.

    To the engine, the name is that of one of them: no engine's store keeps them all under one, or none does so well.
    """

    def __init__(self, backend: Backend, workspace: Workspace) -> None:
        self._backend = backend
        self._directory = workspace.cache / "platforms"

    def of(self, name: str, shell: Shell) -> tuple[Image, ...]:
        """The images of a name; none where it stands for itself alone. MagnetError where one is gone."""
        ids = self._read(name)
        if not ids:
            return ()
        with self._backend.asking([name, *ids], shell) as answers:
            found = answers()
        own = found[name]
        if own is None or own.id not in ids:
            return ()
        images = tuple(image for one in ids if (image := found[one]))
        if len(images) < len(ids):
            raise MagnetError(
                f"`{name}` is of {len(ids)} platforms, and the images of {len(ids) - len(images)} are gone",
                hint="build it again",
            )
        return images

    def note(self, names: Iterable[str], images: Sequence[Image]) -> None:
        """Let each name stand for these images, or for itself alone where there are none."""
        for name in names:
            file = self._file(name)
            if images:
                self._directory.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps([image.id for image in images]))
            else:
                file.unlink(missing_ok=True)

    def _read(self, name: str) -> list[str]:
        with suppress(OSError, ValueError):
            found: list[str] = json.loads(self._file(name).read_bytes())
            return found
        return []

    def _file(self, name: str) -> Path:
        return self._directory / _digest(f"{self._backend.name} {with_tag(name)}")


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


def _digest(text: str) -> str:
    return blake3(text.encode(errors="surrogateescape")).hexdigest()[:32]


class _Record:
    """What was written to the place of an output last, and how it looked then; of directories there is none."""

    def __init__(self, output: Output, images: Sequence[Image], names: Sequence[str], workspace: Workspace) -> None:
        self._place = Path(output.path)
        self._what = [output.type, [image.id for image in images], list(names)]
        file = workspace.cache / "outputs" / _digest(repr((output.type, str(output.path))))
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
