"""Which project this is: its root, its name, its version, and its settings in pyproject.toml."""

import os
import re
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from magnet.errors import UsageError, did_you_mean
from magnet.model import Command, Project
from magnet.process import asking
from magnet.values import frozen

UNVERSIONED = "v0.0.0-unversioned"
"""The version of a project that git knows nothing of. It is usable as an image tag."""

_SETTINGS = ("backend", "name", "log_runs")


@frozen
class Settings:
    """`[tool.magnet]` of the project's pyproject.toml."""

    backend: str | None = None
    name: str | None = None
    log_runs: int | None = None


def read_settings(root: Path) -> Settings:
    """The settings in `root`'s pyproject.toml; there need not be one."""
    path = root / "pyproject.toml"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Settings()
    if b"magnet" not in content:
        return Settings()
    import tomllib  # costs 2 ms, and many projects have no settings

    try:
        tools: Any = tomllib.loads(content.decode()).get("tool", {})
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
        if key == "log_runs":
            if type(value) is not int or value < 1:
                raise UsageError(f"{path.name}: [tool.magnet] {key} must be a number from 1")
        elif not isinstance(value, str):
            raise UsageError(f"{path.name}: [tool.magnet] {key} must be a string")
    return Settings(**table)


def describe(root: Path, name: str | None) -> Project:
    """The project at `root`.

    It is called `name`; else after its git remote and the path inside the repository; else, in a repository
    without a remote, after that path; else after its directory.
    """
    prefix, url, version = _ask_git(root, _QUESTIONS) if _may_have_repository(root) else ("", "", "")
    found = "/".join(filter(None, (_remote_path(url), prefix.strip("/"))))
    return Project(root=root, name=_safe_path(name or found) or root.name or "root", version=version or UNVERSIONED)


_QUESTIONS = (
    ("rev-parse", "--show-prefix"),
    ("config", "--get", "remote.origin.url"),
    ("describe", "--tags", "--dirty", "--always"),
)


def _may_have_repository(root: Path) -> bool:
    """Whether git would find a repository; if it would not, it need not be asked."""
    return "GIT_DIR" in os.environ or any((directory / ".git").exists() for directory in (root, *root.parents))


def _ask_git(root: Path, questions: Iterable[tuple[str, ...]]) -> list[str]:
    """The answers to questions that are asked at the same time; "" where git has none."""
    with ExitStack() as stack:
        asked = [stack.enter_context(asking(Command(("git", *words)), cwd=root)) for words in questions]
        answers = [answer() for answer in asked]
    return [one.stdout.decode(errors="replace").strip() if one.returncode == 0 else "" for one in answers]


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
