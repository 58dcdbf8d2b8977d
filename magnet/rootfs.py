"""The root file system of an image in an archive: its layers put on top of each other.

It is read from the layers and not from a container, so that it holds what is in the image, and nothing that an engine
puts into its containers. The source of the format: https://github.com/opencontainers/image-spec/blob/main/layer.md.
"""

import os
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, cast

from magnet import archives
from magnet.archives import Archived
from magnet.errors import MagnetError
from magnet.meter import Advance
from magnet.values import frozen

_OPAQUE = ".wh..wh..opq"
_WHITEOUT = ".wh."
_XATTR = "SCHILY.xattr."
_BLOCK = 1 << 20


@frozen(eq=False)
class Node:
    """What is at a path: its entry in a layer, and where that is to be read.

    Hard links to one file are one node.
    """

    member: tarfile.TarInfo
    layer: tarfile.TarFile

    @property
    def size(self) -> int:
        """The bytes of its content."""
        return self.member.size if self.member.isreg() else 0

    def content(self) -> IO[bytes]:
        """The content of a file."""
        return cast(IO[bytes], self.layer.extractfile(self.member))


Tree = dict[str, Node]
"""Nodes by path, without a slash in front, in order: a directory comes before what is in it."""


@contextmanager
def opened(image: Archived) -> Iterator[Tree]:
    """The root file system of an image, whose layers are verified, to be read in the block."""
    nodes: dict[str, Node] = {}
    with ExitStack() as layers:
        try:
            for layer in image.layers:
                archives.verify(layer)
                _put(layers.enter_context(archives.opened(layer)), nodes)
        except (tarfile.TarError, KeyError) as error:
            raise MagnetError("a layer of the image cannot be read", detail=(str(error),)) from error
        for path in tuple(nodes):
            _make_parents(path, nodes)
        yield dict(sorted(nodes.items(), key=lambda item: os.fsencode(item[0])))


def write_tar(tree: Tree, out: Path, advance: Advance) -> None:
    """Write a tar with the owners, modes, times and extended attributes that the image has, in the order of the paths.

    Times are in whole seconds, as most engines keep no others.
    """
    written: dict[Node, str] = {}
    with tarfile.open(out, "x", format=tarfile.PAX_FORMAT) as tar:
        for path, node in tree.items():
            member = _entry(path, node.member)
            if node in written:
                member.type, member.linkname, member.size = tarfile.LNKTYPE, written[node], 0
                tar.addfile(member)
                continue
            written[node] = path
            tar.addfile(member, node.content() if node.member.isreg() else None)
            advance(node.size)


def unpack(tree: Tree, directory: Path, advance: Advance) -> None:
    """Put the files into an empty directory, with their times and permission bits; they belong to the caller.

    An ordinary user could keep no owners, and no setuid and setgid bits of others' files: so nobody does.
    """
    written: dict[Node, bytes] = {}
    top = os.fsencode(directory)
    for path, node in tree.items():
        place = os.path.join(top, os.fsencode(path))
        if node in written and not node.member.isdir():
            os.link(written[node], place, follow_symlinks=False)
        else:
            written[node] = place
            _make(path, node, place)
            advance(node.size)
    for path, node in reversed(tree.items()):
        _finish(os.path.join(top, os.fsencode(path)), node.member)


def _put(layer: tarfile.TarFile, nodes: dict[str, Node]) -> None:
    """Put a layer on top of what is there, whatever the order of its entries."""
    added: set[str] = set()
    hidden: list[str] = []
    for member in layer:
        path = _plain(member.name)
        directory, _, name = path.rpartition("/")
        if name == _OPAQUE:
            hidden.append(f"{directory}/" if directory else "")
        elif name.startswith(_WHITEOUT):
            gone = "/".join(filter(None, (directory, name.removeprefix(_WHITEOUT))))
            hidden.append(f"{gone}/")
            if gone not in added:
                nodes.pop(gone, None)
        elif path:
            if not member.isdir() and (there := nodes.get(path)) and there.member.isdir():
                hidden.append(f"{path}/")
            nodes[path] = nodes[_plain(member.linkname)] if member.islnk() else Node(member, layer)
            added.add(path)
    if hidden:
        below = tuple(hidden)
        for path in [one for one in nodes if one not in added and one.startswith(below)]:
            del nodes[path]


def _make_parents(path: str, nodes: dict[str, Node]) -> None:
    """Add the directories that go without saying; nothing may be below what is none, such as a link that leads out."""
    directory = path.rpartition("/")[0]
    if not directory:
        return
    if directory not in nodes:
        member = tarfile.TarInfo(directory)
        member.type, member.mode = tarfile.DIRTYPE, 0o755
        nodes[directory] = Node(member, nodes[path].layer)
        _make_parents(directory, nodes)
    elif not nodes[directory].member.isdir():
        raise MagnetError(f"a layer of the image is damaged: `/{path}` is below `/{directory}`, which is no directory")


def _plain(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("", ".", ".."))


def _entry(path: str, found: tarfile.TarInfo) -> tarfile.TarInfo:
    member = tarfile.TarInfo(path)
    member.type = tarfile.REGTYPE if found.isreg() else found.type
    member.mode, member.uid, member.gid, member.mtime = found.mode, found.uid, found.gid, int(found.mtime)
    member.linkname, member.devmajor, member.devminor = found.linkname, found.devmajor, found.devminor
    member.size = found.size if found.isreg() else 0
    member.pax_headers = {key: value for key, value in found.pax_headers.items() if key.startswith(_XATTR)}
    return member


def _make(path: str, node: Node, place: bytes) -> None:
    member = node.member
    if member.isdir():
        os.mkdir(place, 0o700)
    elif member.issym():
        os.symlink(os.fsencode(member.linkname), place)
    elif member.isfifo():
        os.mkfifo(place, 0o600)
    elif member.isreg():
        source = node.content()
        with open(place, "xb") as out:
            while block := source.read(_BLOCK):
                out.write(block)
    else:
        raise MagnetError(
            f"the image has a device at `/{path}`, which only root could make in a directory",
            hint='leave it out of the image, or write a tar: Output("tar", ...)',
        )


def _finish(place: bytes, member: tarfile.TarInfo) -> None:
    """Set what is set last, for a directory may be read-only, and what is put into it changes its time."""
    if not member.issym():
        os.chmod(place, member.mode & 0o1777)
    os.utime(place, (int(member.mtime), int(member.mtime)), follow_symlinks=False)
