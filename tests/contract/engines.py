"""The columns of the contract suite: every engine of this machine, in every way that it is used."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

NOT_UP = 'the engines are not up: run scripts/test, or first: eval "$(scripts/engines up)"'

PREFIX = f"localhost/magnet-test-{os.getpid()}"
"""What the names of all images of one test session begin with."""


@dataclass(frozen=True)
class Column:
    """An engine, and the environment in which it is used."""

    name: str
    backend: str
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_legacy(self) -> bool:
        return self.name == "docker-legacy"

    @property
    def is_rootless(self) -> bool:
        return os.geteuid() != 0

    @property
    def is_chroot(self) -> bool:
        return self.name == "buildah-chroot"

    @property
    def generation(self) -> str:
        """The release that the engines are of, as `debian-13`; scripts/engines tells."""
        return os.environ.get("MAGNET_TEST_GENERATION", "debian-12")

    @property
    def is_old_buildkit(self) -> bool:
        """Whether docker builds with the BuildKit of Debian 12's daemon, whatever the client is."""
        return self.backend == "docker" and not self.is_legacy and self.generation == "debian-12"

    @property
    def has_buildx(self) -> bool:
        """Whether docker's client builds with buildx: newer ones have nothing else but the legacy builder."""
        return self.name == "docker-buildx" or (self.name == "docker" and self.generation != "debian-12")


def columns() -> list[Column]:
    """Docker only for root, who alone may reach the daemon; all others for root and for an ordinary user.

    They are the same in every generation of engines, but that docker's newer clients always have buildx.

    Where the environment has MAGNET_TEST_BACKENDS, only those of these backends.
    """
    wanted = os.environ.get("MAGNET_TEST_BACKENDS", "docker podman buildah").split()
    return [column for column in _all_columns() if column.backend in wanted]


def _all_columns() -> list[Column]:
    daemonless = [
        Column("podman", "podman"),
        Column("buildah", "buildah"),
        Column("buildah-chroot", "buildah", {"BUILDAH_ISOLATION": "chroot"}),
    ]
    if os.geteuid() != 0:
        return daemonless
    docker = [Column("docker", "docker"), Column("docker-legacy", "docker", {"DOCKER_BUILDKIT": "0"})]
    if "MAGNET_TEST_BUILDX" in os.environ and "MAGNET_TEST_DOCKER_LEGACY" in os.environ:
        docker.append(Column("docker-buildx", "docker", {"DOCKER_CONFIG": os.environ["MAGNET_TEST_BUILDX"]}))
    return docker + daemonless


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
    """The program, in a project directory of its own, with one engine."""

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
        env = {**os.environ, **self.column.env, "NO_COLOR": "1"}
        for name in ("MAGNET_BACKEND", "TERM"):
            env.pop(name, None)
        if self.client:
            env["PATH"] = f"{self.client}:{env['PATH']}"
        return env

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "magnet", "--backend", self.column.backend, *words]

    def __call__(self, *words: str, stdin: bytes = b"", cwd: Path | None = None) -> Result:
        """Run magnet to its end."""
        done = self._run(words, stdin, cwd)
        if self.column.backend == "podman" and words[:2] == ("run", "--rm") and not done.stdout:
            # Podman 4.3 loses what a short container says, once in some nine hundred runs and without magnet, too:
            # docs/decisions/0005-measured-again.md. Twice in a row would be magnet's doing.
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
        assert re.match(rf"error: target `[\w-]+`: {self.column.backend} [\d.]+", result.error), result.err
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

    def containers(self, target: str) -> list[str]:
        """The ids of the containers that the last run's target made and that are still there."""
        (run_id,) = set(re.findall(r"magnet-\d{14}-[0-9a-f]{8}", self.log(target)))
        if self.column.backend == "buildah":
            return self.engine("containers", "--quiet", f"--filter=name={run_id}-").split()
        return self.engine("ps", "--all", "--quiet", f"--filter=label=dev.magnet.run={run_id}").split()

    def architecture(self, name: str) -> str:
        """What an image is made for, in the engine's words."""
        if self.column.backend == "buildah":
            return self.engine("inspect", "--type=image", "--format={{.Docker.Architecture}}", name).strip()
        return self.engine("image", "inspect", "--format={{.Architecture}}", name).strip()

    def engine(self, *words: str) -> str:
        """What the engine's own program says."""
        done = subprocess.run([self.column.backend, *words], env=self.env, capture_output=True, text=True, timeout=60)
        return done.stdout
