"""From a target's signature to the command line, and back from words to a call.

| parameter | on the command line |
|---|---|
| `name: str` | an argument |
| `*names: str` | all further words |
| `name: str = "x"` | an option `--name` |
| `*, name: str` | a required option `--name` |
| `name: bool = False` | `--name` and `--no-name` |
| `name: tuple[str, ...] = ()`, `list[str]` | `--name`, as often as wanted |
| `name: Literal["a", "b"] = "a"`, an Enum | an option with these choices |

`int`, `float` and `Path` are converted; without an annotation the type is that of the default, else `str`.
`Annotated[str, "help"]` and `Annotated[str, Parameter("-n", help="help")]` add help and other names.
"""

import enum
import inspect
import types
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import click

from magnet import matrix
from magnet.backends.options import OptionSpec
from magnet.buildfile import Call, Target, as_call, calls_of
from magnet.errors import Finished, MagnetfileError, UsageError
from magnet.redact import MASK
from magnet.values import frozen


class Parameter:
    """How a parameter of a target appears on the command line: its option names, help and value's name.

    `argument` makes one with a default an argument that may be left out. `implied` is the value of an option that is
    named without one; another value is then given as `--name=value`. `complete` is what a shell offers for the value
    where that is a path, although its type does not say so.
    """

    def __init__(
        self,
        *names: str,
        help: str = "",
        metavar: str | None = None,
        argument: bool = False,
        implied: str | None = None,
        complete: Literal["file", "directory"] | None = None,
    ) -> None:
        self.names = names
        self.help = help
        self.metavar = metavar
        self.argument = argument
        self.implied = implied
        self.complete = complete


class _ImpliedOption(click.Option):
    implied = ""


@frozen
class EngineOptions:
    """Marks a parameter that takes all of these options, as a tuple of `--name=value` words."""

    specs: tuple[OptionSpec, ...]


_ENGINE_PREFIX = "engine_option_"


def parse_calls(
    words: Sequence[str], find: Any, outer: Collection[str] = (), secrets: Collection[str] = ()
) -> list[Call[Any]]:
    """The calls that the words of a command line name: a target, its options and arguments, the next target, ...

    `find` gives the target of a name; `outer` are options that stand before all targets. What is left when a target
    has its arguments begins the next one; a target with `*names` takes all there is. Raises UsageError for a word that
    does not fit, and Finished after `--help`, which shows no default that has one of the `secrets` in it.
    """
    calls = []
    rest = list(words)
    while rest:
        target: Target[..., Any] = find(rest[0])
        command = make_command(target)
        _mask_defaults(command, secrets)
        own, rest = split(rest[1:], command)
        try:
            calls += _calls(target, command, own, outer)
        except click.exceptions.Exit as done:
            raise Finished(done.exit_code) from done
    return calls


def _mask_defaults(command: click.Command, secrets: Collection[str]) -> None:
    for option in _options(command):
        if option.show_default and any(secret in str(option.default) for secret in secrets):
            option.show_default = MASK


def make_command(target: Target[..., Any]) -> click.Command:
    """The click command of a target: it holds its parameters and prints its help."""
    parameters = list(target.signature.parameters.values())
    try:
        hints = get_type_hints(target.function, include_extras=True)
    except Exception as error:
        raise MagnetfileError(f"{target.place}: target `{target.name}`: annotation: {error}") from error
    params: list[click.Parameter] = []
    for parameter in parameters:
        params += _click_parameters(target, parameter, hints.get(parameter.name, _type_of_default(parameter)))
    takes_rest = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
    return click.Command(
        target.name,
        params=params,
        help=_help(target, hints),
        # Words for a program in a container are not options of the target that runs it.
        context_settings={"allow_interspersed_args": not takes_rest},
    )


def _help(target: Target[..., Any], hints: Mapping[str, Any]) -> str:
    aliases = f"\n\nAliases: {', '.join(target.aliases)}" if target.aliases else ""
    needs = f"\n\nNeeds: {', '.join(as_call(one).name for one in target.needs)}" if target.needs else ""
    arguments = ""
    for parameter in target.signature.parameters.values():
        marker = _unwrap(hints.get(parameter.name))[1]
        if isinstance(marker, Parameter) and marker.help and _is_argument(parameter, marker):
            arguments += f"\n  {marker.metavar or parameter.name.upper()}  {marker.help}"
    # Click shows the help of options only; \b keeps its lines as they are.
    return f"{target.help}{aliases}{needs}" + (f"\n\n\b\nArguments:{arguments}" if arguments else "")


def _type_of_default(parameter: inspect.Parameter) -> Any:
    default = parameter.default
    if isinstance(default, tuple):
        return tuple[str, ...]
    if isinstance(default, list):
        return list[str]
    return type(default) if isinstance(default, bool | int | float | Path) else str


def _is_argument(parameter: inspect.Parameter, spec: Parameter) -> bool:
    if parameter.kind is parameter.VAR_POSITIONAL or spec.argument:
        return True
    return parameter.default is parameter.empty and parameter.kind is not parameter.KEYWORD_ONLY


def _click_parameters(target: Target[..., Any], parameter: inspect.Parameter, annotation: Any) -> list[click.Parameter]:
    annotation, marker = _unwrap(annotation)
    if parameter.name in dict(target.matrix):
        return [_axis_option(target, parameter, marker)]
    if isinstance(marker, EngineOptions):
        return [_engine_option(spec) for spec in marker.specs]
    spec = marker or Parameter()
    if parameter.kind is parameter.VAR_POSITIONAL:
        return [click.Argument([parameter.name], nargs=-1, type=_type(target, annotation), metavar=spec.metavar)]
    if parameter.kind is parameter.VAR_KEYWORD:
        raise MagnetfileError(f"{target.place}: target `{target.name}`: **{parameter.name} cannot be an option")
    required = parameter.default is parameter.empty
    if _is_argument(parameter, spec):
        settings: dict[str, Any] = {} if required else {"default": parameter.default}
        settings["shell_complete"] = _completion(spec)
        type_ = _type(target, annotation)
        return [click.Argument([parameter.name], type=type_, required=required, metavar=spec.metavar, **settings)]
    return [_option(target, parameter, annotation, spec, required=required)]


def _axis_option(target: Target[..., Any], parameter: inspect.Parameter, marker: Any) -> click.Option:
    """An option that chooses among the combinations of a matrix; without it, all values of the axis are meant."""
    values = dict(target.matrix)[parameter.name]
    names = marker.names if isinstance(marker, Parameter) else ()
    said = marker.help if isinstance(marker, Parameter) else ""
    return click.Option(
        [parameter.name, *names, f"--{parameter.name.replace('_', '-')}"],
        type=click.Choice([str(value) for value in values]),
        multiple=True,
        help=said or "Only these combinations of the matrix.",
    )


def _option(
    target: Target[..., Any], parameter: inspect.Parameter, annotation: Any, spec: Parameter, *, required: bool
) -> click.Option:
    long = f"--{parameter.name.replace('_', '-')}"
    is_named = any(name.startswith("--") for name in spec.names)
    names = spec.names if is_named else (*spec.names, long)
    settings: dict[str, Any] = {"help": spec.help, "required": required, "metavar": spec.metavar}
    settings["shell_complete"] = _completion(spec)
    if not required:
        settings["default"] = parameter.default
        settings["show_default"] = parameter.default not in (None, "", (), False)
    if annotation is bool:
        # A switch whose long name is given, as `--rm`, has no opposite but the one it names.
        on_off = names if is_named else (*spec.names, f"{long}/--no-{long[2:]}")
        return click.Option([parameter.name, *on_off], is_flag=True, **settings)
    repeated = _is_repeated(annotation)
    if get_origin(annotation) is list:
        settings["callback"] = lambda _context, _option, values: list(values)
    if repeated:
        annotation = get_args(annotation)[0]
    make = click.Option if spec.implied is None else _ImpliedOption
    option = make([parameter.name, *names], type=_type(target, annotation), multiple=repeated, **settings)
    if isinstance(option, _ImpliedOption):
        option.implied = spec.implied or ""
    return option


def _completion(spec: Parameter) -> Any:
    """What tells a shell to offer files or directories; None leaves it to the type."""
    if spec.complete is None:
        return None
    return click.Path(file_okay=spec.complete == "file").shell_complete


def _is_repeated(annotation: Any) -> bool:
    return get_origin(annotation) is list or (get_origin(annotation) is tuple and get_args(annotation)[1:] == (...,))


def _engine_option(spec: OptionSpec) -> click.Option:
    names = [_ENGINE_PREFIX + spec.name[2:].replace("-", "_"), *filter(None, [spec.short]), spec.name]
    if not spec.metavar:
        return click.Option(names, is_flag=True, help=spec.help)
    return click.Option(names, multiple=True, metavar=spec.metavar, help=spec.help)


def _unwrap(annotation: Any) -> tuple[Any, Any]:
    """The type of an annotation without Annotated and None, and the marker that was in it."""
    if get_origin(annotation) is Annotated:
        annotation, *extras = get_args(annotation)
        markers = [Parameter(help=extra) if isinstance(extra, str) else extra for extra in extras]
        return _unwrap(annotation)[0], markers[-1]
    if get_origin(annotation) in (Union, types.UnionType):
        others = [one for one in get_args(annotation) if one is not type(None)]
        if len(others) == 1:
            return _unwrap(others[0])
    return annotation, None


def _type(target: Target[..., Any], annotation: Any) -> Any:
    if get_origin(annotation) is Literal:
        return click.Choice(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return click.Choice(annotation)
    if annotation is Path:
        return click.Path(path_type=Path)
    if annotation in (str, int, float, bool, Any):
        return str if annotation is Any else annotation
    raise MagnetfileError(
        f"{target.place}: target `{target.name}`: a command line has no type `{annotation}`",
        hint="use str, int, float, bool, Path, Literal, an Enum, or a tuple of one of these",
    )


def split(words: Sequence[str], command: click.Command) -> tuple[list[str], list[str]]:
    """The words that belong to a command, as click takes them, and those after them."""
    arguments = [param for param in command.params if isinstance(param, click.Argument)]
    wanted = sum(param.nargs == 1 for param in arguments)
    takes_rest = any(param.nargs == -1 for param in arguments)
    options = {name: option for option in _options(command) for name in _all_names(option)}
    own: list[str] = []
    index = 0
    while index < len(words):
        word = words[index]
        if word == "--" or (takes_rest and (word == "-" or not word.startswith("-"))):
            return own + list(words[index:]), []
        if word.startswith("-") and len(word) > 1:
            end = index + 1 + _values_after(word, options)
            own += [_as_click_takes_it(word, options), *words[index + 1 : end]]
            index = end
        elif wanted > 0:
            wanted -= 1
            own.append(word)
            index += 1
        else:
            break
    return own, list(words[index:])


def _options(command: click.Command) -> list[click.Option]:
    return [param for param in command.params if isinstance(param, click.Option)]


def _all_names(option: click.Option) -> list[str]:
    return [*option.opts, *option.secondary_opts]


def _value_count(option: click.Option) -> int:
    return 0 if option.is_flag or isinstance(option, _ImpliedOption) else 1


def _as_click_takes_it(word: str, options: dict[str, click.Option]) -> str:
    """An option word in a form of docker's and podman's that click has not: `--pull` alone, `--rm=true`, `-t=app`."""
    name, equals, value = word.partition("=")
    option = options.get(name)
    if isinstance(option, _ImpliedOption) and not equals:
        value = option.implied
    elif option is None or not equals:
        return word
    if not option.is_flag:
        return f"{name}={value}" if name.startswith("--") else f"{name}{value}"
    opposites = option.opts if name in option.secondary_opts else option.secondary_opts
    if value.lower() in ("true", "1"):
        return name
    if value.lower() in ("false", "0") and opposites:
        return opposites[-1]
    raise UsageError(f"`{word}` cannot be had", hint=f"leave `{name}` out, or give it without a value")


def _values_after(word: str, options: dict[str, click.Option]) -> int:
    """How many of the words after an option are its value: none where it is written into the same word."""
    if word.startswith("--"):
        return 0 if "=" in word or word not in options else _value_count(options[word])
    for position, letter in enumerate(word[1:], start=1):
        option = options.get(f"-{letter}")
        if option is not None and _value_count(option):
            return 1 if position == len(word) - 1 else 0
    return 0


def _calls(
    target: Target[..., Any], command: click.Command, words: list[str], outer: Collection[str]
) -> list[Call[Any]]:
    try:
        with command.make_context(f"magnet {target.name}", words) as context:
            values = context.params
    except click.UsageError as error:
        raise usage_error(error, target.name, outer) from error
    chosen = {
        name: [value for value in axis if str(value) in values[name]] for name, axis in target.matrix if values[name]
    }
    combined = matrix.combinations(target.matrix, chosen)
    return [call for one in combined for call in calls_of(_call(target, command, {**values, **one}))]


def _call(target: Target[..., Any], command: click.Command, values: dict[str, Any]) -> Call[Any]:
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for parameter in target.signature.parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            args += values[parameter.name]
        elif parameter.name not in values:
            kwargs[parameter.name] = _engine_words(command, values)
        elif parameter.kind is parameter.KEYWORD_ONLY:
            kwargs[parameter.name] = values[parameter.name]
        else:
            args.append(values[parameter.name])
    return target(*args, **kwargs)


def _engine_words(command: click.Command, values: dict[str, Any]) -> tuple[str, ...]:
    words: list[str] = []
    for option in _options(command):
        if option.name and option.name.startswith(_ENGINE_PREFIX):
            long = option.opts[-1]
            value = values[option.name]
            words += [long] if value is True else [f"{long}={one}" for one in value or ()]
    return tuple(words)


@contextmanager
def parsing(command: click.Command, name: str, words: Sequence[str]) -> Iterator[click.Context]:
    """What click makes of the words of a command; UsageError for one that does not fit, Finished after a help."""
    try:
        with command.make_context(name, list(words)) as context:
            yield context
    except click.UsageError as error:
        raise usage_error(error) from error
    except click.exceptions.Exit as done:
        raise Finished(done.exit_code) from done


def invoke(command: click.Command, words: Sequence[str]) -> None:
    """Do what the words say, the first of which is the name of one of magnet's own commands; as `parsing` raises."""
    with parsing(command, f"magnet {words[0]}", words[1:]) as context:
        command.invoke(context)


def usage_error(error: click.UsageError, target: str = "", outer: Collection[str] = ()) -> UsageError:
    """What click says of a command line, or of the part of it that is a target's, as an error of magnet's."""
    prefix = f"target `{target}`: " if target else ""
    message = error.format_message().rstrip(".")
    hint = None
    if isinstance(error, click.NoSuchOption):
        message = f"there is no option `{error.option_name}`"
        if error.option_name in outer:
            return UsageError(prefix + message, hint=f"`{error.option_name}` is magnet's own: put it before the target")
        near = [f"`{name}`" for name in error.possibilities or ()]
        hint = f"did you mean {' or '.join(near)}?" if near else None
    # Click does not always say which command it speaks of.
    program = error.ctx.command_path if error.ctx else " ".join(filter(None, ("magnet", target)))
    return UsageError(
        f"{prefix}{message[:1].lower()}{message[1:]}", hint=hint or f"`{program} --help` shows what there is"
    )
