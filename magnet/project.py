"""Which project this is: its root, its name, its version, and its settings in pyproject.toml."""

import re
import tomllib
from pathlib import Path
from typing import Any

from magnet.errors import UsageError, did_you_mean
from magnet.model import Command, Project
from magnet.process import ask
from magnet.values import frozen

UNVERSIONED = "v0.0.0-unversioned"
"""The version of a project that git knows nothing of. It is usable as an image tag."""

_SETTINGS = ("backend", "name")


@frozen
class Settings:
    """`[tool.magnet]` of the project's pyproject.toml."""

    backend: str | None = None
    name: str | None = None


def read_settings(root: Path) -> Settings:
    """The settings in `root`'s pyproject.toml; there need not be one."""
    path = root / "pyproject.toml"
    try:
        tools: Any = tomllib.loads(path.read_text("utf-8")).get("tool", {})
    except FileNotFoundError:
        return Settings()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path.name} cannot be read: {error}") from error
    table = tools.get("magnet", {}) if isinstance(tools, dict) else None
    if not isinstance(table, dict):
        raise UsageError(f"{path.name}: [tool.magnet] must be a table")
    for key, value in table.items():
        if key not in _SETTINGS:
            raise UsageError(
                f"{path.name}: [tool.magnet] has no setting `{key}`",
                hint=did_you_mean(key, _SETTINGS) or f"known are: {', '.join(_SETTINGS)}",
            )
        if not isinstance(value, str):
            raise UsageError(f"{path.name}: [tool.magnet] {key} must be a string")
    return Settings(**table)


def describe(root: Path, name: str | None) -> Project:
    """The project at `root`.

    It is called `name`; else after its git remote and the path inside the repository; else, in a repository
    without a remote, after that path; else after its directory.
    """
    prefix = (_git(root, "rev-parse", "--show-prefix") or "").strip("/")
    remote = _remote_path(_git(root, "config", "--get", "remote.origin.url") or "")
    version = _git(root, "describe", "--tags", "--dirty", "--always") or UNVERSIONED
    found = "/".join(filter(None, (remote, prefix)))
    return Project(root=root, name=_safe_path(name or found) or root.name or "root", version=version)


def _git(root: Path, *arguments: str) -> str | None:
    answer = ask(Command(("git", *arguments)), cwd=root)
    return answer.stdout.decode(errors="replace").strip() or None if answer.returncode == 0 else None


def _remote_path(url: str) -> str:
    """`host/owner/name` of a git remote, or "" for one that is a path on this machine.

    >>> _remote_path("git@github.com:gravitational/magnet.git")
    'github.com/gravitational/magnet'
    >>> _remote_path("https://user:secret@example.org:8443/team/app")
    'example.org/team/app'
    """
    host, path = _split_url(url) if "://" in url else _split_scp(url)
    path = path.strip("/").removesuffix(".git")
    return f"{host}/{path}" if host and path else ""


def _split_url(url: str) -> tuple[str, str]:
    # Whatever stands before the last `@` may be a secret, even where it should have been quoted.
    scheme, _, rest = url.partition("://")
    match = re.fullmatch(r"(\[[^\]]*\]|[^:/]*)(?::\d*)?(/.*)?", rest.rpartition("@")[2])
    return (match[1], match[2] or "") if match and scheme != "file" else ("", "")


def _split_scp(url: str) -> tuple[str, str]:
    # git-clone(1): `[user@]host:path`, where no slash stands before the first colon.
    host, colon, path = url.partition(":")
    return (host.rpartition("@")[2], path) if colon and "/" not in host else ("", "")


def _safe_path(name: str) -> str:
    """The name as a relative path that stays below its directory."""
    parts = (re.sub(r"[^\w.@+-]", "-", part) for part in name.split("/"))
    return "/".join(part for part in parts if part.strip("."))
