"""Archives, tars and directories of images, and images in stores of other engines."""

import hashlib
import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from urllib.request import Request, urlopen

from magnet.model import Platform
from tests.contract.comparing import contents, differences, read_archive, read_tar
from tests.contract.engines import Column, Magnet

DOCKERFILE = """FROM {base}
COPY a sub/b /w/
RUN mkdir /w/gone && touch /w/gone/x && ln /w/a /w/hard && ln -s a /w/link && chown 5:6 /w/b && chmod 4755 /w/b
RUN rm -r /w/gone && echo changed > /w/b && chmod 4755 /w/b && mkdir -m 500 /w/shut && touch /w/shut/in
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
    assert image.healthcheck == ("CMD-SHELL", "true"), image.healthcheck
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
    dockerfile = DOCKERFILE.format(base=base).replace(
        "USER 5", "ARG SOURCE_DATE_EPOCH\nRUN echo $SOURCE_DATE_EPOCH >/t"
    )
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


PLATFORMS = ("linux/amd64", "linux/arm64")

SEVERAL = """
from magnet import Output, target

TAG, REMOTE = {tag!r}, {remote!r}


@target
def build(t):
    image = t.build(file="Several", tags=[TAG], platforms=["linux/amd64", "linux/arm64"])
    assert t.inspect(TAG).id == image.id
    t.output(str(image.platform))


@target
def push(t):
    t.tag(TAG, REMOTE)
    t.push(REMOTE)


@target
def remove(t):
    t.remove(TAG)
    t.remove(REMOTE)


@target
def write(t):
    t.build(file="Several", tags=[TAG], platforms=["linux/amd64", "linux/arm64"], output=Output("oci-archive", "o.tar"))


@target
def load(t):
    t.output(str([t.load("o.tar", platform=one).platform for one in (None, "linux/arm64")]))
"""


def several(magnet: Magnet, tag: str, remote: str = "") -> None:
    # Of the column's own, or one would find done what another built in the store that they share.
    magnet.write({"Several": f"FROM scratch\nCOPY a /a\nLABEL column={magnet.column.name}\n", "a": "A"})
    magnet.write({"magnetfile.py": SEVERAL.format(tag=tag, remote=remote)})


def test_an_image_of_several_platforms_goes_to_a_registry_with_all_of_them(
    magnet: Magnet, base: str, tag: str, registry: str
) -> None:
    remote = f"{registry}/{tag.removeprefix('localhost/')}"
    several(magnet, tag, remote)
    if magnet.column.is_legacy:
        assert "cannot build for a chosen platform" in magnet.refused("build")
        return
    assert magnet.ok("build") == b"linux/amd64\n"
    if magnet.column.backend == "docker":
        error = magnet.refused("push")
        assert "cannot push an image of several platforms\n" in error
        assert f"`skopeo copy --all oci-archive:FILE docker://{remote}`; podman and buildah have it" in error
    else:
        magnet.ok("push")
        assert platforms_in(registry, tag) == {*PLATFORMS}
        assert magnet.engine("images", "--quiet", "localhost/magnet-list") == ""
    assert magnet.ok("build") == b"linux/amd64\n"
    assert magnet.log("build").splitlines()[2].split() == ["Cached:", "true"]
    magnet.ok("remove")


def platforms_in(registry: str, tag: str) -> set[str]:
    """What a registry has under the name of an image: for which platforms."""
    name, _, version = tag.removeprefix("localhost/").partition(":")
    accept = "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.index.v1+json"
    request = Request(f"http://{registry}/v2/{name}/manifests/{version}", headers={"Accept": accept})
    with urlopen(request, timeout=60) as answer:
        found = [one["platform"] for one in json.load(answer)["manifests"]]
    return {f"{one['os']}/{one['architecture']}" for one in found}


def test_an_image_of_several_platforms_is_written_to_an_oci_archive(magnet: Magnet, base: str, tag: str) -> None:
    several(magnet, tag)
    if magnet.column.is_legacy:
        magnet.refused("write")
        return
    magnet.ok("write")
    platforms = [Platform.parse(one) for one in PLATFORMS]
    assert magnet.ok("load").decode() == f"{platforms}\n"
    magnet.engine("rmi", "--force", tag)


COPY = """
from magnet import target


@target
def go(t):
    image = t.build(file="Plain", tags=[{tag!r}])
    copied = t.copy(image, to={to!r})
    assert (copied.id, copied.tags) == (image.id, image.tags)
    assert t.copy({tag!r}, to={to!r}).id == image.id
    t.output(image.id)
"""


def test_an_image_is_copied_to_another_engine_with_its_id_and_its_name(magnet: Magnet, base: str, tag: str) -> None:
    other = {"docker": "podman", "podman": "buildah" if os.geteuid() else "docker", "buildah": "podman"}
    to = replace(magnet, column=Column("other", other[magnet.column.backend]))
    name = tag.rpartition("/")[2]  # a short one, which engines take for different full ones
    magnet.write({"Plain": f"FROM {base}\nHEALTHCHECK CMD true\n"})
    magnet.write({"magnetfile.py": COPY.format(tag=name, to=to.column.backend)})
    try:
        magnet.ok("go")
        copied = contents(to, name)
        assert differences(copied, contents(magnet, name)) == []
        assert copied.configuration["Healthcheck"] == {"Test": ["CMD-SHELL", "true"]}
    finally:
        to.engine("rmi", "--force", name)
        magnet.engine("rmi", "--force", name)


def written(path: Path) -> tuple[int, int]:
    """Which file it is, and when it was written; not when it was read."""
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns


def test_a_build_is_written_to_a_directory_and_a_tar_of_the_callers(magnet: Magnet, base: str, tag: str) -> None:
    dockerfile = f"""FROM {base} AS made
RUN mkdir /o && echo program >/o/app && chown 7:8 /o/app && chmod 4755 /o/app && mkdir -m 500 /o/shut && >/o/shut/in
RUN ln -s app /o/link
FROM scratch
COPY --from=made /o /
"""
    magnet.write({"Dockerfile": dockerfile, "out/app": "old", "out/own": "kept"})
    outputs = ("--output", "out", "-o", "type=tar,dest=made/r.tar")
    assert magnet.ok("build", "-t", tag, *outputs, ".") == b""
    out = magnet.root / "out"
    assert {path.name for path in out.iterdir()} == {"app", "link", "own", "shut"}
    assert ((out / "app").read_text(), (out / "own").read_text()) == ("program\n", "kept")
    assert os.readlink(out / "link") == "app"
    app, shut = os.lstat(out / "app"), os.lstat(out / "shut")
    assert (app.st_uid, app.st_mode & 0o7777, shut.st_mode & 0o7777) == (os.geteuid(), 0o755, 0o500)
    before = written(magnet.root / "made/r.tar")
    entries = {path: str(entry).split()[:3] for path, entry in read_tar(magnet.root / "made/r.tar").items()}
    assert entries == {
        "app": ["file", "4755", "7:8"],
        "link": ["link", "0777", "0:0"],
        "shut": ["dir", "0500", "0:0"],
        "shut/in": ["file", "0644", "0:0"],
    }
    (out / "app").unlink()
    (out / "app").mkdir()
    result = magnet("build", "-t", tag, *outputs[2:], *outputs[:2], ".")
    assert result.code == 1
    assert result.error == (
        f"error: target `build`: `{out}/app` is no directory in the image, and a directory here\nhint: remove it first\n"
    )
    assert sorted(path.name for path in out.iterdir()) == ["app", "link", "own", "shut"]
    assert written(magnet.root / "made/r.tar") == before, "what is still as it was written is not written again"


def forget(magnet: Magnet, image: str, mark: str) -> None:
    """Let the engine forget an image, and the steps of its build, which have a mark in them."""
    magnet.engine("rmi", "--force", image)
    if magnet.column.backend != "docker":
        return
    client = ["docker"] if magnet.column.has_buildx else [os.environ["MAGNET_TEST_DOCKER_LEGACY"]]
    env = magnet.env if magnet.column.has_buildx else {**magnet.env, "DOCKER_CONFIG": os.environ["MAGNET_TEST_BUILDX"]}
    for _ in range(2):  # a step that another is made from goes after it
        said = subprocess.run([*client, "buildx", "du", "--verbose"], env=env, capture_output=True, text=True).stdout
        for record in [one for one in said.split("\n\n") if mark in one]:
            (number,) = re.findall(r"^ID:\s+(\S+)", record, re.MULTILINE)
            magnet.engine("builder", "prune", "--force", "--all", f"--filter=id={number}")


def test_steps_are_left_in_a_registry_and_taken_from_there(magnet: Magnet, base: str, tag: str, registry: str) -> None:
    cache, mark = f"{registry}/{tag.removeprefix('localhost/').removesuffix(':1')}", f"mark-{tag[-12:-2]}"
    dockerfile = f"FROM {base}\nRUN : {mark} && cat /proc/sys/kernel/random/uuid >/a\nRUN : {mark} && cp /a /b\n"
    magnet.write({"Dockerfile": dockerfile})
    if magnet.column.is_legacy:
        assert "cannot take the steps of a build from a registry, or leave them there\n" in magnet.refused(
            "build", "--cache-to", cache, "."
        )
        return
    image = magnet.ok("build", "-q", "-t", tag, "--cache-to", f"type=registry,ref={cache}", ".").decode().strip()
    before = contents(magnet, tag).files
    forget(magnet, image, mark)
    magnet.ok("build", "-t", tag, "--cache-from", cache, ".")
    assert contents(magnet, tag).files == before


def test_a_step_for_a_platform_that_this_machine_cannot_run_says_what_that_takes(magnet: Magnet, base: str) -> None:
    platform, machine = ("linux/amd64", b"\x3e") if os.uname().machine == "aarch64" else ("linux/arm64", b"\xb7")
    program = b"\x7fELF\2\1\1" + bytes(9) + b"\2\0" + machine + b"\0\1" + bytes(43)  # no more than its header
    (magnet.root / "program").write_bytes(program)
    (magnet.root / "program").chmod(0o755)
    magnet.write({"Dockerfile": 'FROM scratch\nCOPY program /\nRUN ["/program"]\n'})
    result = magnet("build", f"--platform={platform}", ".")
    if magnet.column.is_legacy:
        assert result.code == 3
        return
    assert result.code == 1, result.err
    assert "takes qemu in binfmt_misc" in result.error
