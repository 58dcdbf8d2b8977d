"""The magnetfile: find it, load it, and hold its targets."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from magnet.envs import Declarations, Imported, Variable, declaring
from magnet.errors import MagnetError, MagnetfileError, UsageError, did_you_mean
from magnet.policy import PLAIN, Condition, Policy
from magnet.values import frozen, replace

if TYPE_CHECKING:
    from inspect import Parameter, Signature

    from magnet.matrix import Axes

MAGNETFILE = "magnetfile.py"

RESERVED = ("init", "doctor", "backends", "envs", "logs", "cache", "completion", "help")
"""Names of magnet's own commands, which no target can have."""

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


@frozen(eq=False)
class Target(Generic[P, R]):
    """A named piece of a build: a function of a magnetfile, and what is declared about it.

    Calling a target runs nothing: it gives a Call with these arguments, for `t.need` or `needs=`; of a target with a
    `matrix`, whose axes need not be given, a Matrix of calls.
    """

    function: Callable[Concatenate[Any, P], R]
    name: str
    needs: tuple["Target[..., Any] | Call[Any]", ...] = ()
    aliases: tuple[str, ...] = ()
    is_default: bool = False
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    policy: Policy = PLAIN
    matrix: "Axes" = ()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> "Call[R]":
        """The call of this target with these arguments."""
        if self.takes_nothing and not args and not kwargs:
            return Call(self)
        try:
            return self._combined(args, kwargs) if self.matrix else self._bound(args, kwargs)
        except TypeError as error:
            raise MagnetfileError(
                f"target `{self.name}`: {error}", hint=f"it is `{self.name}{self.signature}`"
            ) from None

    def _bound(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> "Call[R]":
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return Call(self, tuple(bound.arguments.items()))

    def _combined(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """The calls of all combinations with the values that are given of some axes."""
        from inspect import BoundArguments

        from magnet import matrix

        given = self.signature.bind_partial(*args, **kwargs)
        chosen = {name: [given.arguments[name]] for name, _ in self.matrix if name in given.arguments}
        for name, (value,) in chosen.items():
            matrix.check_chosen(self.matrix, name, value, self.name)
        calls = []
        for one in matrix.combinations(self.matrix, chosen):
            whole = BoundArguments(self.signature, {**given.arguments, **one})
            calls.append(self._bound(whole.args, whole.kwargs))
        return Matrix(tuple(calls))

    @property
    def signature(self) -> "Signature":
        """The parameters of the target: those of its function, without the first."""
        from inspect import signature  # costs 7 ms, and many targets have no parameters

        whole = signature(self.function)
        return whole.replace(parameters=list(whole.parameters.values())[1:])

    @property
    def takes_nothing(self) -> bool:
        """Whether it is a plain function without parameters of its own, as its code shows."""
        return _is_plain(self.function) and self.function.__code__.co_argcount == 1

    @property
    def help(self) -> str:
        """The docstring of its function, without the indentation."""
        from inspect import getdoc

        return getdoc(self.function) or ""

    @property
    def is_skippable(self) -> bool:
        """Whether it has inputs or outputs, so that it is skipped when nothing changed."""
        return bool(self.inputs or self.outputs)

    @property
    def summary(self) -> str:
        """The first line of the help."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]

    @property
    def place(self) -> str:
        """The file and line of the function."""
        code = self.function.__code__
        return f"{Path(code.co_filename).name}:{code.co_firstlineno}"


@frozen
class Call(Generic[R]):
    """A target with its arguments. Two calls are the same work when their keys are equal.

    `label` is how the call is shown, where its target's name with the arguments is not wanted.
    """

    target: Target[..., R]
    arguments: tuple[tuple[str, Any], ...] = ()
    label: str = ""

    @property
    def key(self) -> str:
        """Equal for calls that are the same work, in one run of magnet and in the next."""
        return f"{self.target.name}({', '.join(f'{name}={value!r}' for name, value in self.arguments)})"

    @property
    def name(self) -> str:
        """How the call is shown: by its label, or the target's name with the arguments that are not the defaults."""
        if self.label:
            return self.label
        if not self.arguments:
            return self.target.name
        parameters = self.target.signature.parameters
        axes = dict(self.target.matrix)
        return self._with(
            name for name, value in self.arguments if name in axes or not _is_default(parameters[name], value)
        )

    @property
    def work(self) -> str:
        """What its builds are remembered by: its target's name, with the place in the target's matrix."""
        return self._with(name for name, _ in self.target.matrix)

    def _with(self, names: Iterable[str]) -> str:
        values = dict(self.arguments)
        shown = [f"{name}={_shown(values[name])}" for name in names]
        return f"{self.target.name}({', '.join(shown)})" if shown else self.target.name

    def run(self, t: Any) -> R:
        """Run the function of the target with these arguments."""
        if not self.arguments:
            return self.target.function(t)
        from collections import OrderedDict
        from inspect import BoundArguments

        bound = BoundArguments(self.target.signature, OrderedDict(self.arguments))
        return self.target.function(t, *bound.args, **bound.kwargs)


@frozen
class Matrix(Generic[R]):
    """The calls of a target with a matrix, one for each combination, in the order in which the matrix has them."""

    calls: tuple[Call[R], ...]


def _is_plain(function: Callable[..., Any]) -> bool:
    """Whether the code of a function tells all of its parameters, and has no others than positional ones."""
    code = getattr(function, "__code__", None)
    is_wrapper = hasattr(function, "__wrapped__") or hasattr(function, "__signature__")
    return code is not None and not is_wrapper and not code.co_kwonlyargcount and not code.co_flags & _TAKES_REST


_TAKES_REST = 0x04 | 0x08
"""CO_VARARGS and CO_VARKEYWORDS: https://docs.python.org/3/library/inspect.html#code-objects-bit-flags"""


def _is_default(parameter: "Parameter", value: object) -> bool:
    default = () if parameter.kind is parameter.VAR_POSITIONAL else parameter.default
    return repr(value) == repr(default)  # as keys are compared: True is not 1


def _shown(value: object) -> str:
    text = str(value)
    return text if text.isprintable() else repr(value)


Needed = Target[..., Any] | Call[Any]

Globs = Iterable[str | Path] | str | Path
"""Paths and globs; one that begins with `!` leaves out what it matches."""


def as_call(needed: Needed) -> Call[Any]:
    """The call that a target, or a call of one, stands for."""
    if isinstance(needed, Call):
        return needed
    if isinstance(needed, Target):
        return needed()
    raise MagnetfileError(
        f"{needed!r} is not a target", hint="need takes functions that are decorated with @target, or calls of them"
    )


def is_matrix(needed: Needed) -> bool:
    """Whether it stands for the combinations of a matrix, and comes to a tuple of results."""
    return isinstance(needed, Matrix) or (isinstance(needed, Target) and bool(needed.matrix))


def calls_of(needed: Needed) -> tuple[Call[Any], ...]:
    """The calls that are meant: one, or those of a matrix."""
    made: Any = needed() if is_matrix(needed) and isinstance(needed, Target) else needed
    return made.calls if isinstance(made, Matrix) else (as_call(made),)


_collected: ContextVar[list[Target[..., Any]] | None] = ContextVar("collected", default=None)


@overload
def target(function: Callable[Concatenate[Any, P], R], /) -> Target[P, R]: ...
@overload
def target(
    *,
    name: str | None = None,
    needs: Iterable[Needed] = (),
    aliases: Iterable[str] | str = (),
    default: bool = False,
    inputs: Globs = (),
    outputs: Globs = (),
    timeout: float | str | None = None,
    retries: int = 0,
    only_if: Condition = True,
    platforms: Iterable[str] | str = (),
    weight: int = 1,
) -> Callable[[Callable[Concatenate[Any, P], R]], Target[P, R]]: ...
@overload
def target(
    *,
    name: str | None = None,
    needs: Iterable[Needed] = (),
    aliases: Iterable[str] | str = (),
    default: bool = False,
    inputs: Globs = (),
    outputs: Globs = (),
    timeout: float | str | None = None,
    retries: int = 0,
    only_if: Condition = True,
    platforms: Iterable[str] | str = (),
    weight: int = 1,
    matrix: Mapping[str, Iterable[Any]],
) -> Callable[[Callable[Concatenate[Any, P], R]], Target[..., tuple[R, ...]]]: ...
def target(
    function: Callable[Concatenate[Any, P], R] | None = None,
    /,
    *,
    name: str | None = None,
    needs: Iterable[Needed] = (),
    aliases: Iterable[str] | str = (),
    default: bool = False,
    inputs: Globs = (),
    outputs: Globs = (),
    timeout: float | str | None = None,
    retries: int = 0,
    only_if: Condition = True,
    platforms: Iterable[str] | str = (),
    weight: int = 1,
    matrix: Mapping[str, Iterable[Any]] | None = None,
) -> Any:
    """Make a function a target.

    `name` replaces the function's name, in which underscores become dashes; `a:b` puts it into the namespace `a`.
    `needs` are targets that run before it, `aliases` further names, `default` makes it what a bare `magnet` runs.

    With `inputs`, `outputs` or both, paths and globs relative to the magnetfile's directory, it is skipped when nothing
    changed since it last succeeded, and its outputs are put back if they are gone: see `magnet.skipping`.

    `timeout`, in seconds or as "5m", is the longest that it may work, `retries` how often it is tried again after a
    failure. It is skipped where `only_if`, or what that returns, is False, and on machines that are none of
    `platforms`. It takes `weight` of the slots of `--jobs`. A `matrix` of values of its parameters makes it one target
    for each combination.
    """
    policy = Policy(timeout, retries, only_if, platforms, weight)  # type: ignore[arg-type]

    def decorate(function: Callable[Concatenate[Any, P], R]) -> Target[P, R]:
        return _make(function, name, tuple(needs), _words(aliases), default, inputs, outputs, policy, matrix)

    return decorate if function is None else decorate(function)


@frozen
class Namespace:
    """A prefix for target names: `docker = Namespace("docker")` and `@docker.target` make `docker:build`."""

    name: str

    def target(
        self,
        function: Callable[Concatenate[Any, P], R] | None = None,
        /,
        *,
        name: str | None = None,
        needs: Iterable[Needed] = (),
        aliases: Iterable[str] | str = (),
        default: bool = False,
        inputs: Globs = (),
        outputs: Globs = (),
        timeout: float | str | None = None,
        retries: int = 0,
        only_if: Condition = True,
        platforms: Iterable[str] | str = (),
        weight: int = 1,
        matrix: Mapping[str, Iterable[Any]] | None = None,
    ) -> Any:
        """Make a function a target of this namespace; the options are those of `magnet.target`."""
        policy = Policy(timeout, retries, only_if, platforms, weight)  # type: ignore[arg-type]

        def decorate(function: Callable[Concatenate[Any, P], R]) -> Target[P, R]:
            full = f"{self.name}:{name or _target_name(function)}"
            prefixed = tuple(f"{self.name}:{alias}" for alias in _words(aliases))
            return _make(function, full, tuple(needs), prefixed, default, inputs, outputs, policy, matrix)

        return decorate if function is None else decorate(function)


def _words(words: Iterable[str] | str) -> tuple[str, ...]:
    return (words,) if isinstance(words, str) else tuple(words)


def _target_name(function: Callable[..., Any]) -> str:
    return function.__name__.replace("_", "-")


def _make(
    function: Callable[Concatenate[Any, P], R],
    name: str | None,
    needs: tuple[Needed, ...],
    aliases: tuple[str, ...],
    default: bool,
    inputs: Globs,
    outputs: Globs,
    policy: Policy,
    matrix: Mapping[str, Iterable[Any]] | None,
) -> Target[P, R]:
    made: Target[P, R] = Target(function, name or _target_name(function), needs, aliases, default)
    if not _takes_any(function):
        raise MagnetfileError(
            f"{made.place}: target `{made.name}` takes no parameter", hint=f"write `def {function.__name__}(t):`"
        )
    if inputs or outputs:
        made = replace(made, inputs=_patterns(made, "inputs", inputs), outputs=_patterns(made, "outputs", outputs))
    if policy != PLAIN or matrix is not None or any(map(is_matrix, needs)):
        made = _planned(made, policy, matrix)
    for needed in made.needs:
        as_call(needed)
    collected = _collected.get()
    if collected is not None and not function.__name__.startswith("_"):
        collected.append(made)
    return made


def _planned(made: Target[P, R], policy: Policy, matrix: Mapping[str, Iterable[Any]] | None) -> Target[P, R]:
    """The target with its policy and its matrix; of a matrix that it needs, it needs all calls."""
    from magnet import matrix as matrices  # few targets have any of this
    from magnet.policy import checked

    where = f"{made.place}: target `{made.name}`"
    if matrix is not None and made.outputs:
        raise MagnetfileError(
            f"{where}: all combinations of its matrix would have the same `outputs`",
            hint="leave `outputs` out, or declare them at a target that needs this one",
        )
    needs = (one for needed in made.needs for one in (calls_of(needed) if is_matrix(needed) else (needed,)))
    axes = () if matrix is None else matrices.checked(matrix, _axis_names(made.signature), where)
    return replace(made, policy=checked(policy, where), needs=tuple(needs), matrix=axes)


def _axis_names(signature: "Signature") -> list[str]:
    rest = ("VAR_POSITIONAL", "VAR_KEYWORD")
    return [name for name, parameter in signature.parameters.items() if parameter.kind.name not in rest]


def _takes_any(function: Callable[..., Any]) -> bool:
    if _is_plain(function):
        return function.__code__.co_argcount > 0
    from inspect import signature

    return bool(signature(function).parameters)


def _patterns(made: Target[..., Any], what: str, globs: Globs) -> tuple[str, ...]:
    """The globs without needless `./`, `//` and trailing slashes, so that equal ones look equal."""
    patterns = [os.fspath(glob) for glob in ([globs] if isinstance(globs, str | Path) else globs)]
    for pattern in patterns:
        path = pattern.removeprefix("!")
        is_elsewhere = os.path.isabs(path) or (what == "outputs" and ".." in path.split("/"))
        if not path or is_elsewhere:
            raise MagnetfileError(
                f"{made.place}: target `{made.name}`: `{pattern}` cannot be in `{what}`",
                hint="give paths or globs relative to the magnetfile's directory, such as `src` or `src/**/*.py`",
            )
    if patterns and all(pattern.startswith("!") for pattern in patterns):
        raise MagnetfileError(
            f"{made.place}: target `{made.name}`: all of `{what}` begins with `!`, which leaves nothing",
            hint='name what there is before what is left out of it, as in ["src", "!src/generated"]',
        )
    return tuple("!" * one.startswith("!") + os.path.normpath(one.removeprefix("!")) for one in patterns)


@frozen
class Buildfile:
    """A loaded magnetfile: its targets, by every name that they have, and the variables that it declares.

    `imported` are the values that it imports for variables. `loaded` is when that was begun, in nanoseconds since 1970.
    """

    path: Path
    root: Path
    targets: tuple[Target[..., Any], ...]
    variables: tuple[Variable, ...] = ()
    imported: Mapping[str, Imported] = MappingProxyType({})
    names: Mapping[str, Target[..., Any]] = MappingProxyType({})
    loaded: int = 0

    @property
    def default(self) -> Target[..., Any] | None:
        """The target that runs where none is named."""
        return next((target for target in self.targets if target.is_default), None)

    def find(self, name: str) -> Target[..., Any]:
        """The target of that name or alias; an underscore is as good as a dash."""
        found = self.names.get(name) or self.names.get(name.replace("_", "-"))
        if found is None:
            inside = [f"`{known}`" for known in self.names if known.rpartition(":")[2] == name]
            hint = f"did you mean {' or '.join(inside)}?" if inside else did_you_mean(name, self.names)
            hint = hint or "`magnet --list` shows the targets"
            raise UsageError(f"there is no target `{name}` in {self.path.name}", hint=hint)
        return found


def find(start: Path) -> Path | None:
    """The magnetfile in `start` or the nearest directory above it."""
    return next((path for up in (start, *start.parents) if (path := up / MAGNETFILE).is_file()), None)


def load(path: Path, environ: Mapping[str, str], *, root: Path | None = None) -> Buildfile:
    """Run a magnetfile and return what it declares.

    Whatever is wrong in it is a MagnetfileError that names its file and line and no frame of magnet's.
    """
    begun = time.time_ns()
    with _collecting() as collected, declaring(environ, path.parent) as declarations, importing_from(path.parent):
        try:
            _execute(path)
        except MagnetError as error:
            _explain(error, declarations)
            raise
    buildfile = Buildfile(
        path=path,
        root=root or path.parent,
        targets=tuple(collected),
        variables=tuple(declarations.variables.values()),
        imported=declarations.imported,
        names=_names(collected),
        loaded=begun,
    )
    defaults = [f"`{target.name}` ({target.place})" for target in collected if target.is_default]
    if len(defaults) > 1:
        raise MagnetfileError(f"more than one default target: {', '.join(defaults)}", hint="leave default=True on one")
    return buildfile


def _explain(error: MagnetError, declarations: Declarations) -> None:
    """Take secrets out of an error, and say which variables the magnetfile may have wanted."""
    missing = [f"`{one.name}`" for one in declarations.variables.values() if one.is_missing]
    if missing and not error.hint:
        error.hint = f"set what is required and has no value yet: {', '.join(missing)}"
    if declarations.secrets:
        from magnet.redact import Redactor  # few errors are of a magnetfile with secrets

        hide = Redactor(declarations.secrets).text
        error.message, error.detail = hide(error.message), tuple(map(hide, error.detail))
        error.hint = error.hint and hide(error.hint)


def user_frames(error: BaseException, path: Path) -> tuple[str, ...]:
    """Where an error came from in the user's own code: everything from the magnetfile on, magnet's frames left out."""
    from traceback import extract_tb  # costs 1 ms, and only a mistake needs it

    lines = []
    for frame in extract_tb(error.__traceback__):
        if _is_ours(frame.filename) and frame.filename != str(path):
            continue
        lines.append(f"{_shown_path(frame.filename, path)}:{frame.lineno}: in {frame.name}")
        lines.append(f"  {frame.line}")
    return tuple(lines)


def _unless_named(frames: tuple[str, ...], message: str) -> tuple[str, ...]:
    """The frames, save where the message begins with the place that one of them shows."""
    return () if any(message.startswith(frame.partition(" in ")[0]) for frame in frames[::2]) else frames


def _is_raised_here(error: BaseException) -> bool:
    """Whether an error was raised by magnet itself, and not by the user's code."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and _is_ours(frame.tb_frame.f_code.co_filename)


def _is_ours(filename: str) -> bool:
    return Path(filename).is_relative_to(Path(__file__).parent)


def _shown_path(filename: str, path: Path) -> str:
    inside = os.path.relpath(filename, path.parent)
    return filename if inside.startswith("..") else inside


@contextmanager
def _collecting() -> Iterator[list[Target[..., Any]]]:
    collected: list[Target[..., Any]] = []
    token = _collected.set(collected)
    try:
        yield collected
    finally:
        _collected.reset(token)


@contextmanager
def importing_from(directory: Path) -> Iterator[None]:
    """Let modules that lie beside a magnetfile be imported within the block."""
    sys.path.insert(0, str(directory))
    try:
        yield
    finally:
        with suppress(ValueError):  # a magnetfile may change the path itself
            sys.path.remove(str(directory))


def _execute(path: Path) -> None:
    try:
        source = path.read_bytes()
    except OSError as error:
        raise MagnetfileError(f"cannot read {path}: {error.strerror}") from error
    from types import ModuleType

    module = ModuleType("magnetfile")
    module.__file__ = str(path)
    # What a magnetfile defines is looked up in its module later, by annotations for one.
    sys.modules["magnetfile"] = module
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except MagnetError as error:
        if _is_raised_here(error):
            error.detail += _unless_named(user_frames(error, path), error.message)
        raise
    except SyntaxError as error:
        where = _shown_path(error.filename or str(path), path) + (f":{error.lineno}" if error.lineno else "")
        text = (error.text or "").rstrip("\n")
        marker = " " * max((error.offset or 1) - 1, 0) + "^"
        raise MagnetfileError(f"{where}: {error.msg}", detail=(text, marker) if text else ()) from error
    except Exception as error:
        frames = user_frames(error, path)
        raise MagnetfileError(
            f"{path.name} cannot be loaded: {type(error).__name__}: {error}", detail=frames
        ) from error


def _names(targets: Iterable[Target[..., Any]]) -> dict[str, Target[..., Any]]:
    names: dict[str, Target[..., Any]] = {}
    for target in targets:
        for name in (target.name, *target.aliases):
            if name in RESERVED:
                raise MagnetfileError(
                    f"{target.place}: a target cannot be called `{name}`: it is a command of magnet's",
                    hint=f'rename the function, or give it another name: @target(name="my-{name}")',
                )
            if name in names:
                raise MagnetfileError(
                    f"two targets are called `{name}`: {names[name].place} and {target.place}",
                    hint="rename one of them, or put it into a Namespace",
                )
            names[name] = target
    return names
