"""Images of several platforms on their way to a registry, by manifest lists as podman and buildah make them.

A list is in the store for no longer than that. With one in it, podman 4.3 and buildah 1.28 can list no images while
there is one without layers among them, such as one that they keep of the first steps of a build from nothing:
`locating item named "manifest-sha256:..." for image with ID "..." (consider removing the image to resolve the issue)`.
"""

import json
from collections.abc import Sequence

from magnet.backends.base import DETAIL_LINES, Backend, same_platform
from magnet.errors import EngineError
from magnet.model import Command, Image, Platform
from magnet.process import Shell


class MakesLists(Backend):
    """An engine that makes manifest lists, with the commands that podman and buildah share for them."""

    def create_list_command(self, name: str, images: Sequence[Image]) -> Command:
        """The command that makes a list of images; an id alone would be looked for in a registry."""
        ids = (f"containers-storage:{image.id.removeprefix('sha256:')}" for image in images)
        return self._command("manifest", "create", name, *ids)

    def push_list_command(self, name: str, reference: str) -> Command:
        """The command that sends a list to a registry, with all that is in it; `push` would send one image of it."""
        return self._command(
            "manifest", "push", "--all", "--format=v2s2", *insecure(reference), name, f"docker://{reference}"
        )

    def push_platforms(self, reference: str, images: Sequence[Image], new: str, shell: Shell) -> None:
        """Send an image of several platforms to the registry that its name begins with; `new` is a name that is free.

        Of each platform there is one of `images`.
        """
        self._must(shell, self.create_list_command(new, images))
        try:
            self._check_list(new, images, shell)
            self._must(shell, self.push_list_command(new, reference))
        finally:
            shell.clean(self._command("manifest", "rm", new))

    def _check_list(self, name: str, images: Sequence[Image], shell: Shell) -> None:
        if shell.dry_run:
            return
        command = self._command("manifest", "inspect", name)
        answer = shell.ask(command)
        there = self._understood(_platforms, answer, command) if answer.returncode == 0 else []
        missing = [image for image in images if not any(same_platform(one, image.platform) for one in there)]
        if missing or len(there) != len(images):
            raise EngineError(
                f"{self.engine} made a list of {', '.join(map(str, there)) or 'nothing'}, "
                f"not of {', '.join(str(image.platform) for image in images)}",
                detail=() if there else answer.tail[-DETAIL_LINES:],
            )


def _platforms(output: bytes) -> list[Platform]:
    found = [one["platform"] for one in json.loads(output)["manifests"] or ()]
    return [Platform(one["os"], one["architecture"], one.get("variant") or "") for one in found]


def insecure(reference: str) -> list[str]:
    """The option without which podman and buildah speak no plain HTTP, for a registry on this machine, as for docker.

    >>> insecure("127.0.0.1:5000/app:1"), insecure("registry.example/app")
    (['--tls-verify=false'], [])
    """
    host = reference.partition("/")[0].rpartition(":")[0]
    return ["--tls-verify=false"] if host == "localhost" or host.startswith("127.") else []
