"""The options of the command line, which hold for the whole run, and the plain words that spell them.

Click reads every command line that is not plain, and explains what is wrong with it; what is plain is read here, as its
import is a fifth of what a build in which nothing changed takes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from magnet.values import frozen


@frozen
class Settings:
    """What the options of the command line say, and the words after them; `typed` are all words as they were given."""

    file: Path | None = None
    directory: Path | None = None
    backend: str | None = None
    jobs: int | None = None
    keep_going: bool = False
    dry_run: bool = False
    list_targets: bool = False
    force: bool = False
    offline: bool = False
    explain: bool = False
    files: bool = False
    as_json: bool = False
    progress: str = "auto"
    interleave: bool = False
    no_ci: bool = False
    summary: bool = False
    trace: Path | None = None
    timeline: Path | None = None
    watch: bool = False
    words: tuple[str, ...] = ()
    typed: tuple[str, ...] = ()


@frozen
class Option:
    """An option: its names, the setting that it makes, its help, and what a value of it is; a flag has none."""

    names: tuple[str, ...]
    setting: str
    help: str
    kind: "type[Path] | type[int] | type[str] | tuple[str, ...] | None" = None
    metavar: str | None = None


OPTIONS = (
    Option(("-f", "--file"), "file", "Use this magnetfile.", Path),
    Option(("-C", "--directory"), "directory", "Change to this directory first.", Path),
    Option(("--backend",), "backend", "Use this engine, and no other.", str, "docker|podman|buildah"),
    Option(("-j", "--jobs"), "jobs", "Run up to N targets at once.  [default: the number of CPUs]", int, "N"),
    Option(("-k", "--keep-going"), "keep_going", "After a failure, run what does not need it."),
    Option(("-n", "--dry-run"), "dry_run", "Print the commands, run none."),
    Option(("-l", "--list"), "list_targets", "List the targets."),
    Option(("--force",), "force", "Build what is done already, too."),
    Option(("--offline",), "offline", "Download nothing: use what is here already, and verified."),
    Option(("--explain",), "explain", "Tell which builds are to be done, and why; build nothing."),
    Option(("--files",), "files", "List the files of each build's context; build nothing."),
    Option(("--json",), "as_json", "Print --explain and --files as JSON."),
    Option(
        ("--progress",),
        "progress",
        "How to show progress; rawjson puts BuildKit's events on stdout, one a line.  [default: auto]",
        ("auto", "tty", "plain", "rawjson", "quiet"),
    ),
    Option(("--interleave",), "interleave", "With plain progress, show lines as they come, not target by target."),
    Option(("--no-ci",), "no_ci", "No folds and annotations of GitHub Actions and GitLab, even where they run this."),
    Option(("--summary",), "summary", "Report at the end what took longest, and what was cached."),
    Option(("--trace",), "trace", "Write what ran when into this file, for Perfetto or chrome://tracing.", Path),
    Option(("--timeline",), "timeline", "Draw what ran when into this file, an SVG.", Path),
    Option(("--watch",), "watch", "Run again when a file changes that the targets looked at, until Ctrl-C."),
)

NAMES = tuple(name for option in OPTIONS for name in option.names)
"""All names of magnet's own options that change a run."""

_NAMED: Mapping[str, Option] = {name: option for option in OPTIONS for name in option.names}


def is_on(value: str) -> bool:
    """Whether a variable of the environment turns something on.

    >>> is_on("1"), is_on("True"), is_on("0"), is_on("")
    (True, True, False, False)
    """
    return value.strip().lower() not in ("", "0", "false", "no", "off")


def read_plain(words: Sequence[str]) -> Settings | None:
    """The settings that words spell, where each option is a word of its own, and its value the next one or after `=`.

    None for all that is not so plain, or wrong: abbreviated, combined, a help to be shown.

    >>> read_plain(["--backend=podman", "-n", "build"])  # doctest: +ELLIPSIS
    Settings(file=None, directory=None, backend='podman', jobs=None, keep_going=False, dry_run=True, ...)
    >>> read_plain(["-nk", "build"])
    """
    found: dict[str, Any] = {}
    rest = list(words)
    while rest and rest[0].startswith("-"):
        name, equals, value = rest.pop(0).partition("=")
        option = _NAMED.get(name)
        if option is None or (equals and (option.kind is None or not name.startswith("--"))):
            return None
        if option.kind is None:
            found[option.setting] = True
            continue
        if not equals:
            if not rest:
                return None
            value = rest.pop(0)
        read = _read(option, value)
        if read is None:
            return None
        found[option.setting] = read
    return Settings(**found, words=tuple(rest))


def _read(option: Option, value: str) -> object:
    """The value of an option; None where it is none, or an unusual one."""
    if not value or value.startswith("-"):
        return None
    if isinstance(option.kind, tuple):
        return value if value in option.kind else None
    if option.kind is int:
        return int(value) if value.isascii() and value.isdigit() and int(value) > 0 else None
    return Path(value) if option.kind is Path else value
