"""A backend of magnet: podman with a store of its own, which no other use of it sees, and which can be thrown away."""

from typing import ClassVar

from magnet.backends.api import Podman


class PodmanScratch(Podman):
    """Podman, through the program `podman-scratch`, which comes with this package."""

    name: ClassVar[str] = "podman-scratch"
    program: ClassVar[str] = "podman-scratch"
