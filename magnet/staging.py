"""A directory that holds exactly the files of a context: made for one build, and removed after it."""

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from magnet.context import PERMISSIONS, Entry, in_order, shown
from magnet.errors import MagnetError
from magnet.meter import Advance

_FICLONE = 0x40049409  # linux/fs.h; Python's fcntl has had the name since 3.12
# A kernel with SELinux shows its label on every file, and no engine takes that one over.
_HARMLESS_ATTRIBUTES = {"security.selinux"}
_NO_HARD_LINK = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS}


def stage(entries: Iterable[Entry], destination: Path, advance: Advance = lambda size: None) -> None:
    """Make the directory `destination`, holding exactly the entries, each after the directory that it is in.

    Files are hard links where that can be, else reflinks, else copies. What was made is removed if it fails.
    `advance` is told of how many bytes each file is, when it is there.
    """
    top = os.fsencode(destination.absolute())
    try:
        os.mkdir(top)
    except OSError as error:
        raise MagnetError(f"cannot make `{shown(top)}`: {error.strerror}") from error
    try:
        _fill(top, in_order(entries), advance)
    except OSError as error:
        unstage(destination)
        name = shown(os.fsencode(error.filename or top))
        raise MagnetError(f"cannot stage `{name}`: {error.strerror}") from error
    except BaseException:
        unstage(destination)
        raise


def is_plain(entries: Iterable[Entry]) -> bool:
    """Whether no file and no directory has what a staged one would be without: further bits, or attributes."""
    return all(entry.kind == "link" or not entry.source or _has_no_more(entry.source) for entry in entries)


def unstage(destination: Path) -> None:
    """Remove a staged directory, whatever modes its directories have; no error if it is gone."""
    directories = [os.fsencode(destination)]
    try:
        for directory in directories:  # grows meanwhile
            directories += _emptied(directory)
        for directory in reversed(directories):
            with suppress(FileNotFoundError):
                os.rmdir(directory)
    except OSError as error:
        raise MagnetError(f"cannot remove `{destination}`: {error.strerror}") from error


def _fill(top: bytes, entries: Sequence[Entry], advance: Advance) -> None:
    directories = [(top, Entry(b"", "dir", 0o755))]
    for entry in entries:
        path = top + b"/" + entry.path
        if entry.kind == "dir":
            os.mkdir(path)
            directories.append((path, entry))
        elif entry.kind == "link":
            os.symlink(entry.target, path)
            _keep_time(entry, path)
        else:
            _stage_file(entry, path)
            advance(os.lstat(path).st_size)
    for path, entry in reversed(directories):  # a directory can be filled until it has its mode
        _keep_time(entry, path)
        os.chmod(path, entry.mode)


def _stage_file(entry: Entry, path: bytes) -> None:
    if _may_be_linked(entry):
        try:
            os.link(entry.source, path)
        except OSError as error:
            if error.errno not in _NO_HARD_LINK:
                raise
        else:
            return
    _copy(entry, path)


def _may_be_linked(entry: Entry) -> bool:
    # A hard link shows all of the source's inode.
    mode = os.lstat(entry.source).st_mode
    if not stat.S_ISREG(mode):
        raise MagnetError(f"`{shown(entry.source)}` changed while the context was staged")
    return stat.S_IMODE(mode) == entry.mode and _has_no_more(entry.source)


def _has_no_more(path: bytes) -> bool:
    """Whether a file has neither setuid, setgid and sticky bits nor attributes: engines treat each in its own way."""
    try:
        attributes = os.listxattr(path, follow_symlinks=False)
        mode = os.lstat(path).st_mode
    except OSError as error:
        # A file system without attributes, or a file that has gone since, which whoever wants it will find out.
        if error.errno not in (errno.ENOTSUP, errno.ENOENT):
            raise
        return True
    return not stat.S_IMODE(mode) & ~PERMISSIONS and _HARMLESS_ATTRIBUTES.issuperset(attributes)


def _copy(entry: Entry, path: bytes) -> None:
    with open(entry.source, "rb") as source, open(path, "xb") as copy:
        try:
            fcntl.ioctl(copy, _FICLONE, source.fileno())
        except OSError:  # another file system, or one without reflinks
            shutil.copyfileobj(source, copy, 1 << 20)
        os.fchmod(copy.fileno(), entry.mode)
    _keep_time(entry, path)


def _keep_time(entry: Entry, path: bytes) -> None:
    # The image gets these times: they should not tell when magnet ran. Whole seconds, as that is what the
    # legacy builder, podman and buildah keep; 1970 for a directory that is made up.
    seconds = os.lstat(entry.source).st_mtime_ns // 10**9 if entry.source else 0
    os.utime(path, (seconds, seconds), follow_symlinks=False)


def _emptied(directory: bytes) -> list[bytes]:
    """The directories that are left in a directory once all else in it is removed."""
    try:
        os.chmod(directory, 0o700)
        with os.scandir(directory) as items:
            found = list(items)
    except FileNotFoundError:
        return []
    for item in found:
        if not item.is_dir(follow_symlinks=False):
            with suppress(FileNotFoundError):
                os.unlink(item.path)
    return [item.path for item in found if item.is_dir(follow_symlinks=False)]
