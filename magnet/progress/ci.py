"""What services that run builds understand in a log: folds around a target's lines, and annotations of a file's.

For GitHub Actions see https://docs.github.com/actions/reference/workflow-commands-for-github-actions, and what its
runner makes of a line in src/Runner.Common/ActionCommand.cs of actions/runner. For GitLab see
https://docs.gitlab.com/ci/jobs/job_logs, "custom collapsible sections".
"""

import os
import re
from collections.abc import Mapping
from typing import Protocol

from magnet.events import Clock, Vertex, VertexWarning
from magnet.printing import Frame, plain


class Service(Frame, Protocol):
    """A service that runs builds: how it folds the lines of a target, and what it takes for no command of its own."""

    def error_annotation(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        end_line: int | None = None,
        title: str = "",
    ) -> str:
        """What shows an error beside the lines of a file, where the service has that."""

    def warning_annotation(self, warning: VertexWarning) -> str:
        """The same for a warning."""


def detect(environ: Mapping[str, str], clock: Clock) -> Service | None:
    """The service that runs this program, as the environment tells."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return GitHub(environ.get("GITHUB_WORKSPACE", ""))
    if environ.get("GITLAB_CI") == "true":
        return GitLab(clock)
    return None


class GitHub:
    """GitHub Actions, and what speaks its language; paths of files are told from the workspace on."""

    def __init__(self, workspace: str) -> None:
        self._workspace = workspace

    def before(self, target: Vertex) -> str:
        """A group. It cannot be told to be open from the beginning."""
        return f"::group::{_data(plain(target.name))}\n"

    def after(self, target: Vertex) -> str:
        """The end of the group."""
        return "::endgroup::\n"

    def shielded(self, text: str) -> str:
        """The lines between two that turn commands off and on, if one of them might be a command."""
        if not _may_be_command(text):
            return text
        token = os.urandom(16).hex()
        return f"::stop-commands::{token}\n{text if text.endswith(chr(10)) else f'{text}{chr(10)}'}::{token}::\n"

    def error_annotation(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        end_line: int | None = None,
        title: str = "",
    ) -> str:
        """An error in the summary of the run, and beside the line where a pull request has it."""
        return self._annotation("error", message, file, line, end_line, title)

    def warning_annotation(self, warning: VertexWarning) -> str:
        """The same for a warning."""
        lines = warning.range[0] if warning.range else None
        message = "\n".join((warning.short, *warning.detail, *([warning.url] if warning.url else [])))
        return self._annotation(
            "warning", message, warning.file or None, lines.start if lines else None, lines.end if lines else None, ""
        )

    def _annotation(
        self, command: str, message: str, file: str | None, line: int | None, end_line: int | None, title: str
    ) -> str:
        named = {"file": self._relative(file) if file else "", "line": line, "endLine": end_line, "title": title}
        properties = ",".join(f"{name}={_property(str(value))}" for name, value in named.items() if value)
        return f"::{command}{' ' if properties else ''}{properties}::{_data(plain(message))}\n"

    def _relative(self, file: str) -> str:
        path = os.path.abspath(file)
        below = os.path.relpath(path, self._workspace) if self._workspace else os.path.relpath(path)
        return path if below == ".." or below.startswith("../") else below


class GitLab:
    """GitLab's CI/CD."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._count = 0

    def before(self, target: Vertex) -> str:
        """A section: closed, unless the target is known to have failed."""
        self._count += 1
        is_failed = target.error and not target.canceled
        options = "" if is_failed else "[collapsed=true]"
        start = target.started or self._clock()
        name = plain(target.name).replace("\n", " ")
        return f"{_CLEAR}section_start:{start // 10**9}:{self._section}{options}\r{_CLEAR}{name}\n"

    def after(self, target: Vertex) -> str:
        """The end of the section."""
        end = target.completed or self._clock()
        return f"{_CLEAR}section_end:{end // 10**9}:{self._section}\r{_CLEAR}\n"

    def shielded(self, text: str) -> str:
        """The lines as they are: GitLab knows its commands by control characters, which are never printed."""
        return text

    def error_annotation(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        end_line: int | None = None,
        title: str = "",
    ) -> str:
        """Nothing: GitLab takes such things from files alone."""
        return ""

    def warning_annotation(self, warning: VertexWarning) -> str:
        """Nothing."""
        return ""

    @property
    def _section(self) -> str:
        # Names must differ within a job, and be of few characters.
        return f"magnet-{self._count}"


_CLEAR = "\x1b[0K"

_AT_LINE_START = re.compile(r"\n[^\w\n]*?:[^\w\n]*?:")
_ANYWHERE = re.compile(r"#[^\x20-\x7e]*#[^\x20-\x7e]*\[")


def _may_be_command(text: str) -> bool:
    """Whether the runner of GitHub might find a command in the text.

    A line that begins with `::` may be one, after white space too, and a carriage return ends a line; and so may be
    what an older form, `##[`, has anywhere in it. The runner compares as a language does, where characters of no width
    count for nothing: they may stand anywhere in these.
    """
    if text.isascii() and "::" not in text:
        return "##[" in text
    lines = "\n" + text.replace("\r", "\n")
    return _AT_LINE_START.search(lines) is not None or _ANYWHERE.search(text) is not None


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
