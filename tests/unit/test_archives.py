"""Archives of images: what is read of any, what is written, and what is noticed of a damaged one."""

import gzip
import json
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from magnet import archives, reproducible, rootfs
from magnet.archives import Archived
from magnet.errors import MagnetError
from magnet.model import Platform
from tests.unit.images import Member, configuration, digest, docker_archive, layer, member, write_tar

BASE = layer(("bin", None), ("bin/sh", b"shell"), ("etc", None), ("etc/conf", b"old"))
TOP = layer(("etc", None), ("etc/conf", b"new"))


def unmeasured(size: int) -> None:
    pass


def read(path: Path, *layers: bytes, names: Sequence[str] = (), **fields: Any) -> Archived:
    docker_archive(path, layers, configuration(layers, **fields), names)
    (image,) = archives.read(path)
    return image


def read_one(path: Path) -> Archived:
    (image,) = archives.read(path)
    return image


def contents_of(tar: tarfile.TarFile) -> dict[str, bytes]:
    return {one.name: file.read() for one in tar if (file := tar.extractfile(one))}


def test_an_image_goes_through_both_kinds_of_archive_unchanged(tmp_path: Path) -> None:
    id_ = docker_archive(tmp_path / "a.tar", [BASE, TOP], names=["app:1"])
    image = read_one(tmp_path / "a.tar")
    assert (image.id, image.names, str(image.platform)) == (id_, ("app:1",), "linux/amd64")
    archives.write_oci_archive([image], ["app"], tmp_path / "o.tar", unmeasured)
    archives.write_docker_archive(read_one(tmp_path / "o.tar"), image.names, tmp_path / "d.tar", unmeasured)
    again = read_one(tmp_path / "d.tar")
    assert (again.config, again.names) == (image.config, image.names)
    assert [one.digest for one in again.layers] == [digest(BASE), digest(TOP)]
    assert read_one(tmp_path / "o.tar").names == ("app:latest",)


def test_what_is_written_of_one_image_is_always_the_same(tmp_path: Path) -> None:
    docker_archive(tmp_path / "a.tar", [BASE, TOP])
    image = read_one(tmp_path / "a.tar")
    for number in (1, 2):
        archives.write_oci_archive([image], ["app"], tmp_path / f"o{number}", unmeasured)
        archives.write_docker_archive(image, ["app"], tmp_path / f"d{number}", unmeasured)
    assert (tmp_path / "o1").read_bytes() == (tmp_path / "o2").read_bytes()
    assert (tmp_path / "d1").read_bytes() == (tmp_path / "d2").read_bytes()


def test_an_oci_archive_says_what_the_specification_and_docker_want(tmp_path: Path) -> None:
    image = read(tmp_path / "a.tar", BASE)
    archives.write_oci_archive([image], ["team/app", "localhost/x:1"], tmp_path / "o.tar", unmeasured)
    with tarfile.open(tmp_path / "o.tar") as tar:
        contents = contents_of(tar)
    assert contents.pop("oci-layout") == b'{"imageLayoutVersion":"1.0.0"}'
    index = json.loads(contents.pop("index.json"))
    manifest = json.loads(contents[f"blobs/sha256/{index['manifests'][0]['digest'][7:]}"])
    assert [one["annotations"] for one in index["manifests"]] == [
        {"org.opencontainers.image.ref.name": name, "io.containerd.image.name": full}
        for name, full in (("team/app:latest", "docker.io/team/app:latest"), ("localhost/x:1", "localhost/x:1"))
    ]
    assert index["manifests"][0]["platform"] == {"os": "linux", "architecture": "amd64"}
    assert manifest["layers"] == [
        {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(BASE), "size": len(BASE)}
    ]
    assert manifest["config"]["digest"] == image.id
    assert all(name == f"blobs/sha256/{digest(content)[7:]}" for name, content in contents.items())


def test_an_image_of_several_platforms_is_one_name_for_them_all(tmp_path: Path) -> None:
    one, other = (
        read(tmp_path / f"{name}.tar", BASE, architecture=name, variant=variant)
        for name, variant in (("amd64", ""), ("arm", "v7"))
    )
    archives.write_oci_archive([one, other], ["app:1"], tmp_path / "o.tar", unmeasured)
    found = archives.read(tmp_path / "o.tar")
    assert [(image.id, image.names, image.platform) for image in found] == [
        (one.id, ("app:1",), Platform("linux", "amd64")),
        (other.id, ("app:1",), Platform("linux", "arm", "v7")),
    ]
    with tarfile.open(tmp_path / "o.tar") as tar:
        assert len(tar.getnames()) == len({*tar.getnames()}), "a layer that both have is there once"
        (entry,) = json.loads(contents_of(tar)["index.json"])["manifests"]
    assert entry["mediaType"] == "application/vnd.oci.image.index.v1+json"


def test_a_layer_that_occurs_twice_is_written_once_and_read_through_a_link(tmp_path: Path) -> None:
    image = read(tmp_path / "a.tar", TOP, TOP)
    archives.write_docker_archive(image, (), tmp_path / "d.tar", unmeasured)
    with tarfile.open(tmp_path / "d.tar") as tar:
        assert len(tar.getnames()) == 3
    assert [one.digest for one in read_one(tmp_path / "d.tar").layers] == [digest(TOP)] * 2
    config = configuration([TOP])
    with tarfile.open(tmp_path / "l.tar", "w") as tar:
        for name, content in (("x.tar", TOP), ("c.json", config)):
            made = tarfile.TarInfo(name)
            made.size = len(content)
            (tmp_path / name).write_bytes(content)
            with (tmp_path / name).open("rb") as file:
                tar.addfile(made, file)
        tar.addfile(member("1/layer.tar", tarfile.SYMTYPE, "../x.tar"))
        described = json.dumps([{"Config": "c.json", "RepoTags": [], "Layers": ["1/layer.tar"]}]).encode()
        (tmp_path / "manifest").write_bytes(described)
        tar.add(tmp_path / "manifest", "manifest.json")
    archives.write_docker_archive(read_one(tmp_path / "l.tar"), (), tmp_path / "l2.tar", unmeasured)


def test_compressed_archives_and_layers_are_read(tmp_path: Path) -> None:
    docker_archive(tmp_path / "a.tar", [gzip.compress(BASE)], configuration([BASE]))
    packed = tmp_path / "a.tar.gz"
    packed.write_bytes(gzip.compress((tmp_path / "a.tar").read_bytes()))
    assert archives.uncompressed(tmp_path / "a.tar", tmp_path) == tmp_path / "a.tar"
    image = read_one(archives.uncompressed(packed, tmp_path))
    archives.write_docker_archive(image, (), tmp_path / "d.tar", unmeasured)
    assert read_one(tmp_path / "d.tar").id == digest(configuration([BASE]))
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(MagnetError, match=r"`a\.tar\.gz` is not an archive of an image that magnet can read"):
        archives.uncompressed(packed, tmp_path)


def test_what_buildkit_attests_of_an_image_is_no_image_and_a_bare_tag_no_name(tmp_path: Path) -> None:
    config = configuration([BASE])
    manifest = json.dumps({"config": {"digest": digest(config)}, "layers": [{"digest": digest(BASE)}]}).encode()
    attested = {"digest": digest(b"nothing"), "platform": {"os": "unknown", "architecture": "unknown"}}
    index = json.dumps({"manifests": [{"digest": digest(manifest)}, attested]}).encode()
    entry = {
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": digest(index),
        "annotations": {"org.opencontainers.image.ref.name": "latest"},
    }
    blobs = {f"blobs/sha256/{digest(content)[7:]}": content for content in (config, manifest, index, BASE)}
    write_tar(tmp_path / "o.tar", {**blobs, "index.json": json.dumps({"manifests": [entry]}).encode()})
    image = read_one(tmp_path / "o.tar")
    assert (image.id, image.names) == (digest(config), ())


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda path: path.write_bytes(b"no tar"), "truncated header"),
        (lambda path: write_tar(path, {"x": b""}), "there is neither `manifest.json` nor `index.json` in it"),
        (lambda path: write_tar(path, {"manifest.json": b"{"}), "Expecting property name"),
        (lambda path: write_tar(path, {"manifest.json": b'[{"Config": "c"}]'}), "'c'"),
        (lambda path: path.write_bytes(path.read_bytes()[: len(BASE)]), "unexpected end of data"),
    ],
    ids=["no tar", "another tar", "no JSON", "no config", "short"],
)
def test_what_is_no_archive_of_an_image_is_an_error_that_says_why(tmp_path: Path, damage: Any, why: str) -> None:
    path = tmp_path / "a.tar"
    docker_archive(path, [BASE, TOP])
    damage(path)
    with pytest.raises(MagnetError, match=r"`a\.tar` is not an archive of an image that magnet can read") as error:
        archives.read(path)
    assert why in error.value.detail[0]


def test_a_layer_with_other_bytes_than_its_digest_says_is_noticed(tmp_path: Path) -> None:
    docker_archive(tmp_path / "a.tar", [TOP], configuration([BASE]))
    with pytest.raises(MagnetError) as error:
        archives.write_docker_archive(read_one(tmp_path / "a.tar"), (), tmp_path / "d.tar", unmeasured)
    assert error.value.detail == (f"the layer {digest(BASE)} is not what it should be",)


# The root file system.


def tree(path: Path, *layers: bytes) -> dict[str, str]:
    with rootfs.opened(read(path, *layers)) as found:
        return {name: node.content().read().decode() if node.member.isreg() else "-" for name, node in found.items()}


def test_layers_are_put_on_top_of_each_other(tmp_path: Path) -> None:
    assert tree(tmp_path / "a.tar", BASE, TOP) == {"bin": "-", "bin/sh": "shell", "etc": "-", "etc/conf": "new"}


@pytest.mark.parametrize(
    ("layers", "left"),
    [
        ([("etc/.wh.conf", b"")], {"bin": "-", "bin/sh": "shell", "etc": "-"}),
        ([(".wh.etc", b"")], {"bin": "-", "bin/sh": "shell"}),
        ([("etc/own", b"x"), ("etc/.wh..wh..opq", b"")], {"bin": "-", "bin/sh": "shell", "etc": "-", "etc/own": "x"}),
        ([("etc", b"a file")], {"bin": "-", "bin/sh": "shell", "etc": "a file"}),
        ([("etc", b"a file"), (".wh.bin", b""), (".wh.etc", b"")], {"etc": "a file"}),
        ([("./etc/conf", b"dotted"), (".wh.bin", b"")], {"etc": "-", "etc/conf": "dotted"}),
        ([(".wh..wh..opq", b""), ("new/deep", b"x")], {"new": "-", "new/deep": "x"}),
        ([(".wh.etcetera", b""), (".wh.et", b"")], {"bin": "-", "bin/sh": "shell", "etc": "-", "etc/conf": "old"}),
    ],
    ids=["file", "directory", "opaque", "file for directory", "both", "dotted", "opaque root", "like names"],
)
def test_what_a_layer_hides_is_gone_and_what_it_has_is_there(
    tmp_path: Path, layers: list[Member], left: dict[str, str]
) -> None:
    assert tree(tmp_path / "a.tar", BASE, layer(*layers)) == left


def test_a_hard_link_outlives_what_it_links_to(tmp_path: Path) -> None:
    first = layer(("a", b"content"), member("b", tarfile.LNKTYPE, "a"), member("c", tarfile.LNKTYPE, "a"))
    image = read(tmp_path / "a.tar", first, layer((".wh.a", b"")))
    with rootfs.opened(image) as found:
        rootfs.write_tar(found, tmp_path / "r.tar", unmeasured)
    with tarfile.open(tmp_path / "r.tar") as tar:
        assert [(one.name, one.islnk(), one.linkname, one.size) for one in tar] == [
            ("b", False, "", 7), ("c", True, "b", 0),
        ]  # fmt: skip


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    image = read(tmp_path / "a.tar", layer(member("out", tarfile.SYMTYPE, "/tmp"), ("out/file", b"x")))
    with pytest.raises(MagnetError, match=r"`/out/file` is below `/out`, which is no directory"), rootfs.opened(image):
        pass


def test_a_tar_keeps_what_the_image_has_in_the_order_of_the_paths(tmp_path: Path) -> None:
    special = [
        member("z", uid=5, gid=70000, mode=0o4755, mtime=7.5, uname="name", pax_headers={"SCHILY.xattr.user.x": "é"}),
        member("dev", tarfile.CHRTYPE, devmajor=1, devminor=3),
        member("pipe", tarfile.FIFOTYPE),
        member("a-b"),
        member("n\udcff"),
    ]
    with rootfs.opened(read(tmp_path / "a.tar", layer(*special, ("a", None), ("a/x", b"")))) as found:
        rootfs.write_tar(found, tmp_path / "r.tar", unmeasured)
    with tarfile.open(tmp_path / "r.tar") as tar:
        entries = {one.name: one for one in tar}
    assert list(entries) == ["a", "a-b", "a/x", "dev", "n\udcff", "pipe", "z"]
    z = entries["z"]
    assert (z.uid, z.gid, z.mode, z.mtime, z.uname) == (5, 70000, 0o4755, 7, "")
    assert z.pax_headers["SCHILY.xattr.user.x"] == "é"
    assert (entries["dev"].devmajor, entries["dev"].devminor, entries["pipe"].isfifo()) == (1, 3, True)


def test_a_directory_has_the_files_with_their_modes_and_times(tmp_path: Path) -> None:
    files = [
        ("d", None), ("d/file", b"x"), member("d/same", tarfile.LNKTYPE, "d/file"), member("link", tarfile.SYMTYPE, "d"),
        member("own", mode=0o6755, mtime=5, uid=4000), member("shut", tarfile.DIRTYPE, mode=0o500, mtime=6), ("shut/in", b""),
    ]  # fmt: skip
    out = tmp_path / "out"
    out.mkdir()
    with rootfs.opened(read(tmp_path / "a.tar", layer(*files))) as found:  # type: ignore[arg-type]
        rootfs.unpack(found, out, unmeasured)
    assert (out / "d/file").samefile(out / "d/same")
    assert os.readlink(out / "link") == "d"
    own, shut = os.lstat(out / "own"), os.lstat(out / "shut")
    assert (own.st_mode & 0o7777, own.st_mtime, own.st_uid) == (0o755, 5, os.geteuid())
    assert (shut.st_mode & 0o7777, shut.st_mtime) == (0o500, 6)


def test_a_device_cannot_be_put_into_a_directory(tmp_path: Path) -> None:
    image = read(tmp_path / "a.tar", layer(member("dev", tarfile.BLKTYPE)))
    with rootfs.opened(image) as found, pytest.raises(MagnetError, match="a device at `/dev`"):
        rootfs.unpack(found, tmp_path, unmeasured)


# Images with a time.

EPOCH = 1_000_000_000
TIME = "2001-09-09T01:46:40Z"


@pytest.fixture
def timed(tmp_path: Path) -> Archived:
    """An image on a base, as an engine builds it, that got a time."""
    config = {
        "Cmd": ["sh"], "WorkingDir": "/", "Labels": {"io.buildah.version": "1", "own": "x"}, "Hostname": "random", "Image": "",
    }  # fmt: skip
    steps = [
        {"created": "2020-01-01T00:00:00Z", "created_by": "base", "comment": "kept out"},
        {"created": "2020-01-01T00:00:00Z", "created_by": "CMD of base", "empty_layer": True},
        {"created": "2026-01-02T03:04:05Z", "created_by": "own"},
    ]
    image = read(tmp_path / "a.tar", BASE, TOP, config=config, history=steps, container="random", docker_version="x")
    return reproducible.at_time(image, [(digest(BASE),), (digest(TOP),)], EPOCH, tmp_path, unmeasured)


def test_all_that_a_build_adds_is_of_the_time_and_the_base_stays(timed: Archived) -> None:
    base, own = timed.layers
    assert base.digest == digest(BASE)
    with archives.opened(own) as tar:
        assert {one.mtime for one in tar} == {EPOCH}
    assert json.loads(timed.config) == {
        "architecture": "amd64",
        "os": "linux",
        "created": TIME,
        "config": {"Cmd": ["sh"], "Labels": {"own": "x"}},
        "history": [
            {"created": "2020-01-01T00:00:00Z", "created_by": "base"},
            {"created": TIME, "created_by": "CMD of base", "empty_layer": True},
            {"created": TIME, "created_by": "own"},
        ],
        "rootfs": {"type": "layers", "diff_ids": [base.digest, own.digest]},
    }


def test_an_image_that_differs_in_its_times_alone_becomes_the_same(tmp_path: Path, timed: Archived) -> None:
    def built(number: int) -> Archived:
        entry = member("f", mtime=number, uname=f"user{number}", pax_headers={"mtime": f"{number}.5"})
        made = read(
            tmp_path / f"{number}.tar", layer(entry), created=f"202{number}-01-01T00:00:00Z", container=str(number)
        )
        scratch = tmp_path / str(number)
        scratch.mkdir()
        return reproducible.at_time(made, [], EPOCH, scratch, unmeasured)

    assert built(1).id == built(2).id
