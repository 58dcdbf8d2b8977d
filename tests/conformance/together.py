"""Behaviours that are looked at together, in one build or one container, for that costs little more than one of them.

Where magnet refuses them together, or something differs, they are looked at in ever smaller groups, so that each has a
cell of its own.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.conformance.behaviours import Behaviour, Case, Differs, Refused, Section
from tests.conformance.listing import added, listing
from tests.contract.comparing import contents

NO_FILES: Mapping[str, str] = {}


@dataclass(frozen=True)
class Part:
    """A part of a build or of a container: options, lines of a Dockerfile, files, and a script that prints what is seen."""

    id: str
    expected: str
    script: str
    lines: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)


Observe = Callable[[Case, Sequence[Part]], Mapping[str, str]]
"""Looks at several parts at once, and returns what each printed, by its id."""


@dataclass(frozen=True)
class Together:
    """Parts that may stand beside each other."""

    section: Section
    name: str
    observe: Observe
    parts: list[Part] = field(default_factory=list)

    def add(
        self,
        id: str,
        title: str,
        *lines: str,
        see: str,
        expected: str,
        words: Sequence[str] = (),
        files: Mapping[str, str] = NO_FILES,
    ) -> None:
        """Add a behaviour: a part of which `see` prints what is expected."""
        part = Part(id, expected, see, lines, tuple(words), dict(files))
        self.parts.append(part)
        self.section.behaviours.append(Behaviour(id, title, expected, lambda case: self._see(case, part)))

    def _see(self, case: Case, part: Part) -> str:
        if self.name not in case.kept:
            groups = _likely(case, self.parts)
            case.kept[self.name] = {name: seen for some in groups for name, seen in self._look(case, some)}
        seen: str | Refused | Differs = case.kept[self.name][part.id]
        if isinstance(seen, Exception):
            raise seen
        return seen

    def _look(self, case: Case, parts: Sequence[Part]) -> Iterator[tuple[str, str | Refused | Differs]]:
        """What is seen of each part, or why nothing is."""
        try:
            seen = self.observe(case, parts)
        except (Refused, Differs) as why:
            if len(parts) == 1:
                yield parts[0].id, why
            else:
                for some in _apart(parts, str(why)):
                    yield from self._look(case, some)
            return
        for part in parts:
            if seen[part.id] == part.expected or len(parts) == 1:
                yield part.id, seen[part.id]
            else:
                # It may be others that are in its way.
                yield from self._look(case, [part])


def _likely(case: Case, parts: Sequence[Part]) -> Sequence[Sequence[Part]]:
    """What to look at together: those that were the same last time, and each of the others by itself."""
    refused = [part for part in parts if part.id in case.refused]
    rest = [part for part in parts if part not in refused]
    return [*([rest] if rest else []), *([part] for part in refused)]


def _apart(parts: Sequence[Part], why: str) -> Sequence[Sequence[Part]]:
    """Smaller groups: what an error speaks of, and the rest; or two halves."""
    named = [part for part in parts if any(line.splitlines()[0] in why for line in (*part.lines, *part.words))]
    if named and len(named) < len(parts):
        return [*([part] for part in named), [part for part in parts if part not in named]]
    half = len(parts) // 2
    return [parts[:half], parts[half:]]


def in_one_build(case: Case, parts: Sequence[Part]) -> Mapping[str, str]:
    """What parts of one Dockerfile leave in its image: what their scripts print, or else a list of all that is there."""
    for part in parts:
        case.files(part.files)
    case.dockerfile(*(line for part in parts for line in part.lines))
    case.build(*(word for part in parts for word in part.words))
    told = [part for part in parts if part.script]
    seen = dict(_by_part(case.sh(_script(told)), told)) if told else {}
    if len(told) < len(parts):
        found = listing(added(case, contents(case.magnet, case.name)))
        for part in parts:
            if not part.script:
                seen[part.id] = "\n".join(line for line in found if re.match(rf"{part.id}[/:]", line))
    return seen


def in_the_steps_of_one_build(case: Case, parts: Sequence[Part]) -> Mapping[str, str]:
    """What parts of one Dockerfile print while it is built, as the log has it; nothing is looked at in the image."""
    for part in parts:
        case.files(part.files)
    words = ["--no-cache", *(word for part in parts for word in part.words)]
    return _by_part(case.steps(*_lines_that_print(parts), words=words), parts)


def in_one_container(case: Case, parts: Sequence[Part]) -> Mapping[str, str]:
    """What parts of one command print in a container of the base image."""
    for part in parts:
        case.files(part.files)
    words = [word for part in parts for word in part.words]
    return _by_part(case.ok("run", "--rm", *words, "BASE", "sh", "-c", _script(parts)), parts)


def _script(parts: Sequence[Part]) -> str:
    return "".join(f"echo '= {part.id}'; ( {part.script} ) 2>&1; " for part in parts) + "true"


def _lines_that_print(parts: Sequence[Part]) -> Iterator[str]:
    for part in parts:
        yield from part.lines
        yield f"RUN {_script([part])}"


def _by_part(text: str, parts: Sequence[Part]) -> Mapping[str, str]:
    found = {part.id: "" for part in parts}
    for said in re.split(r"^= ", text, flags=re.MULTILINE)[1:]:
        name, _, rest = said.partition("\n")
        found[name] = rest.strip()
    return found
