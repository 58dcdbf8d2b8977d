import shutil
from pathlib import Path

from magnet import Container, Copy, Image, MagnetError, T, env, target

BASE_IMAGE = env("BASE_IMAGE", help="Image to build on; without one, `base` makes one of busybox")


@target
def base(t: T) -> str:
    """Make a base image of Debian's busybox-static, so that no registry is needed."""
    tag = "localhost/magnet-base:busybox"
    t.build("base", tags=[tag], context=[Copy(static_busybox(), "/busybox")])
    return tag


@target
def image(t: T) -> Image:
    """Build the database."""
    return t.build(".", tags=["database:example"], build_args={"BASE_IMAGE": BASE_IMAGE or t.need(base)})


@target
def database(t: T) -> Container:
    """Start the database, and fill it once it is healthy; it is gone when magnet ends."""
    db = t.start(t.need(image), wait="healthy")
    for row in ("ada=1815", "grace=1906"):
        db.exec("sh", "/db/load.sh", row)
    return db


@target(default=True)
def test(t: T) -> None:
    """Ask the database, as a program in a container of its own."""
    db = t.need(database)
    t.run(t.need(image), "sh", "-c", "echo ada | nc 127.0.0.1 5432 | grep -x 1815", network=db)


@target
def drop(t: T) -> None:
    """Tell a database of one's own to end, and look what it made of that."""
    with t.start(t.need(image), wait="healthy") as db:
        t.print("exit code", db.stop())


def static_busybox() -> str:
    """The path of a busybox that needs no library, as Debian's busybox-static has."""
    path = shutil.which("busybox")
    if path is None or b"/ld-linux" in Path(path).read_bytes():
        raise MagnetError(
            "there is no busybox here that needs no library",
            hint="apt-get install busybox-static, or set BASE_IMAGE to an image that has a shell",
        )
    return path
