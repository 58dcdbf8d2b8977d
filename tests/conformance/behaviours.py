"""What a behaviour is, how it is looked at on one engine, and what can be found there.

A behaviour has one expected observation for all engines. An engine either shows just that (*same*), or magnet refuses
with the engine's name and version before anything has started (*refused*). Anything else *differs*, and is a bug.
"""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tests.contract.engines import PREFIX, Magnet

Verdict = Literal["same", "refused", "differs"]


@dataclass(frozen=True)
class Cell:
    """What was found on one engine. `said` is the sentence of a refusal, or what differs."""

    verdict: Verdict
    said: str = ""


def without_versions(cell: Cell) -> Cell:
    """A cell that another patch release of the engines here would fill with the same: the versions that have a feature stay."""
    said = re.sub(r"\A(\w+) \S+?(?=,? )", r"\1 VERSION", cell.said)
    return replace(cell, said=re.sub(r"(`--backend \w+`) \([^)]*\)", r"\1 (VERSION)", said))


class Refused(Exception):
    """Magnet refused, naming the engine, before anything had started."""


class Differs(Exception):
    """What was to be observed could not even be looked at."""


@dataclass(frozen=True)
class Case:
    """A behaviour's means: magnet in an empty project, a base image, names for images of its own, a registry.

    `kept` is what behaviours of one column keep for each other, `refused` the ids of those of the section that were
    refused when the page was written, which costs less to look at by themselves.
    """

    magnet: Magnet
    base: str
    name: str
    registry: str
    kept: dict[str, Any] = field(default_factory=dict)
    refused: Set[str] = frozenset()

    def write(self, **files: str) -> None:
        """Write files of the project; `__` in a name is a dot, and `Dockerfile` stands for itself."""
        self.files({name.replace("__", "."): text for name, text in files.items()})

    def files(self, files: Mapping[str, str]) -> None:
        """Write files of the project; `BASE` and `NAME` in them are the base image and a name of the case's own."""
        self.magnet.write({name: self._names(text) for name, text in files.items()})

    def dockerfile(self, *lines: str, name: str = "Dockerfile") -> None:
        """Write a Dockerfile; without a FROM of its own it begins from the base image."""
        has_base = any(line.lower().startswith("from ") for line in lines)
        text = "\n".join(lines if has_base else ("FROM BASE", *lines))
        # Columns that share a store must not find done what another built; all that has this label is removed in the end.
        mark = f"magnet-test={os.getpid()}-{self.magnet.column.name}"
        self.files({name: text.replace("FROM scratch", f"FROM scratch\nLABEL {mark}") + "\n"})

    def ok(self, *words: str, stdin: bytes = b"") -> str:
        """What a run that must succeed prints on stdout."""
        code, said = self.end(*words, stdin=stdin)
        if code != 0:
            raise Differs(f"exit code {code}: {said}")
        return said

    def end(self, *words: str, stdin: bytes = b"") -> tuple[int, str]:
        """The exit code of a run, and what it printed on stdout, or its error."""
        result = self.magnet(*map(self._names, words), stdin=stdin)
        if result.code == 0:
            return 0, self.plain(result.out.decode(errors="surrogateescape"))
        error = self.plain(re.sub(r"^error: (target `[\w-]+`: )?", "", result.error)).strip()
        if result.code == 3 and self._is_refusal(error):
            raise Refused(error)
        return result.code, error

    def error(self, *words: str) -> tuple[int, str]:
        """The exit code of a run that fails, and the first line of its error, in which the engine is `ENGINE`."""
        code, said = self.end(*words)
        if code == 0:
            raise Differs(f"no error: {said!r}")
        name = self.magnet.column.backend
        return code, re.sub(
            rf"\b{name} (\d[\w.+~-]*( rootless)?(, legacy builder)?|build\b)", "ENGINE", said.splitlines()[0]
        )

    def steps(self, *lines: str, words: Sequence[str] = ("--no-cache",)) -> str:
        """What the steps of a Dockerfile print, as the log of its build has it: nothing is looked at in the image."""
        marked = (re.sub(r"^RUN ((?:--\S+ )*)(.*)$", r"RUN \1( \2 ) 2>&1 | sed 's/^/@/'", line) for line in lines)
        self.dockerfile(*marked)
        self.ok("build", *words, ".")
        found = re.findall(r"^(?:#\d+ [\d.]+ )?@(.*)$", self.magnet.log("build"), re.MULTILINE)
        return "".join(f"{line}\n" for line in found)

    def build(self, *words: str) -> None:
        """Build the project's Dockerfile under the case's name."""
        self.ok("build", "-t", "NAME", *words, ".")

    def sh(self, script: str, *words: str) -> str:
        """What a shell prints in a container of the case's image."""
        return self.ok("run", "--rm", *words, "NAME", "sh", "-c", script)

    def built(self, script: str, *words: str) -> str:
        """What a shell prints in a container of the image that is built from the project's Dockerfile."""
        self.build(*words)
        return self.sh(script)

    def configuration(self) -> dict[str, Any]:
        """The configuration of the case's image, as the engine tells it."""
        found = self._inspected()
        config: dict[str, Any] = found["config" if "config" in found else "Config"]
        return config

    def layers(self) -> list[str]:
        """The digests of the layers of the case's image."""
        found = self._inspected()
        layers: list[str] = found["rootfs"]["diff_ids"] if "rootfs" in found else found["RootFS"]["Layers"]
        return layers

    def _inspected(self) -> dict[str, Any]:
        found = json.loads(self.magnet.engine("inspect", "--type=image", self.name))
        image: dict[str, Any] = found["Docker"] if self.magnet.column.backend == "buildah" else found[0]
        return image

    def plain(self, text: str) -> str:
        """Text without what is only so in this run: where the project is, and the names of images."""
        text = text.replace(str(self.magnet.root), "PROJECT").replace(self.name, "NAME").replace(self.base, "BASE")
        return text.replace(self.registry, "REGISTRY").replace(PREFIX, "localhost/test")

    def _names(self, text: str) -> str:
        return text.replace("BASE", self.base).replace("NAME", self.name).replace("REGISTRY", self.registry)

    def _is_refusal(self, error: str) -> bool:
        """Whether an error names the engine, and came before a command was run."""
        names_engine = re.match(rf"{self.magnet.column.backend} \d+\.[\w.+~-]+( rootless)?(, legacy builder)? ", error)
        log = self.magnet.root / "_build/logs/latest"
        has_run = any(re.search(r"^Exec: ", path.read_text(errors="replace"), re.M) for path in log.iterdir())
        return names_engine is not None and not has_run


See = Callable[[Case], Any]


@dataclass(frozen=True)
class Behaviour:
    """One row of the table: what is promised, how it is looked at, and what is seen where the promise is kept."""

    id: str
    title: str
    expected: Any
    see: See

    def judge(self, case: Case) -> Cell:
        """What is found on the case's engine."""
        try:
            seen = self.see(case)
        except Refused as refusal:
            return Cell("refused", str(refusal))
        except Differs as difference:
            return Cell("differs", str(difference))
        return Cell("same") if seen == self.expected else Cell("differs", f"{seen!r} instead of {self.expected!r}")


@dataclass(frozen=True)
class Section:
    """Behaviours of one kind, in the order in which they are shown; `notes` tell what is promised of none."""

    title: str
    about: str = ""
    notes: tuple[str, ...] = ()
    behaviours: list[Behaviour] = field(default_factory=list)

    def behaviour(self, title: str, expected: Any) -> Callable[[See], See]:
        """What makes a function that observes something a behaviour; its name is the behaviour's id."""

        def add(see: See) -> See:
            self.behaviours.append(Behaviour(see.__name__, title, expected, see))
            return see

        return add


INTERFACES = "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ' | sort"
"""A script that prints the network interfaces that it sees: /sys may be this machine's in another network, too."""


def interfaces() -> set[str]:
    """The network interfaces of this machine, or of whatever runs the tests."""
    return set(os.listdir("/sys/class/net"))
