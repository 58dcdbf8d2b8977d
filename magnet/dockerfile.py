"""What a Dockerfile needs: its stages, the images they start from, and what they take from the build context.

The grammar and the expansion of words are BuildKit's, ported in e2b_dockerfile_utils. What is added here is what
BuildKit then makes of the instructions: https://github.com/moby/buildkit/tree/master/frontend/dockerfile/dockerfile2llb
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from e2b_dockerfile_utils import (
    DockerfileAst,
    DockerfileInstruction,
    DockerfileSyntaxError,
    ShellLex,
    parse_dockerfile_ast,
)

from magnet.errors import MagnetfileError, did_you_mean
from magnet.model import EMPTY, SCRATCH, Platform, this_machine
from magnet.sources import (
    Transfer,
    copied,
    excluded,
    flag,
    is_remote,
    keeps_parents,
    mounted,
    mounts,
    source_words,
    transfer,
)
from magnet.uses import Use, use, uses
from magnet.values import frozen

_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*", re.IGNORECASE)
_DIRECTIVE = re.compile(r"#\s*(syntax|escape|check)\s*=\s*(.+?)\s*", re.IGNORECASE)
_EXPANDED_WORDS = frozenset({"EXPOSE", "LABEL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"})
_PREDEFINED = re.compile(r"(?:http|https|ftp|no)_proxy|(?:HTTP|HTTPS|FTP|NO)_PROXY")
_OUR_SYNTAX = re.compile(r"(docker\.io/)?docker/dockerfile([:@].*)?")


@frozen
class Stage:
    """One `FROM` and what follows it.

    `name`, `base` and `platform`, that of `--platform`, are as written; a name means the same in any case.
    """

    index: int
    name: str | None
    base: str
    start: DockerfileInstruction
    instructions: tuple[DockerfileInstruction, ...]
    platform: str | None = None

    @property
    def line(self) -> int:
        """Where its FROM stands, from 1."""
        return self.start.start_line

    def is_called(self, name: str) -> bool:
        """Whether `name` is this stage's name."""
        return self.name is not None and self.name.lower() == name.lower()

    def __str__(self) -> str:
        return self.name or str(self.index)


@frozen
class Described:
    """What of a Dockerfile decides the result of a build, in values of JSON: see `Dockerfile.described`.

    `platforms` are those that a FROM asks for by itself, by the image that it names.
    """

    instructions: list[list[object]]
    arguments: dict[str, str | None]
    platforms: dict[str, str]
    unchecked: tuple[str, ...]
    mounts_context: bool


@frozen
class Layout:
    """How the stages that are needed lie in a Dockerfile: by index, what each starts from.

    `volumes` are the VOLUMEs that the wanted stage ends up with, but for those of an image from outside; None is one
    that is not known. `end` is the last line of the wanted stage.
    """

    bases: Mapping[int, str]
    volumes: tuple[str | None, ...]
    end: int
    is_last: bool


@frozen
class Dockerfile:
    """A parsed Dockerfile. `arguments` are its `ARG`s before the first `FROM`, `syntax` its `# syntax=` line.

    A stage is given by its name or number, and None is the last one. `platform` is what is built for; None is this
    machine's own, which is also what BUILDPLATFORM is.
    """

    path: Path
    escape: str
    syntax: str | None
    arguments: tuple[DockerfileInstruction, ...]
    stages: tuple[Stage, ...]

    @property
    def is_foreign(self) -> bool:
        """Whether its `# syntax=` line names a grammar that is not docker/dockerfile's."""
        return self.syntax is not None and not _OUR_SYNTAX.fullmatch(self.syntax)

    def stage(self, name: str | None = None) -> Stage:
        """The stage of that name or number; the last one where none is asked for."""
        found = self.stages[-1] if name is None else _stage_in(self.stages, name)
        if found is None:
            raise self._no_stage(name or "")
        return found

    def target(self, name: str | None = None) -> str | None:
        """What `--target` has to say for that stage; None where the option is not needed.

        A number becomes the stage's name, as podman 4.3, buildah 1.28 and BuildKit know no numbers. A stage that has
        no name and is not the last keeps its number, which only podman 5 and buildah 1.39 understand.
        """
        stage = self.stage(name)
        return stage.name or (None if stage is self.stages[-1] else str(stage.index))

    def needed(
        self, stage: str | None = None, build_args: Mapping[str, str] = EMPTY, platform: Platform | None = None
    ) -> tuple[Stage, ...]:
        """The stages that have to be built for `stage`, and it: those named by FROM, COPY --from and RUN --mount."""
        return _Reading(self, build_args, platform).needed(self.stage(stage))

    def bases(
        self, stage: str | None = None, build_args: Mapping[str, str] = EMPTY, platform: Platform | None = None
    ) -> tuple[str, ...]:
        """The images from outside that the needed stages start from, copy from or mount, in order; not `scratch`."""
        reading = _Reading(self, build_args, platform)
        found = (image for needed in reading.needed(self.stage(stage)) for image in reading.images(needed))
        return tuple(dict.fromkeys(found))

    def sources(
        self, stage: str | None = None, build_args: Mapping[str, str] = EMPTY, platform: Platform | None = None
    ) -> tuple[str, ...] | None:
        """What the needed stages copy or mount of the build context, as patterns; None where that cannot be known.

        The patterns are those of an ignore file, sorted; `.` is everything. Unknown is a path with
        a variable that neither the Dockerfile nor `build_args` give a value (the base image may), or that an ARG and
        an ENV both set (the engines differ), and all paths where another `# syntax=` than docker/dockerfile decides
        what is copied. What an ONBUILD of a base image from outside copies is not seen here.
        """
        if self.is_foreign:
            return None
        reading = _Reading(self, build_args, platform)
        found = {source for needed in reading.needed(self.stage(stage)) for source in reading.sources(needed)}
        known = {source for source in found if source is not None}
        return tuple(sorted(known)) if len(known) == len(found) else None

    def excludes(
        self, stage: str | None = None, build_args: Mapping[str, str] = EMPTY, platform: Platform | None = None
    ) -> dict[str, list[str]]:
        """For each of the sources of which all that take it exclude something: the patterns that they agree on."""
        reading = _Reading(self, build_args, platform)
        found: dict[str, list[str]] = {}
        for needed in reading.needed(self.stage(stage)):
            for source, patterns in reading.excludes(needed):
                found[source] = [pattern for pattern in found.get(source, patterns) if pattern in patterns]
        return {source: patterns for source, patterns in found.items() if patterns}

    def keeps_parents(
        self, stage: str | None = None, build_args: Mapping[str, str] = EMPTY, platform: Platform | None = None
    ) -> bool:
        """Whether the directories that sources are in are copied, too, somewhere in the needed stages."""
        needed = _Reading(self, build_args, platform).needed(self.stage(stage))
        return any(keeps_parents(instruction) for one in needed for instruction in one.instructions)

    def described(
        self, stage: str | None = None, build_args: Mapping[str, str] = EMPTY, platform: Platform | None = None
    ) -> Described:
        """The needed stages' instructions with the bases that they name, the values of the ARGs that these declare
        (None where there is none), the URLs that an ADD fetches without a checksum, and whether a RUN mounts files of
        the context.
        """
        reading = _Reading(self, build_args, platform)
        needed = reading.needed(self.stage(stage))
        # The number of a stage that COPY or a mount names is that among the needed ones: others do not count.
        numbers = {str(one.index): number for number, one in enumerate(needed)}
        instructions = [line for one in needed for line in reading.described(one, numbers)]
        platforms = {reading.base(one): asked for one in needed if (asked := reading.platform(one))}
        arguments = {name: value for one in needed for name, value in reading.arguments(one)}
        unchecked = tuple(url for one in needed for url in reading.unchecked(one))
        mounts_context = any(reading.mounts_context(one) for one in needed)
        return Described(instructions, arguments, platforms, unchecked, mounts_context)

    def uses(
        self,
        stage: str | None = None,
        build_args: Mapping[str, str] = EMPTY,
        platform: Platform | None = None,
        users: Mapping[str, str] = EMPTY,
    ) -> tuple[Use, ...]:
        """What the needed stages use that not every engine has, in order; MagnetfileError for a mistake in them.

        `users` are those of the images from outside. Of a foreign grammar nothing is known but that it is one.
        """
        if self.is_foreign:
            return (Use("foreign-syntax", f"# syntax={self.syntax}", 1, f"# syntax={self.syntax}"),)
        reading = _Reading(self, build_args, platform, users)
        found = list(reading.uses_before_stages())
        for needed in reading.needed(self.stage(stage)):
            found += reading.uses(needed)
        return tuple(dict.fromkeys(found))

    def consumed(
        self, stage: str | None = None, build_args: Mapping[str, str] = EMPTY, platform: Platform | None = None
    ) -> frozenset[str]:
        """The given build args that mean something to the needed stages; all where the grammar is foreign."""
        if self.is_foreign:
            return frozenset(build_args)
        reading = _Reading(self, build_args, platform)
        needed = reading.needed(self.stage(stage))
        declared = {name for one in needed for name, _ in reading.arguments(one)}
        declared |= {word.partition("=")[0] for one in self.arguments for word in one.args}
        begins = " ".join([*(f"{one.base} {one.platform or ''}" for one in needed)])
        return frozenset(
            name
            for name in build_args
            if name in declared or _PREDEFINED.fullmatch(name) or (name in reading.named_platforms and name in begins)
        )

    def layout(
        self, stage: str | None = None, build_args: Mapping[str, str] = EMPTY, platform: Platform | None = None
    ) -> Layout:
        """What is needed for a stage, and where it ends."""
        reading, wanted = _Reading(self, build_args, platform), self.stage(stage)
        return Layout(
            {needed.index: reading.base(needed) for needed in reading.needed(wanted)},
            tuple(dict.fromkeys(reading.volumes(wanted))),
            max(one.end_line for one in (wanted.start, *wanted.instructions)),
            wanted is self.stages[-1],
        )

    def unmade_workdirs(
        self,
        stage: str | None = None,
        build_args: Mapping[str, str] = EMPTY,
        platform: Platform | None = None,
        users: Mapping[str, str] = EMPTY,
    ) -> tuple[int, ...]:
        """The last lines of the needed stages' WORKDIRs which their own user does not use in a RUN at once."""
        reading = _Reading(self, build_args, platform, users)
        needed = reading.needed(self.stage(stage)) if not self.is_foreign else ()
        return tuple(line for one in needed for line in reading.unmade_workdirs(one))

    def runs(
        self, stage: str | None = None, build_args: Mapping[str, str] = EMPTY, platform: Platform | None = None
    ) -> tuple[tuple[str, Use], ...]:
        """The needed stages' RUNs, each with the image from outside, or `scratch`, at the bottom of its stage."""
        reading = _Reading(self, build_args, platform)
        needed = reading.needed(self.stage(stage)) if not self.is_foreign else ()
        return tuple((reading.bottom(one), run) for one in needed for run in reading.runs(one))

    def transfers(
        self, stage: str | None = None, build_args: Mapping[str, str] = EMPTY, platform: Platform | None = None
    ) -> tuple[Transfer, ...]:
        """The needed stages' COPYs and ADDs, in order; none where the grammar is foreign."""
        if self.is_foreign:
            return ()
        reading = _Reading(self, build_args, platform)
        return tuple(one for needed in reading.needed(self.stage(stage)) for one in reading.transfers(needed))

    def _no_stage(self, name: str) -> MagnetfileError:
        names = [str(stage) for stage in self.stages]
        return MagnetfileError(
            f"`{self.path}` has no stage `{name}`",
            detail=[f"its stages are: {', '.join(names)}"],
            hint=did_you_mean(name, names),
        )


def parse(path: Path) -> Dockerfile:
    """Read and parse a Dockerfile. Bytes that are not UTF-8 are kept, as os.fsdecode keeps them."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MagnetfileError(f"cannot read `{path}`: {error.strerror}") from error
    return parse_text(path, content.decode(errors="surrogateescape"))


def parse_text(path: Path, text: str) -> Dockerfile:
    """Parse what was read from the Dockerfile at `path`."""
    text = text.removeprefix("\ufeff")
    try:
        ast = parse_dockerfile_ast(text)
    except DockerfileSyntaxError as error:
        raise _error(path, error.line, str(error).partition(": ")[2]) from error
    return _dockerfile(path, _syntax(text), ast)


def _error(path: Path, line: int | None, message: str) -> MagnetfileError:
    return MagnetfileError(f"`{path}`{f', line {line}' if line else ''}: {message}")


def is_directive(line: str, name: str | None = None) -> bool:
    """Whether a line is a directive of the parser, as `# syntax=...`, or the one of that name."""
    found = _DIRECTIVE.fullmatch(line.removeprefix("\ufeff").strip())
    return found is not None and name in (None, found[1].lower())


def _syntax(text: str) -> str | None:
    for line in text.splitlines():
        directive = _DIRECTIVE.fullmatch(line.strip())
        if not directive:
            return None
        if directive[1].lower() == "syntax":
            return directive[2]
    return None


def _dockerfile(path: Path, syntax: str | None, ast: DockerfileAst) -> Dockerfile:
    starts = [number for number, instruction in enumerate(ast.instructions) if instruction.name == "FROM"]
    if not starts:
        raise _error(path, None, "there is no FROM in it")
    arguments = tuple(ast.instructions[: starts[0]])
    for instruction in arguments:
        if instruction.name != "ARG":
            raise _error(path, instruction.start_line, f"{instruction.name} before the first FROM")
    ends = [*starts[1:], len(ast.instructions)]
    stages = (
        _stage(path, index, ast.instructions[start:end])
        for index, (start, end) in enumerate(zip(starts, ends, strict=True))
    )
    return Dockerfile(path, ast.escape_token, syntax, arguments, tuple(stages))


def _stage(path: Path, index: int, instructions: Sequence[DockerfileInstruction]) -> Stage:
    start = instructions[0]
    match start.args:
        case [base]:
            name = None
        case [base, word, name] if word.lower() == "as":
            if not _STAGE_NAME.fullmatch(name):
                raise _error(path, start.start_line, f"`{name}` cannot be the name of a stage")
        case _:
            raise _error(path, start.start_line, "FROM takes an image, or an image, AS and a name")
    return Stage(index, name, base, start, tuple(instructions[1:]), flag(start, "platform"))


def _stage_in(stages: Sequence[Stage], word: str) -> Stage | None:
    # Of two stages of one name the later counts, as in BuildKit.
    named = next((stage for stage in reversed(stages) if stage.is_called(word)), None)
    is_number = word.isdecimal() and int(word) < len(stages)
    return stages[int(word)] if named is None and is_number else named


class _Scope(Mapping[str, str]):
    """The variables at one place of a Dockerfile: those with a value, and those (None) whose value is not known."""

    def __init__(self, dockerfile: Dockerfile, *, is_complete: bool) -> None:
        self._dockerfile = dockerfile
        self._is_complete = is_complete  # there is no base image whose variables are not known here
        self._values: dict[str, str | None] = {}
        self._from_env: set[str] = set()
        self._met_unknown = False

    def expand(self, word: str, line: int) -> str | None:
        """The word with its variables replaced and its quotes removed; None where one of them is not known."""
        self._met_unknown = False
        lexer = ShellLex(self._dockerfile.escape, env=self, skip_unset_env=False)
        try:
            text = lexer.process_word(word)
        except ValueError as error:
            if not self._met_unknown:  # or else `${X:?}` may well be satisfied by the base image
                raise _error(self._dockerfile.path, line, str(error)) from error
        return None if self._met_unknown else text

    def enter_child(self) -> None:
        """Become the variables of a stage that starts from the one that these are of."""
        # The ARGs of the parent are known there to BuildKit, and not to podman and buildah.
        self._values.update(dict.fromkeys(self._values.keys() - self._from_env))

    def set_arg(self, name: str, value: str | None) -> None:
        # After an ENV of that name, BuildKit takes the ARG, and podman and buildah the ENV.
        self._values[name] = None if name in self._from_env else value

    def set_env(self, name: str, value: str | None) -> None:
        self._values[name] = value
        self._from_env.add(name)

    def __getitem__(self, name: str) -> str:
        value = self._values.get(name)
        if value is None:
            self._met_unknown |= name in self._values or not self._is_complete
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class _Reading:
    """A Dockerfile as it reads with one set of build args, for one platform."""

    def __init__(
        self,
        dockerfile: Dockerfile,
        build_args: Mapping[str, str],
        platform: Platform | None,
        users: Mapping[str, str] = EMPTY,
    ) -> None:
        self._dockerfile = dockerfile
        self._users = users
        self._build_args = build_args
        self._globals = _Scope(dockerfile, is_complete=True)
        self.named_platforms = platform_args(platform or this_machine())
        for name, value in self.named_platforms.items():
            self._globals.set_arg(name, build_args.get(name, value))
        for instruction in dockerfile.arguments:
            for word in instruction.args:  # each sees those before it, unlike in a stage
                self._declare_args([word], instruction.start_line, self._globals)

    def needed(self, target: Stage) -> tuple[Stage, ...]:
        found: dict[int, Stage] = {}
        waiting = [target]
        while waiting:
            stage = waiting.pop()
            if stage.index not in found:
                found[stage.index] = stage
                waiting.extend(self._stages_used(stage))
        return tuple(found[index] for index in sorted(found))

    def images(self, stage: Stage) -> Iterator[str]:
        """The images from outside that one stage uses."""
        if self._parent(stage) is None:
            yield from _unless_scratch(self.base(stage))
        for word in self._origins(stage):
            if _stage_in(self._dockerfile.stages, word) is None:
                yield from _unless_scratch(word)

    def sources(self, stage: Stage) -> Iterator[str | None]:
        """What one stage takes from the build context; None for what cannot be known."""
        for instruction, scope in self._steps(stage):
            if instruction.name in ("COPY", "ADD"):
                yield from copied(instruction, scope)
            elif instruction.name == "RUN":
                yield from mounted(instruction, scope)

    def excludes(self, stage: Stage) -> Iterator[tuple[str, list[str]]]:
        """What one stage takes from the build context, and what it excludes of that."""
        for instruction, scope in self._steps(stage):
            for source in copied(instruction, scope) if instruction.name in ("COPY", "ADD") else ():
                if source is not None:
                    yield source, list(excluded(instruction))
            for source in mounted(instruction, scope):
                if source is not None:
                    yield source, []

    def described(self, stage: Stage, numbers: Mapping[str, int]) -> Iterator[list[object]]:
        """The instructions of one stage, its FROM with the base that it names."""
        yield ["FROM", self.base(stage), stage.name or "", self.platform(stage)]
        for instruction in stage.instructions:
            flags = [_renumbered(flag, numbers) for flag in instruction.flags]
            heredocs = [[one.name, one.content, one.chomp, one.expand] for one in instruction.heredocs]
            yield [instruction.name, *flags, instruction.json, *instruction.args, *heredocs]

    def platform(self, stage: Stage) -> str:
        """The platform that a stage's FROM asks for, or ""."""
        return self._globals.expand(stage.platform, stage.line) or "" if stage.platform else ""

    def arguments(self, stage: Stage) -> Iterator[tuple[str, str | None]]:
        """The ARGs that one stage declares, with the values that they get from outside."""
        for instruction in self._instructions(stage):
            for word in instruction.args if instruction.name == "ARG" else ():
                name = word.partition("=")[0]
                yield name, self._build_args.get(name, self._globals.get(name))

    def unchecked(self, stage: Stage) -> Iterator[str]:
        """The URLs and repositories that one stage adds, whatever is there."""
        for instruction, scope in self._steps(stage):
            if instruction.name == "ADD" and not flag(instruction, "checksum"):
                for word in source_words(instruction):
                    source = scope.expand(word, instruction.start_line) or word
                    if is_remote(source):
                        yield source

    def mounts_context(self, stage: Stage) -> bool:
        """Whether one stage mounts something of the build context."""
        steps = self._steps(stage)
        return any(True for instruction, scope in steps for _ in mounted(instruction, scope))

    def uses_before_stages(self) -> Iterator[Use]:
        """What the ARGs before the first FROM use."""
        for instruction in self._dockerfile.arguments:
            yield from uses(instruction, self._globals, instruction.start_line)

    def uses(self, stage: Stage) -> Iterator[Use]:
        """What one stage uses, where its own lines tell, with what its ONBUILDs will use."""
        yield from uses(stage.start, self._globals, stage.line)
        has_volumes = self._has_volumes(self._parent(stage))
        is_root = self._begins_as_root(stage)
        for instruction, scope in self._steps(stage):
            self._check_words(instruction, scope)
            yield from self._uses(instruction, scope)
            if instruction.name == "VOLUME":
                has_volumes = True
            elif instruction.name == "USER":
                is_root = _is_root(instruction, scope)
            elif instruction.name == "RUN" and has_volumes:
                yield use("volume-writes", "RUN after VOLUME", instruction, instruction.start_line)
            elif instruction.name == "WORKDIR" and not is_root:
                yield use("workdir-owner", "WORKDIR after USER", instruction, instruction.start_line)

    def bottom(self, stage: Stage) -> str:
        """The image from outside that a stage, or one that it starts from, starts from."""
        parent = self._parent(stage)
        return self.base(stage) if parent is None else self.bottom(parent)

    def runs(self, stage: Stage) -> Iterator[Use]:
        """The RUNs of one stage, as writers into what may be a volume."""
        for instruction in self._instructions(stage):
            if instruction.name == "RUN":
                yield use("volume-writes", "RUN in a VOLUME", instruction, instruction.start_line)

    def volumes(self, stage: Stage) -> Iterator[str | None]:
        """The VOLUMEs of a stage and of those that it starts from; None for one that is not known."""
        if (parent := self._parent(stage)) is not None:
            yield from self.volumes(parent)
        for instruction, scope in self._steps(stage):
            if instruction.name == "VOLUME":
                yield from (scope.expand(word, instruction.start_line) for word in instruction.args)

    def transfers(self, stage: Stage) -> Iterator[Transfer]:
        """The COPYs and ADDs of one stage."""
        for instruction, scope in self._steps(stage):
            if instruction.name in ("COPY", "ADD"):
                yield transfer(instruction, scope)

    def _uses(self, instruction: DockerfileInstruction, scope: _Scope) -> Iterator[Use]:
        yield from uses(instruction, scope, instruction.start_line)
        if instruction.name == "ONBUILD":
            for trigger in self._trigger(instruction):
                yield from uses(trigger, scope, instruction.start_line)

    def _check_words(self, instruction: DockerfileInstruction, scope: _Scope) -> None:
        """Raise MagnetfileError for words that cannot be expanded, where nothing else does."""
        if instruction.name in _EXPANDED_WORDS:
            for word in instruction.args:
                scope.expand(word, instruction.start_line)

    def _has_volumes(self, stage: Stage | None) -> bool:
        """Whether a stage, or one that it starts from, declares a VOLUME."""
        if stage is None:
            return False
        own = any(instruction.name == "VOLUME" for instruction in self._instructions(stage))
        return own or self._has_volumes(self._parent(stage))

    def unmade_workdirs(self, stage: Stage) -> Iterator[int]:
        """The last lines of the WORKDIRs of one stage after which no RUN comes, as their user."""
        is_root, waiting = self._begins_as_root(stage), 0
        for instruction, scope in self._steps(stage):
            is_other = instruction.name in ("USER", "WORKDIR") or (instruction.name in ("COPY", "ADD") and not is_root)
            if waiting and is_other:
                yield waiting
            if is_other or instruction.name in ("RUN", "COPY", "ADD"):
                waiting = 0
            if instruction.name == "USER":
                is_root = _is_root(instruction, scope)
            elif instruction.name == "WORKDIR" and instruction.args != ["/"] and instruction in stage.instructions:
                waiting = instruction.end_line
        if waiting:
            yield waiting

    def _begins_as_root(self, stage: Stage) -> bool:
        """Whether the user at the beginning of a stage is root, which is the user of an image that is not known."""
        parent = self._parent(stage)
        if parent is None:
            return is_root(self._users.get(self.base(stage), ""))
        last = next((step for step in reversed(list(self._steps(parent))) if step[0].name == "USER"), None)
        return _is_root(*last) if last else self._begins_as_root(parent)

    def base(self, stage: Stage) -> str:
        """The image or stage that a stage's FROM names."""
        base = self._globals.expand(stage.base, stage.line)
        if not base:
            error = _error(self._dockerfile.path, stage.line, f"the image `{stage.base}` has an empty name")
            error.hint = "give the variable a default with ARG before the first FROM, or pass it as a build arg"
            raise error
        return base

    def _parent(self, stage: Stage) -> Stage | None:
        base = self.base(stage)
        # A number is an image's name here, and only stages that were there already are meant.
        return None if base.isdecimal() else _stage_in(self._dockerfile.stages[: stage.index], base)

    def _stages_used(self, stage: Stage) -> Iterator[Stage]:
        origins = (_stage_in(self._dockerfile.stages, word) for word in self._origins(stage))
        yield from (used for used in (self._parent(stage), *origins) if used is not None)

    def _origins(self, stage: Stage) -> Iterator[str]:
        """The words after COPY's `--from` and in the `from` of RUN's mounts."""
        for instruction, scope in self._steps(stage):
            words = [flag(instruction, "from")] if instruction.name == "COPY" else []
            words += [mount.get("from") for mount in mounts(instruction)]
            # BuildKit takes the word as it stands, podman and buildah expand it.
            yield from (scope.expand(word, instruction.start_line) or word for word in words if word)

    def _steps(self, stage: Stage) -> Iterator[tuple[DockerfileInstruction, _Scope]]:
        """The stage's instructions, each with the variables as they are before it."""
        scope = self._scope_before(stage)
        for instruction in self._instructions(stage):
            yield instruction, scope
            self._declare(instruction, scope)

    def _scope_before(self, stage: Stage) -> _Scope:
        parent = self._parent(stage)
        if parent is None:
            return _Scope(self._dockerfile, is_complete=self.base(stage) == SCRATCH)
        scope = self._scope_after(parent)
        scope.enter_child()
        return scope

    def _scope_after(self, stage: Stage) -> _Scope:
        scope = self._scope_before(stage)
        for instruction in self._instructions(stage):
            self._declare(instruction, scope)
        return scope

    def _instructions(self, stage: Stage) -> Iterator[DockerfileInstruction]:
        parent = self._parent(stage)
        if parent is not None:
            yield from self._triggers(parent)
        yield from stage.instructions

    def _triggers(self, stage: Stage) -> Iterator[DockerfileInstruction]:
        for instruction in stage.instructions:
            if instruction.name == "ONBUILD":
                yield from self._trigger(instruction)

    def _trigger(self, instruction: DockerfileInstruction) -> list[DockerfileInstruction]:
        text = instruction.original.strip()[len("ONBUILD") :]
        try:
            triggers = parse_dockerfile_ast(f"# escape={self._dockerfile.escape}\n{text}\n").instructions
        except DockerfileSyntaxError as error:
            raise _error(self._dockerfile.path, instruction.start_line, str(error).partition(": ")[2]) from error
        for trigger in triggers:
            trigger.start_line = instruction.start_line
        return triggers

    def _declare(self, instruction: DockerfileInstruction, scope: _Scope) -> None:
        if instruction.name == "ARG":
            self._declare_args(instruction.args, instruction.start_line, scope)
        elif instruction.name == "ENV":
            _declare_env(instruction, scope)

    def _declare_args(self, words: Sequence[str], line: int, scope: _Scope) -> None:
        # As with ENV, no value sees the others of its instruction.
        values = [self._argument(word, line, scope) for word in words]
        for name, value in filter(None, values):
            scope.set_arg(name, value)

    def _argument(self, word: str, line: int, scope: _Scope) -> tuple[str, str | None] | None:
        """The name and value that a word of ARG gives; None where it gives no value."""
        name, equals, default = word.partition("=")
        if name in self._build_args:
            return name, self._build_args[name]
        if equals:
            return name, scope.expand(default, line)
        if name in self._globals and scope is not self._globals:
            return name, self._globals[name]
        return None


def _declare_env(instruction: DockerfileInstruction, scope: _Scope) -> None:
    # All of one instruction's values see the variables as they were before it.
    words = [scope.expand(word, instruction.start_line) for word in instruction.args]
    for name, value in zip(words[0::3], words[1::3], strict=True):
        if name is not None:
            scope.set_env(name, value)


def _is_root(user: DockerfileInstruction, scope: _Scope) -> bool:
    name = scope.expand(" ".join(user.args), user.start_line)
    return name is not None and is_root(name)


def is_root(user: str) -> bool:
    """Whether a USER is root, as it is without one.

    >>> is_root("0:7"), is_root(""), is_root("you")
    (True, True, False)
    """
    return user.partition(":")[0] in ("", "root", "0")


def _renumbered(flag: str, numbers: Mapping[str, int]) -> str:
    return re.sub(
        r"(?<=from=)\d+(?=,|$)", lambda number: f"stage {numbers.get(number[0], number[0])}", flag, flags=re.IGNORECASE
    )


def _unless_scratch(image: str) -> tuple[str, ...]:
    return () if image == SCRATCH else (image,)


def platform_args(platform: Platform) -> dict[str, str]:
    """The variables that BuildKit defines before the first line of a Dockerfile."""
    return {**_named_platform("TARGET", platform), **_named_platform("BUILD", this_machine())}


def _named_platform(prefix: str, platform: Platform) -> dict[str, str]:
    return {
        f"{prefix}PLATFORM": str(platform),
        f"{prefix}OS": platform.os,
        f"{prefix}ARCH": platform.architecture,
        f"{prefix}VARIANT": platform.variant,
    }
