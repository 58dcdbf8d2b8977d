"""Archives, tars and directories of images, and images in stores of other engines."""

import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.contract.comparing import contents, differences, read_archive, read_tar
from tests.contract.engines import Magnet

DOCKERFILE = """FROM {base}
COPY a sub/b /w/
RUN mkdir /w/gone && touch /w/gone/x && ln /w/a /w/hard && ln -s a /w/link && chown 5:6 /w/b && chmod 4755 /w/b
RUN rm -r /w/gone && echo changed > /w/b && mkdir -m 500 /w/shut && touch /w/shut/in
HEALTHCHECK CMD true
ONBUILD RUN true
USER 5
"""
SOURCES = {"a": "A", "sub/b": "B"}

SAVE = """
from magnet import Output, target

TAG = {tag!r}


@target
def save(t):
    outputs = [Output("docker-archive", "out/d.tar"), Output("oci-archive", "o.tar"), Output("tar", "r.tar")]
    image = t.build(tags=[TAG], output=outputs)
    t.save(TAG, "again.tar")
    t.output(image.id)


@target
def load(t, path: str):
    image = t.load(path)
    assert image.tags == (TAG,), image.tags
    assert t.inspect(TAG).id == image.id
    t.output(image.id)
"""


def made(magnet: Magnet, base: str, tag: str) -> str:
    """Write the project, save its image in every form, and return the image's id."""
    magnet.write({"Dockerfile": DOCKERFILE.format(base=base), **SOURCES, "magnetfile.py": SAVE.format(tag=tag)})
    return magnet.ok("save").decode().strip()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_image_is_saved_and_loaded_in_both_forms(magnet: Magnet, base: str, tag: str) -> None:
    image = made(magnet, base, tag)
    before = contents(magnet, tag)
    saved = read_archive(magnet.root / "out/d.tar")
    assert differences(saved, before) == []
    assert dict(read_tar(magnet.root / "r.tar")) == before.files
    assert before.files["w/b"].mode == 0o4755
    assert "w/gone" not in before.files
    assert sha256(magnet.root / "again.tar") == sha256(magnet.root / "out/d.tar")
    for form in ("out/d.tar", "o.tar"):
        magnet.engine("rmi", "--force", tag)
        assert magnet.engine("images", "--quiet", tag) == ""
        assert magnet.ok("load", form).decode().strip() == image
        assert differences(contents(magnet, tag), before) == []


TIMED = """
from magnet import Output, target


@target
def build(t, epoch: int, tag: str, *, no_cache: bool = False):
    image = t.build(tags=[tag], source_date_epoch=epoch, no_cache=no_cache, output=Output("tar", f"{epoch}.tar"))
    assert t.inspect(tag).id == image.id
    t.output(image.id)
"""


def test_two_builds_of_one_key_are_one_image_where_they_have_a_time(magnet: Magnet, base: str, tag: str) -> None:
    dockerfile = DOCKERFILE.format(base=base).replace("USER 5", "ARG SOURCE_DATE_EPOCH\nRUN echo $SOURCE_DATE_EPOCH >/t")
    magnet.write({"Dockerfile": dockerfile, **SOURCES, "magnetfile.py": TIMED})
    then = magnet.ok("build", "1000000000", tag)
    first = contents(magnet, tag, times=True)
    tar = sha256(magnet.root / "1000000000.tar")
    of_base = contents(magnet, base, times=True).files
    assert {entry.mtime for path, entry in first.files.items() if of_base.get(path) != entry} == {1000000000}
    for source in SOURCES:
        os.utime(magnet.root / source, (1, 1))
    magnet.engine("rmi", tag)
    again = magnet.ok("build", "1000000000", tag, "--no-cache")
    assert (again, sha256(magnet.root / "1000000000.tar")) == (then, tar)
    assert magnet.ok("build", "1000000001", tag) not in (then, b"")
    assert first.configuration == {**contents(magnet, tag).configuration}
    assert magnet.engine("images", "--quiet", "localhost/magnet-unfinished") == ""
