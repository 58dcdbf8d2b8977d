"""When a target with inputs and outputs is skipped, and when not: a project, and one run of magnet after the other."""

import os
import shutil
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from magnet.buildfile import load
from magnet.events import SolveStatus
from magnet.index import FileIndex
from magnet.logs import LogFiles
from magnet.model import Image, Project
from magnet.outputs import Store
from magnet.process import Children
from magnet.records import Records, open_records, prune, size
from magnet.running import Run
from magnet.session import Session
from magnet.workspace import Workspace

TIMEOUT = 20.0
"""Seconds after which a run that is stuck is a failed test."""

HEAD = "from pathlib import Path\nfrom magnet import env, target\nHERE = Path(__file__).parent\n"

COPY = """
@target(inputs="src", outputs="out")
def app(t):
    t.print("copying")
    (HERE / "out").mkdir(exist_ok=True)
    for path in sorted((HERE / "src").iterdir()):
        (HERE / "out" / path.name).write_bytes(path.read_bytes())
"""


@dataclass
class Ran:
    """What became of one run."""

    done: bool
    ran: list[str]
    skipped: list[str]
    said: list[str]
    failures: list[str]
    results: dict[str, Any] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    took: dict[str, int | None] = field(default_factory=dict)


@dataclass
class Runs:
    """A project: its files, and runs of its targets."""

    root: Path
    images: dict[str, Image] = field(default_factory=dict)

    def write(self, files: Mapping[str, str]) -> None:
        """Write files of the project."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def magnetfile(self, text: str) -> None:
        (self.root / "magnetfile.py").write_text(HEAD + text)

    def __call__(
        self,
        *names: str,
        arguments: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
        version: str = "1",
        loaded: int = 0,
        later: int = 0,
        **options: Any,
    ) -> Ran:
        cache = self.root / "_build" / "cache"
        for name in [name for name, module in sys.modules.items() if is_of(self.root, module)]:
            del sys.modules[name]
        buildfile = load(self.root / "magnetfile.py", environ or {})
        logs = self.root / "_build" / "logs"
        shutil.rmtree(logs, ignore_errors=True)
        logs.mkdir(parents=True)
        files, events = LogFiles(logs), list[SolveStatus]()

        def emit(status: SolveStatus) -> None:
            events.append(status)
            files.update(status)

        session = Session(
            project=Project(root=self.root, name="project", version=version),
            workspace=Workspace(cache, "run"),
            children=Children(),
            emit=emit,
            clock=count(1).__next__,
            environ={"PATH": os.environ["PATH"]},
            terminal=lambda vertex: nullcontext(),
            **options,
        )
        backend: Any = type("Engine", (), {"inspect": lambda _, name, shell: self.images.get(name)})()
        session._backend = backend
        session._index = FileIndex(cache / "files.sqlite", clock=lambda: time.time_ns() + later * 10**9)
        run = Run(
            session,
            buildfile.path,
            jobs=1,
            variables=buildfile.variables,
            loaded=loaded,
            logs=files,
        )
        calls = [buildfile.find(name)(**(arguments or {})) for name in names]
        sys.path.insert(0, str(self.root))
        done: list[bool] = []
        thread = threading.Thread(target=lambda: done.append(run.scheduler.run(calls)), daemon=True)
        thread.start()
        thread.join(TIMEOUT)
        sys.path.remove(str(self.root))
        assert done, "the run is stuck"
        files.done()
        session.index().close()
        ended = [vertex for status in events for vertex in status.vertexes if vertex.completed]
        return Ran(
            done[0],
            [vertex.name for vertex in ended if not vertex.cached and not vertex.error],
            [vertex.name for vertex in ended if vertex.cached],
            [line for status in events for log in status.logs for line in log.data.decode().splitlines()],
            [failure.error.message for failure in run.failures],
            {node.call.target.name: node.result for node in run.scheduler._nodes.values()},
            {path.name: path.read_text().split("-----\n")[1] for path in logs.iterdir()},
            {vertex.name: vertex.took for vertex in ended},
        )

    def paths(self, top: str) -> dict[str, str]:
        """What there is below a directory: modes, and what is in the files and links."""
        found = {}
        for path in sorted((self.root / top).rglob("*")):
            holds = os.readlink(path) if path.is_symlink() else path.read_text() if path.is_file() else ""
            found[str(path.relative_to(self.root / top))] = f"{path.lstat().st_mode:o} {holds}".strip()
        return found


def is_of(root: Path, module: ModuleType) -> bool:
    return str(getattr(module, "__file__", None)).startswith(f"{root}/")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """A project with two sources, which a target copies."""
    monkeypatch.setitem(sys.modules, "magnetfile", ModuleType("magnetfile"))  # noted, to be taken away at the end
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    runs = Runs(tmp_path / "project")
    runs.write({"src/a": "a\n", "src/b": "b\n"})
    runs.magnetfile(COPY)
    return runs


def test_it_is_skipped_when_nothing_changed_and_its_log_is_that_of_the_run_that_made_it(project: Runs) -> None:
    first, second = project("app"), project("app")
    assert (first.ran, first.skipped, first.logs) == (["app"], [], {"app": "copying\n"})
    assert (second.ran, second.skipped, second.said, second.logs) == ([], ["app"], [], {"app": "copying\n"})


def test_it_tells_what_it_took_when_it_was_run(project: Runs) -> None:
    # From before the body to after it, on a clock that is asked for each line that is printed.
    assert project("app").took == {"app": None}
    assert project("app").took == {"app": 2}
    (project.root / "out/a").unlink()
    assert project("app").took == {"app": 2}


def change_mode(project: Runs) -> None:
    (project.root / "src/a").chmod(0o755)


def become_a_link(project: Runs) -> None:
    (project.root / "src/a").unlink()
    (project.root / "src/a").symlink_to("b")


CHANGES: Mapping[str, Callable[[Runs], object]] = {
    "content": lambda project: project.write({"src/a": "A\n"}),
    "a new file": lambda project: project.write({"src/c": "c\n"}),
    "a file that is gone": lambda project: (project.root / "src/a").unlink(),
    "another name": lambda project: (project.root / "src/a").rename(project.root / "src/z"),
    "mode": change_mode,
    "a link in place of a file": become_a_link,
    "an empty file": lambda project: project.write({"src/empty": ""}),
    "the magnetfile": lambda project: project.magnetfile(COPY + "# a comment\n"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_it_runs_again_when_what_decides_its_result_changed(project: Runs, change: Callable[[Runs], object]) -> None:
    project("app")
    change(project)
    assert project("app").ran == ["app"]
    assert project("app").skipped == ["app"]


def copy_the_project(project: Runs) -> None:
    shutil.copytree(project.root, project.root.with_name("copy"), symlinks=True)
    project.root = project.root.with_name("copy")


SAME: Mapping[str, Callable[[Runs], object]] = {
    "times": lambda project: os.utime(project.root / "src/a", (1, 1)),
    "a file that is no input": lambda project: project.write({"other": "x"}),
    "the place of the project": copy_the_project,
    "what is in magnet's own directory": lambda project: project.write({"_build/x": "x"}),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_it_is_skipped_when_what_changed_does_not_count(project: Runs, change: Callable[[Runs], object]) -> None:
    project("app")
    change(project)
    assert project("app").skipped == ["app"]


def test_arguments_variables_and_the_version_count_where_they_are_used(project: Runs) -> None:
    project.magnetfile(
        'WHO = env("WHO", "world")\n'
        '@target(inputs="src/a")\ndef app(t, name: str = "x"):\n    t.print(WHO, name)\n'
        '@target(inputs="src/a")\ndef stamp(t):\n    t.print(t.project.version)\n'
    )
    assert project("app", "stamp").ran == ["app", "stamp"]
    assert project("app", environ={"OTHER": "x"}).skipped == ["app"]
    assert project("app", environ={"WHO": "you"}).ran == ["app"]
    assert project("app", arguments={"name": "y"}).ran == ["app(name=y)"]
    other = project("app", "stamp", version="2")
    assert (other.ran, other.skipped) == (["stamp"], ["app"])
    assert project("stamp", version="1").ran == ["stamp"], "the last success is of another version"


def test_modules_beside_the_magnetfile_count_whenever_they_are_imported(project: Runs) -> None:
    project.magnetfile(
        'import early\n@target(inputs="src/a")\ndef app(t):\n    import late\n    t.print(early.TEXT, late.TEXT)\n'
    )
    project.write({"early.py": "TEXT = 'e'\n", "late.py": "TEXT = 'l'\n"})
    project("app")
    assert project("app").skipped == ["app"]
    project.write({"late.py": "TEXT = 'L'\n"})
    assert project("app").said == ["e L"]
    project.write({"early.py": "TEXT = 'E'\n"})
    assert project("app").said == ["E L"]
    assert project("app").skipped == ["app"]


def test_outputs_that_are_gone_or_changed_are_put_back_and_the_others_are_not_touched(project: Runs) -> None:
    project.magnetfile(
        '@target(inputs="src", outputs=["out", "one.txt"])\n'
        "def app(t):\n"
        '    (HERE / "out/deep/empty").mkdir(parents=True)\n'
        '    (HERE / "out/run").write_text("run")\n'
        '    (HERE / "out/run").chmod(0o755)\n'
        '    (HERE / "out/link").symlink_to("nowhere")\n'
        '    (HERE / "out/deep/file").write_text("file")\n'
        '    (HERE / "out/deep").chmod(0o555)\n'
        '    (HERE / "one.txt").write_text("one")\n'
    )
    project("app")
    made, kept = project.paths("out"), (project.root / "out/run").stat()
    (project.root / "out/deep").chmod(0o755)
    shutil.rmtree(project.root / "out/deep")
    (project.root / "out/link").unlink()
    project.write({"out/link": "a file", "one.txt": "edited"})
    again = project("app")
    assert (again.skipped, again.said) == (["app"], [])
    assert project.paths("out") == made
    assert (project.root / "one.txt").read_text() == "one"
    now = (project.root / "out/run").stat()
    assert (now.st_ino, now.st_mtime_ns, now.st_ctime_ns) == (kept.st_ino, kept.st_mtime_ns, kept.st_ctime_ns)


def test_an_output_that_is_edited_in_place_does_not_change_what_is_kept(project: Runs) -> None:
    project("app")
    for _ in range(2):
        with (project.root / "out/a").open("r+") as file:
            file.write("X")
        assert project("app").skipped == ["app"]
        assert (project.root / "out/a").read_text() == "a\n"


def test_going_back_to_earlier_inputs_brings_their_outputs_back_and_takes_later_ones_away(project: Runs) -> None:
    project("app")
    first = project.paths("out")
    project.write({"src/a": "A\n", "src/c": "c\n"})
    project("app")
    second = project.paths("out")
    project.write({"src/a": "a\n"})
    (project.root / "src/c").unlink()
    assert project("app").skipped == ["app"]
    assert project.paths("out") == first
    project.write({"src/a": "A\n", "src/c": "c\n"})
    assert project("app").skipped == ["app"]
    assert project.paths("out") == second


def test_what_no_target_made_is_not_removed_from_among_the_outputs(project: Runs) -> None:
    project("app")
    project.write({"out/notes": "mine\n"})
    ran = project("app")
    assert ran.ran == ["app"]
    assert (
        ran.said[0] == "The outputs cannot be put back: `out/notes` is among the outputs and was not made by a target."
    )
    assert (project.root / "out/notes").read_text() == "mine\n"
    assert project("app").skipped == ["app"]


@pytest.mark.parametrize("damage", ["missing", "broken", "empty"])
def test_outputs_that_cannot_be_put_back_are_made_again(project: Runs, damage: str) -> None:
    project("app")
    (project.root / "out/a").unlink()
    for path in (project.root / "_build/cache/objects").glob("*/*"):
        path.chmod(0o644)
        if damage == "missing":
            path.unlink()
        else:
            path.write_text("" if damage == "empty" else "broken\n")
    ran = project("app")
    assert (ran.ran, (project.root / "out/a").read_text()) == (["app"], "a\n")
    (project.root / "out/a").unlink()
    assert project("app").skipped == ["app"]
    assert (project.root / "out/a").read_text() == "a\n"


def test_a_broken_or_foreign_database_is_made_anew(project: Runs) -> None:
    path = project.root / "_build/cache/targets.sqlite"
    project("app")
    for text in (b"no database", b""):
        path.write_bytes(text)
        assert project("app").ran == ["app"]
        assert project("app").skipped == ["app"]
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE records (other)")
    database.close()
    assert project("app").ran == ["app"]
    assert project("app").skipped == ["app"]


@pytest.mark.parametrize("column", ["value", "outputs", "log", "details", "observed"])
def test_a_record_that_is_not_as_it_was_written_does_not_count(project: Runs, column: str) -> None:
    project("app")
    with sqlite3.connect(project.root / "_build/cache/targets.sqlite") as database:
        database.execute(f"UPDATE records SET {column} = 'x'")
    database.close()
    assert project("app").ran == ["app"]


def test_a_failure_is_not_kept(project: Runs) -> None:
    project.magnetfile('@target(inputs="src/a")\ndef app(t):\n    assert (HERE / "src/b").read_text() == "B"\n')
    assert not project("app").done
    assert not project("app").done
    project.write({"src/b": "B"})
    assert project("app").ran == ["app"]


def test_an_output_that_was_not_made_is_an_error_that_names_it(project: Runs) -> None:
    project.magnetfile(
        '@target(outputs=["src/a", "dist/*.js"])\ndef app(t): pass\n@target(outputs="dist")\ndef lib(t): pass\n'
    )
    assert project("app").failures == ["it made no `dist/*.js`, which is one of its outputs"]
    assert project("lib").failures == ["it made no `dist`, which is one of its outputs"]
    assert project("app").failures == ["it made no `dist/*.js`, which is one of its outputs"]


def test_an_input_without_wildcards_must_exist(project: Runs) -> None:
    project.magnetfile(
        '@target(inputs="src/aa")\ndef app(t): pass\n@target(inputs=["src/*.c", "no/**"])\ndef lib(t): pass\n'
    )
    assert project("app").failures == ["there is no `src/aa`, which is one of the inputs"]
    assert project("lib").ran == ["lib"]
    assert project("lib").skipped == ["lib"]
    project.write({"no/deep/x": "x"})
    assert project("lib").ran == ["lib"]


def test_inputs_alone_are_a_stamp_and_outputs_alone_are_made_once(project: Runs) -> None:
    project.magnetfile(
        '@target(inputs="src/a")\ndef lint(t): pass\n'
        '@target(outputs="out")\ndef fetch(t):\n    (HERE / "out").write_text("fetched")\n'
    )
    assert project("lint", "fetch").ran == ["lint", "fetch"]
    (project.root / "out").unlink()
    assert project("lint", "fetch").skipped == ["lint", "fetch"]
    assert (project.root / "out").read_text() == "fetched"


def test_outputs_are_no_inputs_and_globs_can_leave_out(project: Runs) -> None:
    project.magnetfile(
        '@target(inputs=[".", "!*.md", "!src/gen*"], outputs="src/out")\n'
        'def app(t):\n    (HERE / "src/out").write_text("out")\n'
    )
    project("app")
    project.write({"README.md": "x", "src/gen/deep": "x", "src/generated": "x"})
    project.write({".git/index": "x", "src/.git/index": "x", "__pycache__/x": "x"})
    assert project("app").skipped == ["app"]
    project.write({"src/deep/x": "x"})
    assert project("app").ran == ["app"]


def test_what_is_hidden_can_be_named_and_is_an_output_as_anything_else(project: Runs) -> None:
    project.magnetfile(
        '@target(inputs=".git/HEAD", outputs="clone")\n'
        'def app(t):\n    (HERE / "clone/.git").mkdir(parents=True, exist_ok=True)\n'
        '    (HERE / "clone/.git/HEAD").write_text((HERE / ".git/HEAD").read_text())\n'
    )
    project.write({".git/HEAD": "1"})
    project("app")
    shutil.rmtree(project.root / "clone")
    assert project("app").skipped == ["app"]
    assert project.paths("clone") == {".git": "40755", ".git/HEAD": "100644 1"}
    project.write({".git/HEAD": "2"})
    assert project("app").ran == ["app"]


@pytest.mark.parametrize("glob", ["link/*", "link/file"])
def test_a_link_on_the_way_to_an_input_may_come_to_lead_elsewhere(project: Runs, glob: str) -> None:
    project.magnetfile(f'@target(inputs="{glob}")\ndef app(t): pass\n')
    project.write({"a/file": "a", "b/file": "b"})
    (project.root / "link").symlink_to("a")
    project("app", later=10)
    assert project("app", later=10).skipped == ["app"]
    (project.root / "link").unlink()
    (project.root / "link").symlink_to("b")
    assert project("app", later=10).ran == ["app"]


def test_names_that_are_no_text_are_names(project: Runs) -> None:
    odd = os.fsencode(project.root / "src") + b"/\xff \n"
    Path(os.fsdecode(odd)).write_text("odd")
    project("app")
    made = os.fsencode(project.root / "out") + b"/\xff \n"
    os.unlink(made)
    assert project("app").skipped == ["app"]
    assert Path(os.fsdecode(made)).read_text() == "odd"


VALUES = ["None", "True", "[1, 2.5, 'x', None]", "{'a': ({'b': []},)}", "'\\udcff'", "HERE / 'out'", "Path('x')"]


@pytest.mark.parametrize("value", VALUES)
def test_what_it_returned_is_returned_again(project: Runs, value: str) -> None:
    project.magnetfile(f'@target(inputs="src/a")\ndef app(t):\n    return {value}\n')
    first, second = project("app").results["app"], project("app")
    assert second.skipped == ["app"]
    assert (second.results["app"], type(second.results["app"])) == (first, type(first))


@pytest.mark.parametrize(
    ("value", "name"), [("object()", "object"), ("{1: 2}", "dict"), ("[print]", "builtin_function_or_method")]
)
def test_what_returns_what_cannot_be_kept_is_not_skipped_and_says_so(project: Runs, value: str, name: str) -> None:
    project.magnetfile(f'@target(inputs="src/a")\ndef app(t):\n    return {value}\n')
    for _ in range(2):
        ran = project("app")
        assert (ran.ran, ran.said) == (
            ["app"],
            [f"It cannot be skipped the next time: it returns a {name}, which cannot be kept."],
        )


def test_an_image_that_was_returned_is_looked_for_in_the_engine(project: Runs) -> None:
    project.magnetfile(
        "from magnet import Image\n"
        '@target(inputs="src/a")\ndef app(t):\n    return Image("sha256:1", tags=("app:1",))\n'
    )
    assert project("app").ran == ["app"]
    assert project("app").ran == ["app"], "it is not there"
    project.images["sha256:1"] = Image("sha256:1", tags=("other",), user="me")
    assert project("app").ran == ["app"], "its tag is not there"
    project.images["app:1"] = Image("sha256:2")
    assert project("app").ran == ["app"], "its tag is another's"
    project.images["app:1"] = project.images["sha256:1"]
    again = project("app")
    assert (again.skipped, again.results["app"]) == (["app"], Image("sha256:1", tags=("app:1",), user="me"))


NEEDS = """
@target(inputs="src/a", outputs="lib")
def lib(t):
    (HERE / "lib").write_text((HERE / "src/a").read_text().lower())

@target(needs=[lib], inputs="src/b", outputs="app")
def app(t):
    t.need(lib)
    (HERE / "app").write_text((HERE / "lib").read_text())
"""


def test_what_it_needs_counts_by_what_that_came_to(project: Runs) -> None:
    project.magnetfile(NEEDS)
    assert project("app").ran == ["lib", "app"]
    assert project("app").skipped == ["lib", "app"]
    project.write({"src/a": "A\n"})
    cut = project("app")
    assert (cut.ran, cut.skipped) == (["lib"], ["app"]), "the output is the same"
    project.write({"src/a": "c\n"})
    assert project("app").ran == ["lib", "app"]


def test_a_need_without_inputs_and_outputs_counts_by_what_it_returns(project: Runs) -> None:
    project.magnetfile(
        "@target\ndef lib(t):\n    return (HERE / 'value').read_text()\n"
        '@target(needs=[lib], inputs="src/a")\ndef app(t): pass\n'
    )
    project.write({"value": "1"})
    assert project("app").ran == ["lib", "app"]
    assert project("app").skipped == ["app"]
    project.write({"value": "2"})
    assert project("app").ran == ["lib", "app"]


def test_an_image_that_is_needed_counts_by_its_id_and_not_by_its_tags(project: Runs) -> None:
    project.magnetfile(
        "from magnet import Image\n"
        '@target\ndef lib(t):\n    return [Image((HERE / "id").read_text(), tags=(f"lib:{t.project.version}",))]\n'
        '@target(needs=[lib], inputs="src/a")\ndef app(t): pass\n'
    )
    project.write({"id": "sha256:1"})
    project("app")
    assert project("app", version="2").skipped == ["app"]
    project.write({"id": "sha256:2"})
    assert project("app", version="2").ran == ["lib", "app"]


def test_a_need_of_which_nothing_is_known_keeps_it_from_being_skipped(project: Runs) -> None:
    project.magnetfile('@target\ndef lib(t): pass\n@target(needs=[lib], inputs="src/a")\ndef app(t): pass\n')
    for _ in range(2):
        ran = project("app")
        assert ran.ran == ["lib", "app"]
        assert ran.said == ["It cannot be skipped the next time: it is not known what `lib`, which it needs, changed."]


def test_a_need_that_is_not_declared_keeps_it_from_being_skipped(project: Runs) -> None:
    project.magnetfile(
        '@target(inputs="src/b")\ndef lib(t): pass\n@target(inputs="src/a")\ndef app(t):\n    t.need(lib)\n'
    )
    project("app")
    ran = project("app")
    assert (ran.ran, ran.skipped) == (["app"], ["lib"])
    assert ran.said == [
        "It cannot be skipped the next time: it needed `lib`, which is not declared: @target(needs=[...])."
    ]


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ('(HERE / "src/a").write_text("B")', "its input `src/a` changed while it ran"),
        ('(HERE / "src/c").write_text("c")', "its input `src/c` changed while it ran"),
        ('(HERE / "magnetfile.py").open("a").write("#")', "the magnetfile changed while it ran"),
    ],
)
def test_what_changes_while_it_runs_is_noticed_and_nothing_kept(project: Runs, step: str, why: str) -> None:
    project.magnetfile(f'@target(inputs="src")\ndef app(t):\n    {step}\n')
    ran = project("app")
    assert (ran.done, ran.said) == (True, [f"It cannot be skipped the next time: {why}."])
    assert project("app").ran == ["app"]


def test_a_magnetfile_that_changed_since_it_was_loaded_keeps_nothing(project: Runs) -> None:
    changed = (project.root / "magnetfile.py").stat().st_ctime_ns
    ran = project("app", loaded=changed)
    assert ran.said[1:] == ["It cannot be skipped the next time: `magnetfile.py` changed after it was loaded."]
    assert project("app", loaded=changed + 10**9).ran == ["app"]
    assert project("app", loaded=changed + 10**9).skipped == ["app"]


def test_force_runs_it_and_keeps_what_it_made_then(project: Runs) -> None:
    project.magnetfile(
        '@target(outputs="out")\ndef app(t):\n    (HERE / "out").write_text((HERE / "src/a").read_text())\n'
    )
    project("app")
    project.write({"src/a": "A\n"})
    assert project("app").skipped == ["app"]
    assert project("app", force=True).ran == ["app"]
    (project.root / "out").unlink()
    assert project("app").skipped == ["app"]
    assert (project.root / "out").read_text() == "A\n"


def test_many_targets_and_long_chains_are_skipped(project: Runs) -> None:
    project.magnetfile(
        "needed = []\n"
        "for number in range(120):\n"
        '    @target(name=f"t{number}", inputs="src/a", outputs=f"out/{number}", needs=needed[-1:])\n'
        "    def one(t, number=number):\n"
        '        (HERE / "out").mkdir(exist_ok=True)\n'
        '        (HERE / f"out/{number}").write_text("x")\n'
        "    needed.append(one)\n"
        "@target(needs=needed)\ndef app(t): pass\n"
    )
    assert len(project("app").ran) == 121
    again = project("app")
    assert (len(again.skipped), again.ran) == (120, ["app"])


GRAPH = """
WORD = env("WORD", "x")
needed = []
for number in range(12):
    @target(name=f"t{number}", inputs=f"in/{number}", outputs=f"out/{number}", needs=needed[-1:] if number < 4 else [])
    def one(t, number=number):
        t.print("making", number)
        (HERE / "out").mkdir(exist_ok=True)
        (HERE / f"out/{number}").write_text((HERE / f"in/{number}").read_text())
        return number
    needed.append(one)
@target(needs=needed)
def app(t):
    return t.need(*needed)
"""


@pytest.fixture
def graph(project: Runs) -> Runs:
    """A graph of which was seen, when its files were old enough to be trusted, that nothing changed."""
    for number in range(12):
        project.write({f"in/{number}": f"{number}\n"})
    project.magnetfile(GRAPH)
    assert len(project("app").ran) == 13
    assert len(project("app", later=10).skipped) == 12
    return project


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch, graph: Runs) -> None:
    """Nothing is known but what is known of the graph as a whole."""
    (graph.root / "_build/cache/files.sqlite").unlink()
    monkeypatch.setattr(Records, "fetch", lambda self: {})
    monkeypatch.setattr(Records, "find", lambda self, call, key: None)


@pytest.mark.usefixtures("forgotten")
def test_a_graph_in_which_nothing_changed_is_known_as_a_whole(graph: Runs) -> None:
    again = graph("app")
    assert (again.ran, len(again.skipped), again.said) == (["app"], 12, [])
    assert again.results["app"] == tuple(range(12))
    assert again.logs["t3"] == "making 3\n"
    assert again.took == {"app": None} | {f"t{number}": 2 for number in range(12)}


GRAPH_CHANGES: Mapping[str, tuple[Callable[[Runs], object], list[str]]] = {
    "an input": (lambda graph: graph.write({"in/5": "changed"}), ["t5"]),
    "an input of what others need": (lambda graph: graph.write({"in/1": "changed"}), ["t1", "t2"]),
    "an output": (lambda graph: graph.write({"out/6": "changed"}), []),
    "an output that is gone": (lambda graph: (graph.root / "out/7").unlink(), []),
    "the mode of an input": (lambda graph: (graph.root / "in/8").chmod(0o600), ["t8"]),
    "the magnetfile": (lambda graph: graph.magnetfile(GRAPH + "#"), [f"t{number}" for number in range(12)]),
}


@pytest.mark.parametrize(("change", "ran"), GRAPH_CHANGES.values(), ids=GRAPH_CHANGES)
def test_what_changed_in_a_graph_is_made_again_and_nothing_else(
    graph: Runs, change: Callable[[Runs], object], ran: list[str]
) -> None:
    change(graph)
    assert sorted(graph("app", later=10).ran) == sorted(["app", *ran])
    assert {path.name: path.read_text() for path in (graph.root / "out").iterdir()} == {
        path.name: path.read_text() for path in (graph.root / "in").iterdir()
    }
    assert len(graph("app", later=10).skipped) == 12


@pytest.mark.usefixtures("forgotten")
def test_a_variable_counts_for_a_graph(graph: Runs) -> None:
    assert len(graph("app", environ={"WORD": "y"}).ran) == 13


def test_what_is_recorded_after_a_graph_was_seen_counts_for_it(project: Runs) -> None:
    project.magnetfile(
        "def make(number):\n"
        '    @target(name=f"t{number}", inputs="src/a")\n'
        "    def one(t):\n"
        '        return (HERE / "value").read_text()\n'
        "    return one\n"
        "needed = [make(number) for number in range(9)]\n"
        "@target(needs=needed)\ndef app(t):\n    return t.need(*needed)\n"
    )
    project.write({"value": "1"})
    for _ in range(2):
        assert project("app", later=10).results["app"] == ("1",) * 9
    project.write({"value": "2"})
    project("t5", force=True)
    assert project("app", later=10).results["app"] == (*("1",) * 5, "2", *("1",) * 3)


def test_what_bodies_were_seen_to_depend_on_counts_for_a_graph(project: Runs) -> None:
    project.magnetfile(
        "def make(number):\n"
        '    @target(name=f"t{number}", inputs="src/a")\n'
        "    def one(t):\n"
        "        return t.project.version\n"
        "    return one\n"
        "needed = [make(number) for number in range(9)]\n"
        "@target(needs=needed)\ndef app(t):\n    return t.need(*needed)\n"
    )
    for version in ("1", "1", "2"):
        assert project("app", later=10, version=version).results["app"] == (version,) * 9


@pytest.mark.parametrize("damage", [b"", b"no graph", None])
def test_what_is_broken_of_a_graph_does_not_count(graph: Runs, damage: bytes | None) -> None:
    (path,) = (graph.root / "_build/cache/graphs").iterdir()
    path.write_bytes(path.read_bytes()[:-1] + b"x" if damage is None else damage)
    assert len(graph("app").skipped) == 12
    assert len(graph("app").skipped) == 12


def test_a_log_that_is_gone_is_made_again_in_a_graph(graph: Runs) -> None:
    for path in (graph.root / "_build/cache/objects").glob("*/*"):
        if path.read_text() == "making 3\n":
            path.unlink()
    assert graph("app").ran == ["t3", "app"]


def test_only_the_last_five_records_of_a_call_and_their_objects_are_kept(project: Runs) -> None:
    for number in range(8):
        project.write({"src/a": f"{number}\n"})
        project("app")
    store = Store(project.root / "_build/cache/objects")
    texts = {store.path(digest).read_text() for digest, _ in store.objects()}
    assert {f"{number}\n" for number in range(8)} & texts == {f"{number}\n" for number in range(3, 8)}
    for number, skipped in ((3, ["app"]), (2, [])):
        project.write({"src/a": f"{number}\n"})
        assert project("app").skipped == skipped


def test_the_store_can_be_measured_and_pruned(project: Runs) -> None:
    cache = project.root / "_build/cache"
    assert (size(cache), prune(cache)) == (0, 0)
    project("app")
    project.write({"src/a": "A\n"})
    project("app")
    assert size(cache) > 4096
    assert prune(cache) == 0
    assert prune(cache, keep=1) == 1
    assert project("app").skipped == ["app"]
    orphan = cache / "objects" / "ab" / ("c" * 62)
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_text("x")
    assert prune(cache) == 0
    assert orphan.exists(), "it may be of a target that is just being kept"
    os.utime(orphan, (1, 1))
    assert prune(cache, keep=0) == 1
    assert list((cache / "objects").glob("*/*")) == []
    assert open_records(cache).fetch() == {}
    assert project("app").ran == ["app"]


def test_a_target_is_claimed_until_it_is_kept(project: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    # Who waited for the claim, and then found no record, would make it once more.
    locks = project.root / "_build/cache/locks"
    held: list[str] = []
    close = LogFiles._close

    def look_and_close(*arguments: Any) -> None:
        held.extend(path.name.partition("-")[0] for path in locks.iterdir())
        close(*arguments)

    monkeypatch.setattr(LogFiles, "_close", look_and_close)
    assert project("app").ran == ["app"]
    assert held == ["target"]
    assert list(locks.iterdir()) == []
    assert project("app").skipped == ["app"]
