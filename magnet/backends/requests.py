"""The parts of a request that docker, podman and buildah spell alike."""

import io
from collections.abc import Iterable

from magnet.model import BuildRequest, Mount, RunRequest


def build_arguments(request: BuildRequest) -> list[str]:
    """The arguments of `build` up to the context; every path is absolute, for the engines differ in what else it is."""
    arguments = [f"--iidfile={request.iidfile}", f"--file={request.dockerfile}"]
    arguments += [f"--tag={tag}" for tag in request.tags]
    arguments += [f"--build-arg={name}={value}" for name, value in request.build_args.items()]
    arguments += [f"--label={name}={value}" for name, value in request.labels.items()]
    if request.stage is not None:
        arguments.append(f"--target={request.stage}")
    if request.platform:
        arguments.append(f"--platform={request.platform}")
    if request.no_cache:
        arguments.append("--no-cache")
    return arguments + [word for option in request.options for word in option.argv()]


def run_arguments(request: RunRequest, *, user: str | None, mounts: Iterable[str]) -> list[str]:
    """The arguments of docker's and podman's `run` up to the image."""
    arguments = [f"--label={name}={value}" for name, value in request.labels.items()]
    flags = {
        "--rm": request.remove,
        "--detach": request.detach,
        "--interactive": request.interactive,
        "--tty": request.tty,
        "--privileged": request.privileged,
        "--read-only": request.read_only,
    }
    arguments += [flag for flag, wanted in flags.items() if wanted]
    values = {
        "--name": request.name,
        "--user": user,
        "--workdir": request.workdir,
        "--network": request.network,
        # The rest of an entrypoint goes in front of the command: docker's option takes a single word.
        "--entrypoint": None if request.entrypoint is None else "".join(request.entrypoint[:1]),
    }
    arguments += [f"{name}={value}" for name, value in values.items() if value is not None]
    arguments += [f"--mount={mount}" for mount in mounts]
    arguments += [f"--env={name}={value}" for name, value in request.env.items()]
    return arguments + [word for option in request.options for word in option.argv()]


def consistency(mount: Mount) -> str:
    """The field of `--mount` for a mount's consistency, or "" where none is asked for."""
    return f"consistency={mount.consistency}" if mount.consistency else ""


def mount_value(mount: Mount, *more: str) -> str:
    """The value of `--mount` for a bind mount, with more fields of an engine's: a line of CSV as all engines read it.

    >>> mount_value(Mount("/a,b", "/wd", readonly=True))
    'type=bind,"source=/a,b",target=/wd,readonly'
    """
    fields = ["type=bind", f"source={mount.source}", f"target={mount.target}"]
    fields += ["readonly"] if mount.readonly else []
    fields += filter(None, more)
    import csv

    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(fields)
    return line.getvalue().removesuffix("\r\n")
