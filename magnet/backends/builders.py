"""What builds, as far as it decides what it is given: how it takes a context, and what its layer cache does not see."""

from collections.abc import Mapping
from typing import Literal

from magnet.backends.engine import BuilderKind
from magnet.values import frozen

Unseen = Literal["arguments", "mounts", "no network", "platform", "wildcards"]
LeftOut = Literal["hosts"]


@frozen
class Builder:
    """How a builder takes a context, and what its layer cache does not see.

    `context` is `sent` where the client sends all of a directory, but for what the `.dockerignore` at its root
    ignores, and finds the Dockerfile in it or adds one; `synced` where the builder fetches what is copied, keeps it
    under the directory's name, and ignores what `<Dockerfile>.dockerignore` says; `read` where it reads the directory
    where it is, ignores what the file of `--ignorefile` says, and mounts all of it into a step that mounts it.

    `runs_all` is whether it runs stages that are not needed, `fetches_syntax` whether it runs the image that a
    Dockerfile's `# syntax=` names, which it fetches first. `knows_owners` is whether it fails where it does not know
    the names after --chown. `makes_workdirs` is whether a WORKDIR makes its directory, as its user's: podman and
    buildah leave that to the next step, whose directory and user may be others.

    `unseen` is with what a step is taken for one that was done before: with other values of `arguments` outside of
    RUN; with other files that it `mounts`; with `no network` where it had one; for another `platform`, where a stage
    begins from nothing; with other files that its `wildcards` match.

    `caches_images` is whether its layer cache consists of images, which go with the last image that is made of them.

    `leaves_out` is what steps do not find that others give them: `hosts`, an /etc/hosts where there is no network.
    """

    context: Literal["sent", "synced", "read"]
    unseen: frozenset[Unseen]
    leaves_out: frozenset[LeftOut] = frozenset()
    caches_images: bool = False
    runs_all: bool = False
    fetches_syntax: bool = False
    knows_owners: bool = True
    makes_workdirs: bool = True


_BUILDKIT = Builder("synced", frozenset({"wildcards"}), fetches_syntax=True, knows_owners=False)

BUILDERS: Mapping[BuilderKind, Builder] = {
    "legacy": Builder("sent", frozenset({"no network"}), caches_images=True, runs_all=True),
    "buildkit": _BUILDKIT,
    "buildx": _BUILDKIT,
    "buildah": Builder(
        "read",
        frozenset({"arguments", "mounts", "no network", "platform"}),
        frozenset({"hosts"}),
        caches_images=True,
        makes_workdirs=False,
    ),
}
"""The builders that magnet knows; `buildah` is its library, which is podman's, too."""
