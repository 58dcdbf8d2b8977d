import shutil
from pathlib import Path

from magnet import Copy, Image, MagnetError, Mount, T, env, target

BASE_IMAGE = env("BASE_IMAGE", help="Image to build on; without one, `base` makes one of busybox")
GREETING = env("GREETING", "hello from magnet", help="What the image says")


@target
def base(t: T) -> str:
    """Make a base image of Debian's busybox-static, so that no registry is needed."""
    tag = "localhost/magnet-base:busybox"
    t.build("base", tags=[tag], context=[Copy(static_busybox(), "/busybox")])
    return tag


@target
def build(t: T) -> Image:
    """Build the image from the Dockerfile here."""
    image = t.build(
        ".",
        tags=[f"magnet-example:{t.project.version}"],
        build_args={"BASE_IMAGE": BASE_IMAGE or t.need(base), "GREETING": GREETING},
    )
    t.images("magnet-example")
    return image


@target
def run(t: T) -> None:
    """Run a command in the image that `build` makes."""
    image = t.need(build)
    t.run(
        image,
        *("sh", "-c", "env && ls -l /wd"),
        user="host",
        mounts=[Mount(".", "/wd", readonly=True, consistency="cached")],
        env={"hello": "world"},
    )


@target
def context(t: T) -> Image:
    """Build with a narrow context that holds only the files named here."""
    return t.build(
        ".",
        file="Dockerfile.context",
        tags=["context:example"],
        build_args={"BASE_IMAGE": BASE_IMAGE or t.need(base)},
        context=[Copy("assets/", "/scripts"), Copy("magnetfile.py", "/magnetfile.py")],
    )


def static_busybox() -> str:
    """The path of a busybox that needs no library, as Debian's busybox-static has."""
    path = shutil.which("busybox")
    if path is None or b"/ld-linux" in Path(path).read_bytes():
        raise MagnetError(
            "there is no busybox here that needs no library",
            hint="apt-get install busybox-static, or set BASE_IMAGE to an image that has a shell",
        )
    return path
