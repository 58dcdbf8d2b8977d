"""What a caller keeps to itself, on its way into steps and containers: secrets in files of their own, agents of SSH.

A value is read when an engine is about to be started, and not before. It goes into a file that only the caller can
read, below a directory that is removed whatever happens; no command line and no environment has it.
"""

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path

from magnet.errors import MagnetfileError
from magnet.model import Secret
from magnet.values import replace

LARGEST = 500 * 1024
"""Bytes of the largest secret that BuildKit takes."""

AGENT = "SSH_AUTH_SOCK"
"""The variable that tells where the caller's SSH agent is."""


def located(secrets: Iterable[Secret], root: Path, environ: Mapping[str, str]) -> tuple[Secret, ...]:
    """The secrets, with absolute paths; MagnetfileError where one cannot be had, or two have the same id."""
    found: dict[str, Secret] = {}
    for secret in secrets:
        if secret.id in found:
            raise MagnetfileError(f"there are two secrets `{secret.id}`", hint="give each an id of its own")
        if secret.file is not None:
            secret = replace(secret, file=_checked(secret, root))
        elif secret.env not in environ:
            raise MagnetfileError(
                f"the secret `{secret.id}` is the value of ${secret.env}, which is not set", hint=f"export {secret.env}"
            )
        found[secret.id] = secret
    return tuple(found.values())


def _checked(secret: Secret, root: Path) -> Path:
    path = Path(os.path.abspath(root / os.path.expanduser(secret.file or "")))
    if not path.exists() or path.is_dir() or not os.access(path, os.R_OK):
        why = "is a directory" if path.is_dir() else "cannot be read" if path.exists() else "does not exist"
        raise MagnetfileError(
            f"the file of the secret `{secret.id}` {why}: {path}",
            hint="correct the path; it is relative to the magnetfile's directory",
        )
    return path


def read(secrets: Iterable[Secret], environ: Mapping[str, str]) -> dict[str, bytes]:
    """The values of located secrets, by id."""
    values = {secret.id: _value(secret, environ) for secret in secrets}
    for name, value in values.items():
        if len(value) > LARGEST:
            raise MagnetfileError(
                f"the secret `{name}` has {len(value)} bytes, and may have {LARGEST} at most",
                hint="BuildKit takes no larger one; hand over a key, and fetch the rest in the step that needs it",
            )
    return values


def _value(secret: Secret, environ: Mapping[str, str]) -> bytes:
    if secret.file is None:
        return os.fsencode(environ[secret.env or ""])
    try:
        return Path(secret.file).read_bytes()
    except OSError as error:
        raise MagnetfileError(f"cannot read the secret `{secret.id}`: {error.strerror}: {secret.file}") from error


def paths(secrets: Iterable[Secret], directory: Path) -> dict[str, Path]:
    """Where `write` puts the values of secrets, by id."""
    return {secret.id: directory / secret.id for secret in secrets}


def write(values: Mapping[str, bytes], directory: Path) -> None:
    """Make the directory, with each value in a file that only the caller can read."""
    directory.mkdir(mode=0o700)
    for name, value in values.items():
        # Made with its mode, not given it afterwards: there is no moment in which others can open it.
        file = os.open(directory / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as writable:
            writable.write(value)


def agents(words: Iterable[str] | str, root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The sockets of SSH agents, or the files of keys, by the ids under which steps are to find them.

    A word is an id, as `default`, for the caller's own agent, or `id=path`. MagnetfileError where there is none.
    """
    found = {}
    for word in (words,) if isinstance(words, str) else words:
        name, equals, path = word.partition("=")
        if not name or (equals and not path):
            raise MagnetfileError(
                f"`{word}` is no SSH agent", hint="write `default`, or `ID=PATH` of a socket or a key"
            )
        found[name] = _agent(name, str(root / os.path.expanduser(path)) if path else environ.get(AGENT, ""))
    return found


def _agent(name: str, path: str) -> str:
    if not path:
        raise MagnetfileError(
            f"the build is to have the SSH agent `{name}`, and ${AGENT} is not set",
            hint="start an agent (`eval $(ssh-agent)`, `ssh-add`), or name a socket or a key: `ID=PATH`",
        )
    # Engines read more than one key between commas.
    if "," in path:
        raise MagnetfileError(f"the path of the SSH agent `{name}` has a comma in it: {path}", hint="rename it")
    try:
        is_socket = stat.S_ISSOCK(os.stat(path).st_mode)
        if is_socket:
            _connect(path)
    except OSError as error:
        raise MagnetfileError(
            f"no SSH agent `{name}` answers at {path}: {error.strerror}",
            hint="start an agent (`eval $(ssh-agent)`, `ssh-add`), or correct the path",
        ) from error
    return path


def _connect(path: str) -> None:
    import socket  # costs 4 ms, and few builds have an agent

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
        agent.settimeout(5)
        agent.connect(path)


def check_mounts(instructions: Iterable[Sequence[object]], secrets: Iterable[str], agents: Iterable[str]) -> None:
    """Raise MagnetfileError for a `RUN --mount` that requires a secret or an agent of another id than these.

    An engine notices only when it comes to that step, and not where it finds it in its layer cache. `instructions`
    are those of a Reading.
    """
    given = {"secret": set(secrets), "ssh": set(agents)}
    for name, *words in instructions:
        # The flags of an instruction stand before what tells whether its arguments are JSON.
        for word in takewhile(lambda word: not isinstance(word, bool), words) if name == "RUN" else ():
            if str(word).startswith("--mount="):
                _check_mount(str(word).removeprefix("--mount="), given)


_GIVEN_BY = {
    "secret": 'secrets=[Secret("{id}", file=...)], or `--secret id={id},src=FILE`',
    "ssh": 'ssh="{id}", or `--ssh {id}`',
}


def _check_mount(mount: str, given: Mapping[str, set[str]]) -> None:
    fields = {key.lower(): value for key, _, value in (field.partition("=") for field in mount.split(","))}
    kind = fields.get("type", "")
    if kind not in given or fields.get("required", "false").lower() not in ("", "true", "1", "t"):
        return
    target = fields.get("target") or fields.get("dst") or fields.get("destination") or ""
    wanted = fields.get("id") or (os.path.basename(target) if kind == "secret" else "default")
    if wanted not in given[kind] and "$" not in wanted:
        what = "secret" if kind == "secret" else "SSH agent"
        raise MagnetfileError(
            f"the Dockerfile requires the {what} `{wanted}`, and the build has none of that id",
            detail=[f"RUN --mount={mount}"],
            hint=f"give it one: {_GIVEN_BY[kind].format(id=wanted)}",
        )
