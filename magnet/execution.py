"""One run of targets, from the header to the last word: what takes part in it, and what its exit code is."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magnet import envs, interrupts, project, runs
from magnet.backends import check_name, remove_containers
from magnet.buildfile import Buildfile, Call, importing_from
from magnet.errors import ContainerFailed, UsageError
from magnet.failures import report
from magnet.logs import LogFiles
from magnet.model import Project
from magnet.process import Children
from magnet.progress.choosing import check_display, detect_service, make_display
from magnet.progress.consumer import Consumer
from magnet.redact import Redactor
from magnet.running import Run, digest
from magnet.session import Session
from magnet.settings import Settings, is_on
from magnet.values import frozen, replace
from magnet.workspace import BUILD_DIRECTORY, Workspace, prepare_build_directory

if TYPE_CHECKING:
    from magnet.events import Sink
    from magnet.progress.display import Display
    from magnet.progress.following import Told
    from magnet.questions import Question
    from magnet.watch import Watch

INTERRUPTED = 130

ABANDONED = 0.5
"""Seconds that displays and logs have to say their last after a second interrupt."""


@frozen
class Plan:
    """What is known of a run before anything of it is on disk."""

    calls: Sequence[Call[Any]]
    loaded: Buildfile
    settings: Settings
    environ: Mapping[str, str]
    project: Project
    backend_name: str | None
    log_runs: int
    question: "Question | None"
    secrets: tuple[str, ...]
    told: "Told | None"
    watch: "Watch | None" = None

    @property
    def is_dry(self) -> bool:
        """Whether nothing is run, and nothing logged."""
        return self.settings.dry_run or self.question is not None

    @property
    def cache(self) -> Path:
        """Where the project's cache is."""
        return self.loaded.root / BUILD_DIRECTORY / "magnet" / self.project.name


def execute(
    calls: Sequence[Call[Any]],
    loaded: Buildfile,
    settings: Settings,
    environ: Mapping[str, str],
    watch: "Watch | None" = None,
) -> int:
    """Run the calls, and report what failed; the exit code. What is looked at is noted by `watch`."""
    plan = replace(_plan(calls, loaded, settings, environ), watch=watch)
    redactor = Redactor(plan.secrets)
    if plan.is_dry:
        return _Execution(plan, redactor, None).run()
    record = runs.begin(
        prepare_build_directory(loaded.root),
        time.time_ns(),
        list(map(redactor.text, settings.typed)),
        version=plan.project.version,
        keep=plan.log_runs,
    )
    return _Execution(plan, redactor, record).run()


def _plan(calls: Sequence[Call[Any]], loaded: Buildfile, settings: Settings, environ: Mapping[str, str]) -> Plan:
    question = _question(settings)
    check_display(settings)
    envs.check_required(loaded.variables)
    stored = project.read_settings(loaded.root)
    backend_name = settings.backend or environ.get("MAGNET_BACKEND") or stored.backend
    if backend_name:
        check_name(backend_name)
    return Plan(
        calls=calls,
        loaded=loaded,
        settings=settings,
        environ=environ,
        project=project.describe(loaded.root, stored.name),
        backend_name=backend_name,
        log_runs=stored.log_runs or runs.KEPT,
        question=question,
        secrets=envs.secret_values(loaded.variables),
        told=_told(settings),
    )


def _told(settings: Settings) -> "Told | None":
    if not (settings.summary or settings.trace or settings.timeline):
        return None
    from magnet.progress.following import Told  # most runs are not told of

    return Told(settings, time.time_ns)


def _question(settings: Settings) -> "Question | None":
    if settings.explain and settings.files:
        raise UsageError("--explain and --files cannot be had together", hint="ask one after the other")
    if settings.as_json and not (settings.explain or settings.files):
        raise UsageError("--json goes with --explain or --files", hint="add one of them")
    if not settings.explain and not settings.files:
        return None
    from magnet.questions import Explain, Files  # a build asks none

    return Explain() if settings.explain else Files()


class _Execution:
    """The parts of one run; without a record it is a dry one."""

    def __init__(self, plan: Plan, redactor: Redactor, record: "runs.Run | None") -> None:
        self._plan = plan
        self._redactor = redactor
        self._record = record
        self._logs = LogFiles(record.directory) if record else None
        self._service = detect_service(plan.settings, plan.environ, time.time_ns)
        self._display = self._make_display()
        others: list[Sink] = [*([self._logs] if self._logs else []), *(plan.told.sinks if plan.told else [])]
        self._consumer = Consumer(self._display, others, redactor)
        stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime())
        self._workspace = Workspace(plan.cache, f"magnet-{stamp}-{os.urandom(4).hex()}")
        self._run = self._make_run()
        self._lost: Exception | None = None

    def run(self) -> int:
        """Run to the end, say what came of it, and return the exit code."""
        self._workspace.sweep(remove_containers)
        self._consumer.start()
        try:
            ending = self._until_done()
        finally:
            self._display.abandon()
        if ending != "abandoned":
            self._workspace.close()  # else the next run finds it, and does what was left undone
        try:
            self._report(ending)
        except OSError as error:  # whoever reads it has gone
            self._lost = self._lost or error
        code = self._exit_code(ending)
        if self._record and self._logs:
            self._record.end(self._result(ending), code, time.time_ns(), self._logs.counts)
        # A terminal that was closed is an interrupt, and there is nobody left to report to.
        if self._lost and ending == "done":
            raise self._lost
        return code

    def _result(self, ending: interrupts.Ending) -> runs.Result:
        if ending != "done":
            return "interrupted"
        return "failed" if self._run.failures or self._lost else "succeeded"

    def _make_display(self) -> "Display":
        settings = self._plan.settings
        if self._record is None:
            from magnet.progress.dryrun import DryRun

            # An answer stands alone on stdout; what a target prints goes beside it.
            return DryRun(sys.stdout if self._plan.question is None else sys.stderr)
        if settings.progress != "quiet":
            _print_header(self._record.directory, self._plan.project.version, self._plan.cache)
        return make_display(settings, self._service, self._plan.environ, time.time_ns)

    def _make_run(self) -> Run:
        plan = self._plan
        session = Session(
            project=plan.project,
            workspace=self._workspace,
            children=Children(self._workspace.recording),
            emit=self._consumer.emit,
            clock=time.time_ns,
            environ=plan.environ,
            imported={name: one.value for name, one in plan.loaded.imported.items()},
            terminal=self._consumer.terminal,
            backend_name=plan.backend_name,
            dry_run=plan.is_dry,
            force=plan.settings.force,
            offline=plan.settings.offline or is_on(plan.environ.get("MAGNET_OFFLINE", "")),
            question=plan.question,
            secrets=plan.secrets,
            learn=self._redactor.learn,
            watch=plan.watch,
        )
        return Run(
            session,
            plan.loaded.path,
            jobs=1 if plan.is_dry else plan.settings.jobs or os.cpu_count() or 1,
            keep_going=plan.settings.keep_going,
            variables=plan.loaded.variables,
            loaded=plan.loaded.loaded,
            logs=self._logs,
        )

    def _until_done(self) -> interrupts.Ending:
        with importing_from(self._plan.loaded.path.parent), interrupts.resting(lambda: self._consumer.terminal("")):
            ending = interrupts.until_done(self._run, list(self._plan.calls))
        if self._plan.watch:
            self._plan.watch.is_interrupted = ending != "done"
        try:
            self._consumer.finish(timeout=ABANDONED if ending == "abandoned" else None)
        except Exception as error:  # of a display or the logs; what is left to do is done all the same
            self._lost = error
        return ending

    def _report(self, ending: interrupts.Ending) -> None:
        """Print the answer that was asked for, or what failed."""
        plan = self._plan
        if plan.told and ending != "abandoned":
            self._tell(plan.told)
        if plan.question is not None and not self._run.failures:
            plan.question.print(sys.stdout, as_json=plan.settings.as_json)
        for failure in self._run.failures:
            child = failure.child
            vertex = child.vertex if child else digest(plan.project.name, failure.call)
            log = self._logs.path(vertex) if self._logs else None
            where = f"target `{child.path if child else failure.call.name}`: "
            report(failure.error, sys.stderr, where, log=log, hide=self._redactor.text, service=self._service)
        if ending != "done":
            report(interrupts.ERRORS[ending], sys.stderr)

    def _tell(self, told: "Told") -> None:
        """Print the report on the run, in which a service finds no command of its own."""
        if self._service is None:
            told.print(sys.stderr)
            return
        from io import StringIO  # a terminal has no service

        text = StringIO()
        told.print(text)
        sys.stderr.write(self._service.shielded(text.getvalue()))

    def _exit_code(self, ending: interrupts.Ending) -> int:
        """That of the first failure, or that of a lone target's container."""
        if ending != "done":
            return INTERRUPTED
        if not self._run.failures:
            return 1 if self._lost else 0
        first = self._run.failures[0]
        if (
            first.child is None
            and isinstance(first.error, ContainerFailed)
            and [call.key for call in self._plan.calls] == [first.call.key]
        ):
            code = first.error.returncode
            return code if code > 0 else 128 - code
        return first.error.exit_code


def _print_header(logs: Path, version: str, cache: Path) -> None:
    latest = os.path.relpath(logs.with_name("latest"))
    print(f"Logs:    {latest} ({os.path.relpath(logs)})", file=sys.stderr)
    print(f"Version: {version}", file=sys.stderr)
    print(f"Cache:   {os.path.relpath(cache)}", file=sys.stderr)
