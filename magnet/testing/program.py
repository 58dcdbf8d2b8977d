"""Magnet as a user runs it, in a project of its own, with the backend that is tested."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from magnet.backends import backend

PREFIX = f"localhost/magnet-test-{os.getpid()}"
"""What the names of all images of one test session begin with."""


@dataclass(frozen=True)
class Column:
    """A backend, by its name, and the environment in which it is used; `name` tells the columns of a table apart."""

    name: str
    backend: str
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_rootless(self) -> bool:
        """Whether an ordinary user runs the tests."""
        return os.geteuid() != 0


@dataclass(frozen=True)
class Result:
    """How a run of magnet ended."""

    code: int
    out: bytes
    err: str

    @property
    def error(self) -> str:
        """The error that magnet reported, from its first line to the last, without the path of the log."""
        return re.sub(r"^log: _build/logs/\S+\n", "", self.err[self.err.rfind("\nerror: ") + 1 :], flags=re.MULTILINE)


@dataclass(frozen=True)
class Magnet:
    """The program, in a project directory of its own, with one backend; `client` is a directory to go before PATH."""

    column: Column
    root: Path
    client: Path | None = None

    def write(self, files: Mapping[str, str]) -> None:
        """Write files of the project."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    @property
    def env(self) -> dict[str, str]:
        """The environment that magnet and the engine's own program get."""
        return _environment(self.column.env, self.client)

    def argv(self, *words: str) -> list[str]:
        """The words that start magnet with this backend."""
        return [sys.executable, "-m", "magnet", "--backend", self.column.backend, *words]

    def __call__(self, *words: str, stdin: bytes = b"", cwd: Path | None = None) -> Result:
        """Run magnet to its end."""
        done = self._run(words, stdin, cwd)
        may_lose = self.name == "podman" or self.env.get("BUILDAH_ISOLATION") == "chroot"
        if may_lose and words[:2] == ("run", "--rm") and not done.stdout:
            # Podman 4.3 loses what a short container says, once in some nine hundred runs, and buildah 1.28 with chroot
            # isolation once in a hundred, both without magnet, too. Twice in a row would be magnet's doing.
            done = self._run(words, stdin, cwd)
        return Result(done.returncode, done.stdout, done.stderr.decode(errors="replace"))

    def _run(self, words: Sequence[str], stdin: bytes, cwd: Path | None) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            self.argv(*words), cwd=cwd or self.root, env=self.env, input=stdin, capture_output=True, timeout=240
        )

    def ok(self, *words: str, stdin: bytes = b"") -> bytes:
        """What a run that must succeed prints on stdout."""
        result = self(*words, stdin=stdin)
        assert result.code == 0, result.err
        return result.out

    def refused(self, *words: str) -> str:
        """The error of a run that the engine cannot do, which must name the engine and come before it is asked."""
        result = self(*words)
        assert result.code == 3, result.err
        assert re.match(rf"error: target `[\w-]+`: {self.name} [\d.]+", result.error), result.err
        return result.error

    @contextmanager
    def running(self, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Magnet, while it runs; it is killed at the end of the block if it still does."""
        process = subprocess.Popen(
            self.argv(*words),
            cwd=self.root,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # A shell starts what it puts into the background with SIGINT ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def log(self, target: str) -> str:
        """The log of a target in the last run."""
        return (self.root / "_build/logs/latest" / target).read_text(errors="replace")

    # What the backend says of its engine, and what the engine's own program does.

    @property
    def name(self) -> str:
        """The name of the engine, as errors say it."""
        return self._probed.name

    @property
    def program(self) -> str:
        """The engine's own program."""
        found = backend(self.column.backend)
        return found.program or found.name

    @property
    def builder(self) -> str:
        """What builds: `buildkit`, `buildx`, `legacy` or `buildah`."""
        return self._probed.builder

    @property
    def is_legacy(self) -> bool:
        """Whether docker builds with what it had before BuildKit."""
        return self.builder == "legacy"

    def can(self, feature: str) -> bool:
        """Whether the engine has a feature, by its name in `magnet backends --json`."""
        return feature in self._probed.features

    @property
    def _probed(self) -> "Probed":
        return _probe(self.column.backend, tuple(sorted(self.column.env.items())), self.client)

    def containers(self, target: str) -> list[str]:
        """The containers that the last run's target made and that are still there."""
        (run_id,) = set(re.findall(r"magnet-\d{14}-[0-9a-f]{8}", self.log(target)))
        return self._ask(*backend(self.column.backend)().containers_command(run_id).argv).split()

    def remove_containers(self, containers: Sequence[str]) -> None:
        """Remove containers by what `containers` calls them."""
        self._ask(*backend(self.column.backend)().remove_containers_command(containers).argv)

    def architecture(self, name: str) -> str:
        """What an image is made for."""
        image = backend(self.column.backend)().inspect(name)
        assert image, f"there is no image {name}"
        return image.platform.architecture

    def engine(self, *words: str) -> str:
        """What the engine's own program says."""
        return self._ask(self.program, *words)

    def _ask(self, *words: str) -> str:
        done = subprocess.run(words, env=self.env, capture_output=True, text=True, timeout=60)
        return done.stdout


_PROBE = """
import json, sys
from magnet.backends import choose
engine = choose(sys.argv[1]).engine
print(json.dumps({"name": engine.name, "builder": engine.builder, "features": sorted(engine.features)}))
"""


@dataclass(frozen=True)
class Probed:
    """What tests go by, of what a probe finds."""

    name: str
    builder: str
    features: Sequence[str]


@lru_cache
def _probe(name: str, more: tuple[tuple[str, str], ...], client: Path | None) -> Probed:
    """What a probe finds in that environment; once per session."""
    argv = [sys.executable, "-c", _PROBE, name]
    env = _environment(dict(more), client)
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True, timeout=60)
    return Probed(**json.loads(done.stdout))


def _environment(more: Mapping[str, str], client: Path | None) -> dict[str, str]:
    env = {**os.environ, **more, "NO_COLOR": "1"}
    for name in ("MAGNET_BACKEND", "TERM"):
        env.pop(name, None)
    if client:
        env["PATH"] = f"{client}:{env['PATH']}"
    return env
