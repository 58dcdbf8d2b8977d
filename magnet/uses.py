"""What of Dockerfile's language an instruction uses that not every engine has: the rows of the table of features.

https://docs.docker.com/reference/dockerfile/ tells what each is.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from magnet.sources import EVERYTHING, Scope, flag, in_context, shown, source_words
from magnet.values import frozen

if TYPE_CHECKING:
    from e2b_dockerfile_utils import DockerfileInstruction

_EXPANDED = frozenset(
    {"ADD", "ARG", "COPY", "ENV", "EXPOSE", "FROM", "LABEL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}
)
"""The instructions in whose words variables are replaced; in the others that is left to a shell, if there is one."""

_EXPANSION = re.compile(r"\$\{\w+(?P<kind>:\?|[-+?]|[#%/])")
_REPOSITORY = re.compile(r"(git|ssh)://|[\w.-]+@[\w.-]+:|https?://[^?#]*\.git([?#]|$)")
_OCTAL = re.compile(r"[0-7]{1,4}")
_SYMBOLIC = re.compile(r"[ugoa]*([-+=]([rwxXst]*|[ugo]))+(,[ugoa]*([-+=]([rwxXst]*|[ugo]))+)*")
_KIND_OF_EXPANSION = {":?": "expansion-required", **dict.fromkeys("-+?", "expansion-unset")}

_FLAGS = {
    "RUN": {"mount": "run-mount", "network": "run-network", "security": "run-security", "device": "run-device"},
    "COPY": {"link": "copy-link", "parents": "copy-parents", "exclude": "copy-exclude", "chmod": "copy-chmod"},
    "ADD": {
        "link": "copy-link",
        "exclude": "copy-exclude",
        "chmod": "copy-chmod",
        "checksum": "add-checksum",
        "keep-git-dir": "add-git",
        "unpack": "add-unpack",
    },
    "HEALTHCHECK": {"start-interval": "health-start-interval"},
    "FROM": {"platform": "from-platform"},
}
_OFF = "=false"


@frozen
class Use:
    """Where a Dockerfile uses what not every engine can: a feature's name, the words for it, and the instruction."""

    feature: str
    words: str
    line: int
    instruction: str


def uses(instruction: "DockerfileInstruction", scope: Scope, line: int) -> Iterator[Use]:
    """What one instruction uses, which stands at `line`."""
    for feature, words in _used(instruction, scope):
        yield use(feature, words, instruction, line)


def use(feature: str, words: str, instruction: "DockerfileInstruction", line: int) -> Use:
    """The use of a feature by an instruction."""
    return Use(feature, words, line, shown(instruction))


def is_repository(source: str) -> bool:
    """Whether a source of ADD is a git repository, for an engine that can add one.

    >>> is_repository("https://example.org/a.git#main"), is_repository("https://example.org/a.tar")
    (True, False)
    """
    return _REPOSITORY.match(source) is not None


def _used(instruction: "DockerfileInstruction", scope: Scope) -> Iterator[tuple[str, str]]:
    name = instruction.name
    if instruction.heredocs:
        yield "heredoc", f"{name} <<{instruction.heredocs[0].name}"
    for word in instruction.flags:
        option, _, value = word.removeprefix("--").partition("=")
        feature = _FLAGS.get(name, {}).get(option)
        if feature and value != "false":
            yield feature, f"{name} {_short(word)}"
        if option == "chmod":
            yield from _mode(value, name)
        if option == "exclude" and not value.removeprefix("!").startswith("**/") and _is_below(instruction, scope):
            yield "exclude-below", f"{name} --exclude={value}"
        if name == "RUN" and option == "mount":
            yield from _mount(value)
    if name == "RUN" and (network := flag(instruction, "network")) not in (None, "default", "host"):
        yield "network", f"RUN --network={network}"
    if name == "ADD":
        yield from _repositories(instruction, scope)
    if name in _EXPANDED:
        yield from _expansions(instruction)


def _short(word: str) -> str:
    """A flag without what belongs to one use of it only.

    >>> _short("--mount=type=cache,target=/c"), _short("--checksum=sha256:ab")
    ('--mount=type=cache', '--checksum')
    """
    option, _, value = word.partition("=")
    if option == "--mount":
        kind = next((field for field in value.split(",") if field.startswith("type=")), "type=bind")
        return f"--mount={kind}"
    return word if option in ("--network", "--security", "--platform") else option


def _mount(value: str) -> Iterator[tuple[str, str]]:
    fields = value.split(",")
    if "required" in fields:
        yield "mount-required", "RUN --mount=...,required without =true"
    names = [field.partition("=")[0].lower() for field in fields]
    if "type=secret" in fields and "id" not in names:
        yield "secret-of-target", "RUN --mount=type=secret without id="


def _mode(value: str, name: str) -> Iterator[tuple[str, str]]:
    if "$" in value:
        yield "chmod-variable", f"{name} --chmod={value}"
    elif not _OCTAL.fullmatch(value) and _SYMBOLIC.fullmatch(value):
        yield "chmod-symbolic", f"{name} --chmod={value}"
    elif _OCTAL.fullmatch(value) and int(value, 8) > 0o777:
        yield "chmod-special", f"{name} --chmod={value}"


def is_mode(value: str) -> bool:
    """Whether a value of --chmod means something to any engine.

    >>> is_mode("0755"), is_mode("u+x,go="), is_mode("999"), is_mode("$MODE")
    (True, True, False, True)
    """
    return "$" in value or bool(_OCTAL.fullmatch(value) or _SYMBOLIC.fullmatch(value))


def _is_below(instruction: "DockerfileInstruction", scope: Scope) -> bool:
    """Whether a COPY or an ADD takes anything but all that there is."""
    sources = [scope.expand(word, instruction.start_line) for word in source_words(instruction)]
    return any(source is None or in_context(source) != EVERYTHING for source in sources)


def _repositories(instruction: "DockerfileInstruction", scope: Scope) -> Iterator[tuple[str, str]]:
    for word in source_words(instruction):
        source = scope.expand(word, instruction.start_line) or word
        if is_repository(source):
            yield "add-git", f"ADD {source}"


def _expansions(instruction: "DockerfileInstruction") -> Iterator[tuple[str, str]]:
    for word in (*instruction.args, *instruction.flags):
        for found in _EXPANSION.finditer(word):
            feature = _KIND_OF_EXPANSION.get(found["kind"], "expansion-pattern")
            yield feature, f"{found[0]}...}}"
