"""What engines are told about images on their way, and what is left of it on disk."""

import json
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from magnet import default_magnetfile as default
from magnet import delivery
from magnet.asked import check_outputs, epoch, platforms_of, repositories
from magnet.backends.base import Backend
from magnet.delivery import Variants
from magnet.errors import EngineError, MagnetError, MagnetfileError, UsageError
from magnet.model import Command, Image, Output, Platform
from magnet.process import Children, Completed, Shell
from magnet.values import replace
from magnet.workspace import Workspace
from tests.unit.images import configuration, digest, docker_archive, layer
from tests.unit.test_backends import BUILD, BUILDAH, BUILDKIT, BUILDX, LEGACY, PODMAN, refusal

IMAGE = Image("sha256:" + "ab" * 32)
OTHER = Image("sha256:" + "cd" * 32, platform=Platform("linux", "arm64"))
FILE = Path("/s/image.tar")


@pytest.mark.parametrize(
    ("backend", "save", "load"),
    [
        (
            BUILDX,
            ("docker", "save", "--output=/s/image.tar", "id"),
            ("docker", "load", "--quiet", "--input=/s/image.tar"),
        ),
        (
            PODMAN,
            ("podman", "save", "--quiet", "--format=docker-archive", "--output=/s/image.tar", "id"),
            ("podman", "load", "--quiet", "--input=/s/image.tar"),
        ),
        (
            BUILDAH,
            ("buildah", "push", "--quiet", "id", "docker-archive:/s/image.tar"),
            ("buildah", "pull", "--quiet", "docker-archive:/s/image.tar"),
        ),
    ],
    ids=["docker", "podman", "buildah"],
)
def test_an_image_goes_into_a_docker_archive_and_out_of_it(
    backend: Backend, save: tuple[str, ...], load: tuple[str, ...]
) -> None:
    assert backend.save_command("id", FILE) == Command(save)
    assert backend.load_command(FILE) == Command(load)


def test_buildah_refuses_an_archive_whose_path_it_would_take_for_another() -> None:
    with pytest.raises(EngineError, match="buildah cannot read or write archives below a path with a colon: /a:b"):
        BUILDAH.save_command("id", Path("/a:b/image.tar"))


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        (BUILDKIT, ["--cache-from=r.io/a:1", "--cache-from=r.io/b:buildcache", "--build-arg=BUILDKIT_INLINE_CACHE=1"]),
        (BUILDX, ["--cache-from=r.io/a:1", "--cache-from=r.io/b:buildcache", "--build-arg=BUILDKIT_INLINE_CACHE=1"]),
        (PODMAN, ["--cache-from=r.io/a", "--cache-from=r.io/b", "--cache-to=r.io/c"]),
        (BUILDAH, ["--cache-from=r.io/a", "--cache-from=r.io/b", "--cache-to=r.io/c"]),
    ],
    ids=["buildkit", "buildx", "podman", "buildah"],
)
def test_a_repository_for_steps_is_spelled_as_the_engine_takes_it(backend: Backend, words: list[str]) -> None:
    asked = replace(BUILD, cache_from=("r.io/a:1", "r.io/b"), cache_to=("r.io/c",))
    argv = backend.build_command(asked).argv
    assert [word for word in argv if "cache" in word.lower()] == words


@contextmanager
def answers(*found: Image) -> Iterator[Callable[[], dict[str, Image | None]]]:
    missing = dict.fromkeys((IMAGE.id, OTHER.id))
    yield lambda: {**missing, **{image.id: image for image in found}, "app:1": found[0]}


class Told(Shell):
    """A shell in which nothing runs, that notes what it was told to run; questions have one answer."""

    def __init__(self, cwd: Path, commands: list[tuple[str, ...]], answer: bytes = b"", failing: str = "") -> None:
        super().__init__(Children(), lambda *_: None, lambda _: None, cwd, {}, nullcontext)
        vars(self).update(commands=commands, answer=answer, failing=failing)

    def run(self, command: Command, **_: Any) -> Completed:
        vars(self)["commands"].append(command.argv)
        return Completed(1 if vars(self)["failing"] in command.argv else 0)

    def ask(self, command: Command) -> Completed:
        return Completed(0, vars(self)["answer"])

    def clean(self, command: Command) -> None:
        vars(self)["commands"].append(command.argv)


def manifests(*platforms: str) -> bytes:
    named = [dict(zip(("os", "architecture"), one.split("/"), strict=True)) for one in platforms]
    return json.dumps({"manifests": [{"platform": one} for one in named]}).encode()


def test_an_image_of_several_platforms_is_pushed_as_a_list_that_is_gone_afterwards(tmp_path: Path) -> None:
    commands: list[tuple[str, ...]] = []
    shell = Told(tmp_path, commands, manifests("linux/amd64", "linux/arm64"))
    PODMAN.push_platforms("r.io/app:1", [IMAGE, OTHER], "new:1", shell)
    BUILDAH.push_platforms("127.0.0.1:5/app", [IMAGE, OTHER], "new:1", shell)
    ids = [f"containers-storage:{image.id[7:]}" for image in (IMAGE, OTHER)]
    push = ("manifest", "push", "--all", "--format=v2s2")
    assert commands == [
        ("podman", "manifest", "create", "new:1", *ids),
        ("podman", *push, "new:1", "docker://r.io/app:1"),
        ("podman", "manifest", "rm", "new:1"),
        ("buildah", "manifest", "create", "new:1", *ids),
        ("buildah", *push, "--tls-verify=false", "new:1", "docker://127.0.0.1:5/app"),
        ("buildah", "manifest", "rm", "new:1"),
    ]


def test_a_list_that_lacks_a_platform_is_not_pushed(tmp_path: Path) -> None:
    commands: list[tuple[str, ...]] = []
    shell = Told(tmp_path, commands, manifests("linux/amd64", "linux/riscv64"))
    with pytest.raises(EngineError) as error:
        PODMAN.push_platforms("r.io/app:1", [IMAGE, OTHER], "new:1", shell)
    assert (
        error.value.message == "podman 4.3.1 made a list of linux/amd64, linux/riscv64, not of linux/amd64, linux/arm64"
    )
    assert commands[-1] == ("podman", "manifest", "rm", "new:1")
    assert not any("push" in argv for argv in commands)


def test_docker_says_how_to_push_an_image_of_several_platforms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("magnet.backends.usable", lambda **_: {})
    with pytest.raises(EngineError) as error:
        LEGACY.push_platforms("r.io/app:1", [IMAGE, OTHER], "new:1", Told(tmp_path, []))
    message, _, hint = refusal(error)
    assert message == "docker 28.2.2, legacy builder cannot push an image of several platforms"
    assert hint == (
        'write it to a file, with `output=Output("oci-archive", FILE)`, and send that with `skopeo copy --all '
        "oci-archive:FILE docker://r.io/app:1`; podman and buildah have it; none of the engines here can"
    )


# Deliveries.

FILES = layer(("d", None), ("d/f", b"content"), ("top", b"x"))
CONFIG = configuration([FILES])


class Engine:
    """An engine that saves one image, and has those that were loaded."""

    name = "fake"

    def __init__(self, config: bytes = CONFIG) -> None:
        self.config = config
        self.saves = 0
        self.has: dict[str, Image] = {}
        self.tagged: list[tuple[str, tuple[str, ...]]] = []

    def save(self, image: Image, file: Path, shell: Shell) -> None:
        self.saves += 1
        docker_archive(file, [FILES], self.config)

    def load(self, file: Path, image_id: str, shell: Shell) -> Image:
        with tarfile.open(file) as tar:
            assert f"{image_id[7:]}.json" in tar.getnames()
        self.has[image_id] = Image(image_id)
        return self.has[image_id]

    def inspect(self, reference: str, shell: Shell) -> Image | None:
        return self.has.get(reference)

    def tag(self, reference: str, names: Any, shell: Shell) -> None:
        self.tagged.append((reference, tuple(names)))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "cache", "run")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Told(tmp_path, [])


def deliver(engine: Engine, output: Output, shell: Shell, workspace: Workspace) -> bool:
    return delivery.deliver(engine, [Image(digest(engine.config))], ("app:1",), output, shell, workspace)  # type: ignore[arg-type]


def test_a_file_is_written_once_for_one_image_and_again_when_it_was_touched(
    tmp_path: Path, shell: Shell, workspace: Workspace
) -> None:
    engine, output = Engine(), Output("tar", tmp_path / "out/r.tar")
    assert [deliver(engine, output, shell, workspace) for _ in range(2)] == [True, False]
    os.utime(output.path, (1, 1))
    assert deliver(engine, output, shell, workspace)
    os.remove(output.path)
    assert deliver(engine, output, shell, workspace)
    engine.config = configuration([FILES], author="another")
    assert deliver(engine, output, shell, workspace)
    assert engine.saves == 4
    assert os.listdir(tmp_path / "out") == ["r.tar"]


@pytest.mark.parametrize("type_", ["docker-archive", "oci-archive", "tar", "directory"])
def test_what_cannot_be_written_whole_leaves_what_was_there(
    type_: Any, tmp_path: Path, shell: Shell, workspace: Workspace
) -> None:
    bad = configuration([layer(("another", b"layer"))])
    place = tmp_path / "out"
    if type_ == "directory":
        place.mkdir()
        (place / "top").write_text("old")
    else:
        place.write_text("old")
    with pytest.raises(MagnetError):
        deliver(Engine(bad), Output(type_, place), shell, workspace)
    assert sorted(os.listdir(tmp_path)) == ["cache", "out"]
    assert (place / "top" if type_ == "directory" else place).read_text() == "old"
    assert type_ != "directory" or os.listdir(place) == ["top"]


def test_a_directory_gets_files_among_those_that_are_there(tmp_path: Path, shell: Shell, workspace: Workspace) -> None:
    out = tmp_path / "out"
    (out / "d").mkdir(parents=True)
    (out / "d/own").write_text("own")
    (out / "top").write_text("old")
    for _ in range(2):
        assert deliver(Engine(), Output("directory", out), shell, workspace)
    assert {str(path.relative_to(out)): path.read_text() for path in out.rglob("*") if path.is_file()} == {
        "d/f": "content", "d/own": "own", "top": "x",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("there", "message"),
    [
        (lambda out: (out / "d").write_text(""), "`{}/d` is a directory in the image, and no directory here"),
        (lambda out: (out / "top").mkdir(), "`{}/top` is no directory in the image, and a directory here"),
        (lambda out: (out / "d").symlink_to("/tmp"), "`{}/d` is a directory in the image, and no directory here"),
    ],
    ids=["file", "directory", "link"],
)
def test_a_directory_that_is_in_the_way_is_left_alone(
    there: Callable[[Path], object], message: str, tmp_path: Path, shell: Shell, workspace: Workspace
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    there(out)
    before = sorted(os.listdir(out))
    with pytest.raises(MagnetError) as error:
        deliver(Engine(), Output("directory", out), shell, workspace)
    assert error.value.message == message.format(out)
    assert sorted(os.listdir(out)) == before


def test_an_output_is_not_written_over_what_is_of_another_kind(
    tmp_path: Path, shell: Shell, workspace: Workspace
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MagnetError, match="is a directory"):
        deliver(Engine(), Output("tar", tmp_path), shell, workspace)
    with pytest.raises(MagnetError, match="is no directory"):
        deliver(Engine(), Output("directory", tmp_path / "file"), shell, workspace)


def test_an_image_is_loaded_under_its_names_whatever_archive_it_is_in(tmp_path: Path, shell: Shell) -> None:
    docker_archive(tmp_path / "a.tar", [FILES], names=["app:1"])
    engine = Engine()
    loaded = delivery.load(engine, tmp_path / "a.tar", None, shell, tmp_path)  # type: ignore[arg-type]
    assert (loaded.id, loaded.tags) == (digest(CONFIG), ("app:1",))
    assert engine.tagged == [(digest(CONFIG), ("app:1",))]


def test_an_archive_that_is_not_there_or_has_no_such_platform_is_an_error(tmp_path: Path, shell: Shell) -> None:
    with pytest.raises(MagnetfileError, match="there is no archive"):
        delivery.load(Engine(), tmp_path / "nosuch", None, shell, tmp_path)  # type: ignore[arg-type]
    docker_archive(tmp_path / "a.tar", [FILES])
    with pytest.raises(MagnetError) as error:
        delivery.load(Engine(), tmp_path / "a.tar", OTHER.platform, shell, tmp_path)  # type: ignore[arg-type]
    assert (error.value.message, error.value.hint) == (
        "`a.tar` holds no image for linux/arm64", "name another `platform`; there is: linux/amd64",
    )  # fmt: skip


def test_an_image_that_is_there_already_is_only_named_by_a_copy(tmp_path: Path, shell: Shell) -> None:
    here, there = Engine(), Engine()
    image = Image(digest(CONFIG))
    for number in (1, 2):
        directory = tmp_path / str(number)
        directory.mkdir()
        file = directory / "image.tar"
        there.load = lambda file, image_id, shell: there.has.setdefault(image_id, Image(image_id))  # type: ignore[method-assign]
        copied = delivery.copy(here, image, ("app:1",), there, shell, directory)  # type: ignore[arg-type]
        assert (copied.id, copied.tags, file.exists()) == (image.id, ("app:1",), number == 1)
    assert (here.saves, there.tagged) == (1, [(image.id, ("app:1",))] * 2)


def test_a_name_stands_for_several_images_for_as_long_as_it_is_one_of_them(
    workspace: Workspace, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    variants = Variants(PODMAN, workspace)
    there = [IMAGE, OTHER]
    monkeypatch.setattr(type(PODMAN), "asking", lambda *_: answers(*there))
    assert variants.of("app:1", shell) == ()
    variants.note(["app:1"], [IMAGE, OTHER])
    assert variants.of("app:1", shell) == (IMAGE, OTHER)
    assert Variants(BUILDX, workspace)._read("app:1") == [], "what another engine has is another one's"
    there[:] = [Image("sha256:" + "ef" * 32), IMAGE, OTHER]
    assert variants.of("app:1", shell) == ()
    there[:] = [IMAGE]
    with pytest.raises(MagnetError, match="`app:1` is of 2 platforms, and the images of 1 are gone"):
        variants.of("app:1", shell)
    variants.note(["app:1"], [])
    assert variants.of("app:1", shell) == ()


# What a target or the command line says.


@pytest.mark.parametrize(
    ("word", "output"),
    [
        ("out", Output("directory", "out")),
        ("./out", Output("directory", "./out")),
        ("type=local,dest=out", Output("directory", "out")),
        ("type=tar,dest=r.tar", Output("tar", "r.tar")),
        ("dest=o.tar,type=oci", Output("oci-archive", "o.tar")),
        ('type=docker,"dest=a,b.tar"', Output("docker-archive", "a,b.tar")),
    ],
)
def test_an_output_is_written_on_the_command_line_as_for_docker(word: str, output: Output) -> None:
    assert default._output(word) == output


@pytest.mark.parametrize(
    "word", ["type=tar", "type=image,dest=x", "type=tar,dest=-", "type=tar,dest=x,y=z", "a=b", "-"]
)
def test_an_output_that_magnet_does_not_write_is_an_error(word: str) -> None:
    with pytest.raises(UsageError) as error:
        default._output(word)
    assert error.value.hint


@pytest.mark.parametrize("word", ["r.io/a:1", "type=registry,ref=r.io/a:1", "type=registry,ref=r.io/a:1,mode=max"])
def test_every_spelling_of_a_repository_is_the_same(word: str) -> None:
    assert default._repository(word) == "r.io/a:1"


@pytest.mark.parametrize("word", ["type=gha", "type=local,dest=x", "type=registry", "type=inline"])
def test_steps_go_to_no_other_place_than_a_registry(word: str) -> None:
    with pytest.raises(UsageError, match="no repository for steps of a build"):
        default._repository(word)


def test_several_platforms_are_those_between_commas_or_of_several_options() -> None:
    assert default._platforms([]) == {"platform": None}
    assert default._platforms(["linux/arm64"]) == {"platform": "linux/arm64"}
    assert default._platforms(["linux/arm64,linux/amd64"]) == {"platforms": ["linux/arm64", "linux/amd64"]}
    assert default._platforms(["linux/arm64", "linux/amd64"]) == {"platforms": ["linux/arm64", "linux/amd64"]}


def test_values_that_make_no_sense_are_errors_that_say_what_does() -> None:
    assert (epoch(None), epoch(0), epoch("17")) == (None, 0, 17)
    for value in (-1, "today", "1.5", True):
        with pytest.raises(MagnetfileError, match="is no time for `source_date_epoch`"):
            epoch(value)
    assert repositories("r.io/a") == ("r.io/a",)
    for name in ("app", "r.io/a@sha256:1", "type=gha,x/y"):
        with pytest.raises(MagnetfileError, match="is no repository for the steps of a build"):
            repositories([name])
    assert platforms_of(None, ["linux/amd64", "linux/amd64"]) == (Platform("linux", "amd64"),)
    with pytest.raises(MagnetfileError, match="both `platform` and `platforms` are given"):
        platforms_of("linux/amd64", "linux/arm64")
    with pytest.raises(MagnetfileError, match="`zip` is not a type of output"):
        Output("zip", "x")  # type: ignore[arg-type]
    with pytest.raises(MagnetfileError, match="a `tar` holds an image of one platform"):
        check_outputs([Output("tar", "x")])
