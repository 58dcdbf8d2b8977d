"""The parts of a request that docker, podman and buildah spell alike."""

import io
from collections.abc import Iterable

from magnet.errors import EngineError
from magnet.model import BuildRequest, Mount, RunRequest


def build_arguments(request: BuildRequest) -> list[str]:
    """The arguments of `build` up to the context; every path is absolute, for the engines differ in what else it is."""
    result = f"--output=type=tar,{_csv_field(f'dest={request.tar}')}" if request.tar else f"--iidfile={request.iidfile}"
    arguments = [result, f"--file={request.dockerfile}"]
    arguments += [f"--tag={tag}" for tag in request.tags]
    arguments += [f"--build-arg={name}={value}" for name, value in request.build_args.items()]
    arguments += [f"--label={name}={value}" for name, value in request.labels.items()]
    if request.stage is not None:
        arguments.append(f"--target={request.stage}")
    if request.platform:
        arguments.append(f"--platform={request.platform}")
    if request.no_cache:
        arguments.append("--no-cache")
    arguments += surroundings(request)
    return arguments + [word for option in request.options for word in option.argv()]


def surroundings(request: BuildRequest) -> list[str]:
    """The arguments of `build` for what is around its steps: network, hosts, limits, agents, other contexts."""
    # Podman and buildah know no network `default`, which is what they give to a build that asks for none.
    arguments = [f"--network={request.network}"] if request.network != "default" else []
    if request.hosts_file is None:
        arguments += [f"--add-host={name}:{address}" for name, address in request.hosts]
    if request.shm_size is not None:
        arguments.append(f"--shm-size={request.shm_size}")
    arguments += [f"--ulimit={limit}" for limit in request.ulimits]
    arguments += [f"--ssh={name}={path}" for name, path in request.ssh.items()]
    where = {name: f"docker-image://{one}" if isinstance(one, str) else one for name, one in request.contexts.items()}
    return arguments + [f"--build-context={name}={one}" for name, one in where.items()]


def secret_arguments(request: BuildRequest) -> list[str]:
    """The arguments of docker's `build` for its secrets, each a line of CSV."""
    return [f"--secret=id={name},{_csv_field(f'src={path}')}" for name, path in request.secrets.items()]


def _csv_field(text: str) -> str:
    """A field of a line of CSV.

    >>> _csv_field("src=/a,b")
    '"src=/a,b"'
    """
    return '"{}"'.format(text.replace('"', '""')) if set(text) & set(',"\n') else text


def run_arguments(
    request: RunRequest, *, user: str | None, mounts: Iterable[str], tmpfs: Iterable[str] = ()
) -> list[str]:
    """The arguments of docker's and podman's `run` up to the image; `mounts` are options, `tmpfs` words for each."""
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
    arguments += mounts
    arguments += [f"--env={name}={value}" for name, value in request.env.items()]
    from magnet.backends.surroundings import parse_tmpfs, tmpfs_option  # a build that is found done does without

    # Without a value it is the one that the client has in its own environment.
    arguments += [f"--env={name}" for name in request.secret_env]
    for option in request.options:
        is_tmpfs = option.name == "--tmpfs"
        arguments += [tmpfs_option(parse_tmpfs(option.value or ""), *tmpfs)] if is_tmpfs else option.argv()
    return arguments


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


def volume_value(mount: Mount) -> str:
    """The option `--volume` for a bind mount with a label, which docker's and buildah's `--mount` have no word for."""
    if ":" in f"{mount.source}{mount.target}":
        raise EngineError(
            f"a path with a colon cannot be mounted with `relabel` on this engine: {mount.source}",
            hint="rename it, or use --backend podman",
        )
    words = ["ro" if mount.readonly else "rw", "z" if mount.relabel == "shared" else "Z"]
    return f"--volume={mount.source}:{mount.target}:{','.join([*words, *filter(None, [mount.consistency])])}"
