"""The engines as oracles: a narrow context has just what they copy, and a build from it gives what theirs gives.

The same few projects each time; with MAGNET_TEST_EXAMPLES=500 so many others.
"""

import os
import re
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, assume, event, given, settings
from hypothesis import strategies as st

from magnet.backends import choose
from magnet.backends.base import Backend
from magnet.index import FileIndex
from magnet.memory import Memory
from magnet.preparation import Prepared, Recipe, prepare, request
from magnet.process import Children, Shell
from magnet.staging import unstage
from tests.contract.engines import Column, Magnet
from tests.contract.projects import Project, projects

EXAMPLES = os.environ.get("MAGNET_TEST_EXAMPLES")
OWN = {
    "buildkit": ("docker", "build", "--progress=plain", "--no-cache"),
    "buildx": ("docker", "buildx", "build", "--progress=plain", "--no-cache"),
    "legacy": ("docker", "build", "--no-cache"),
    "buildah": ("build", "--format=docker", "--layers=false"),
}
FAILED = (r"building at STEP.*/c(\d+)", r" > \[.*/c(\d+)", r"Step \d+/\d+ : (?:COPY|ADD).*/c(\d+)")
"""How engines tell which COPY failed."""

Files = dict[str, tuple[object, ...]]
"""What is in an image: by path, the kind, mode and owner of each, and what it holds."""


class Failed(Exception):
    """A build failed; its message is what the engine said."""

    @property
    def number(self) -> int | None:
        """The number of the COPY that failed."""
        found = [int(number) for pattern in FAILED for number in re.findall(pattern, str(self), re.IGNORECASE)]
        return found[-1] if found else None


@dataclass
class Oracle:
    """One column's engine: builds files, and leaves nothing."""

    backend: Backend
    column: Column
    env: Mapping[str, str]
    directory: Path
    numbers: Iterator[int] = field(default_factory=count)

    @property
    def builder(self) -> str:
        return self.backend.engine.builder

    def own(self, root: Path, build_args: Mapping[str, str]) -> Files:
        """What the engine makes of the whole directory."""
        program = OWN[self.builder]
        arguments = [f"--build-arg={name}={value}" for name, value in build_args.items()]
        words = program if self.builder != "buildah" else (self.column.backend, *program)
        return self.files([*words, f"--file={root}/Dockerfile", *arguments, str(root)])

    def narrow(self, root: Path, scratch: Path, build_args: Mapping[str, str]) -> tuple[Prepared, Files]:
        """What the engine makes of magnet's request."""
        with FileIndex(scratch / "index") as index:
            prepared = prepare(
                Recipe(build_args=build_args), root, self.backend, self.shell, index, Memory(scratch / "readings")
            )
        command = self.backend.build_command(request(prepared, self.backend, scratch, dry_run=False))
        kept = [word for word in command.argv if not re.match(r"--(layers|load|force-rm|iidfile=.*)$", word)]
        return prepared, self.files(kept)

    def files(self, argv: Sequence[str]) -> Files:
        """The files in the image that a command builds."""
        number = next(self.numbers)
        tar, iid = self.directory / f"{number}.tar", self.directory / f"{number}.iid"
        more = [f"--iidfile={iid}"] if self.builder in ("legacy", "buildah") else []
        more += [] if self.builder == "legacy" else [f"--output=type=tar,dest={tar}"]
        more += ["--layers=false"] if self.builder == "buildah" else []
        try:
            self.run(*argv[:-1], *more, argv[-1])
            if self.builder == "legacy":
                self.export(iid.read_text(), tar)
            return files_in(tar)
        finally:
            if iid.exists():
                subprocess.run(
                    [self.column.backend, "rmi", "--force", iid.read_text()], env=self.env, capture_output=True
                )
            tar.unlink(missing_ok=True)

    def export(self, image: str, tar: Path) -> None:
        container = self.run("docker", "create", image, "none").split()[-1]
        self.run("docker", "export", f"--output={tar}", container)
        self.run("docker", "rm", container)

    def run(self, *argv: str) -> str:
        builder = {"DOCKER_BUILDKIT": "0" if self.builder == "legacy" else "1"}
        done = subprocess.run(argv, env={**self.env, **builder}, capture_output=True, timeout=120)
        said = (done.stdout + done.stderr).decode(errors="replace")
        if done.returncode != 0:
            raise Failed(said)
        return said

    @property
    def shell(self) -> Shell:
        return Shell(Children(), lambda *_: None, lambda _: None, self.directory, self.env, nullcontext)


@pytest.fixture(scope="module")
def oracle(column: Column, client: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    directory = tmp_path_factory.mktemp("oracle")
    env = Magnet(column, directory, client).env
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        backend = choose(column.backend)
    return Oracle(backend, column, env, directory)


def files_in(tar: Path) -> Files:
    found: Files = {}
    with tarfile.open(tar, encoding="utf-8", errors="surrogateescape") as archive:
        for member in archive:
            name = member.name.removeprefix("./").strip("/")
            if member.islnk():
                found[name] = found[member.linkname.removeprefix("./").strip("/")]
            elif re.match(r"(c\d+|first)(/|$)", name):
                file = archive.extractfile(member) if member.isfile() else None
                mode = None if member.issym() else f"{member.mode:o}"
                held = file.read() if file else member.linkname
                found[name] = (member.type, mode, member.uid, member.gid, held)
    return found


@settings(
    max_examples=int(EXAMPLES or 6),
    derandomize=EXAMPLES is None,
    database=None,
    deadline=None,
    phases=[Phase.generate] if EXAMPLES is None else [Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def test_a_narrow_context_is_what_the_engine_copies(oracle: Oracle, base: str, data: st.DataObject) -> None:
    project = data.draw(projects(oracle.builder, base))
    root = oracle.directory / f"{os.getpid()}-{next(oracle.numbers)}"  # BuildKit knows a directory by its name
    scratch = root.with_name(f"{root.name}-scratch")
    scratch.mkdir()
    try:
        project, own = without_failures(oracle, project, root)
        try:
            prepared, narrow = oracle.narrow(root, scratch, project.build_args)
        except Failed:
            # Podman and buildah let a directory be copied that is ignored, as an empty one, where there is some `!`.
            assume(not (oracle.builder == "buildah" and any(b"!" in text for text in project.ignore_files.values())))
            raise
        assert narrow == own, project
        check_selection(prepared, own, project, oracle.builder)
    finally:
        unstage(root)
        unstage(scratch)
    event(f"{len(own) // 10 * 10} files or more")


def without_failures(oracle: Oracle, project: Project, root: Path) -> tuple[Project, Files]:
    """The project, made in `root` and without the copies that the engine refuses, and what it gives."""
    while True:
        project.write(root)
        try:
            return project, oracle.own(root, project.build_args)
        except Failed as failed:
            unstage(root)
            # BuildKit 20.10 fails where a wildcard looks for what is below a file, and does not say which one.
            assume(failed.number is not None)
            project = project.without(failed.number or 0)


def check_selection(prepared: Prepared, own: Files, project: Project, builder: str) -> None:
    """The context has the files that were copied, and no others but those that others in the image lie upon."""
    files = [entry for entry in prepared.tree.entries if entry.kind == "file"]
    selected = {Path(os.fsdecode(entry.source)).read_bytes(): entry for entry in files}
    copied = {what[-1] for what in own.values()}
    names = [os.path.basename(entry.path) for entry in prepared.tree.entries]
    more = [
        entry.path
        for content, entry in selected.items()
        if content not in copied and names.count(os.path.basename(entry.path)) == 1
    ]
    assert {held for held in copied if isinstance(held, bytes)} <= selected.keys(), project
    # BuildKit leads no wildcard through a link, as magnet does; podman and buildah miss what some lead to.
    missed = b"." if builder == "buildah" else b""
    is_exact = not any(node.kind == "link" and node.target.startswith(missed) for node in project.tree.values())
    assert prepared.context.widened or not is_exact or not more, (more, project)
