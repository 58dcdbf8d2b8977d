"""Images of several platforms in the stores of podman and buildah: manifest lists, each under a name of its own."""

import json
from collections.abc import Sequence
from typing import ClassVar

from magnet.backends.base import DETAIL_LINES, Backend, same_platform
from magnet.errors import EngineError
from magnet.model import Command, Image, Platform
from magnet.process import Shell


class KeepsLists(Backend):
    """An engine that keeps manifest lists, with the commands that podman and buildah share for them."""

    keeps_lists: ClassVar[bool] = True

    def create_list_command(self, name: str, images: Sequence[Image]) -> Command:
        """The command that makes a list of images; an id alone would be looked for in a registry."""
        ids = (f"containers-storage:{image.id.removeprefix('sha256:')}" for image in images)
        return self._command("manifest", "create", name, *ids)

    def inspect_list_command(self, name: str) -> Command:
        """The command that prints a list as JSON."""
        return self._command("manifest", "inspect", name)

    def has_list_command(self, name: str) -> Command:
        """The command that ends with 0 where a list is here under that name, and asks no registry."""
        return self._command("manifest", "exists", name)

    def remove_list_command(self, name: str) -> Command:
        """The command that removes a list, or one name of it."""
        return self._command("manifest", "rm", name)

    def push_list_command(self, name: str) -> Command:
        """The command that sends a list to its registry, with all that is in it; `push` sends but one image of it."""
        return self._command("manifest", "push", "--all", "--format=v2s2", *insecure(name), name, f"docker://{name}")

    def is_list(self, name: str, shell: Shell) -> bool:
        """Whether the name is that of an image of several platforms."""
        return shell.ask(self.has_list_command(name)).returncode == 0

    def described_list(self, name: str, shell: Shell) -> str:
        """What the engine says of a list; "" where there is none of that name."""
        if not self.is_list(name, shell):
            return ""
        return shell.ask(self.inspect_list_command(name)).stdout.decode(errors="replace")

    def make_list(self, name: str, images: Sequence[Image], new: str, shell: Shell) -> None:
        """Let the name be that of an image of several platforms; `new` is a name that is free."""
        self._must(shell, self.create_list_command(new, images))
        try:
            self._check_list(new, images, shell)
            if not shell.dry_run and self.is_list(name, shell):
                self._must(shell, self.remove_list_command(name))
            self.tag(new, [name], shell)
        finally:
            shell.clean(self.remove_list_command(new))

    def push(self, reference: str, shell: Shell) -> None:
        """Send an image to the registry that its name begins with, for all of its platforms."""
        if self.is_list(reference, shell):
            self._must(shell, self.push_list_command(reference))
        else:
            super().push(reference, shell)

    def _check_list(self, name: str, images: Sequence[Image], shell: Shell) -> None:
        if shell.dry_run:
            return
        answer = shell.ask(self.inspect_list_command(name))
        there = self._understood(_platforms, answer, self.inspect_list_command(name)) if answer.stdout else []
        missing = [image for image in images if not any(same_platform(one, image.platform) for one in there)]
        if missing or len(there) != len(images):
            raise EngineError(
                f"{self.engine} made a list of {', '.join(map(str, there)) or 'nothing'}, "
                f"not of {', '.join(str(image.platform) for image in images)}",
                detail=answer.tail[-DETAIL_LINES:] if not there else (),
            )


def _platforms(output: bytes) -> list[Platform]:
    found = [one["platform"] for one in json.loads(output)["manifests"] or ()]
    return [Platform(one["os"], one["architecture"], one.get("variant") or "") for one in found]


def insecure(reference: str) -> list[str]:
    """The option without which podman and buildah speak no plain HTTP, for a registry on this machine, as for docker.

    >>> insecure("127.0.0.1:5000/app:1"), insecure("registry.example/app")
    (['--tls-verify=false'], [])
    """
    registry = reference.partition("/")[0].rpartition(":")[0]
    return ["--tls-verify=false"] if registry == "localhost" or registry.startswith("127.") else []
