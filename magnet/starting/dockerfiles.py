"""A Dockerfile or Containerfile: a target that builds its image, and one that runs it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from magnet import dockerfile, reading
from magnet.dockerfile import Dockerfile
from magnet.errors import MagnetError
from magnet.starting import code
from magnet.starting.found import Draft, Found, Variable, function_of, value_of

_PREDEFINED = ("SOURCE_DATE_EPOCH", "http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
_PLATFORM = ("TARGET", "BUILD")
_OF_SHELLS = ("HOME", "HOSTNAME", "LANG", "LOGNAME", "MAIL", "PATH", "PWD", "SHELL", "TERM", "TMPDIR", "TZ", "USER")
"""What the environment of a shell has, whoever builds: as a build arg it would be another one on each machine."""


def survey(root: Path, image: str) -> Iterator[Found]:
    """What there is of it; `image` is what the image is to be called."""
    name = next((name for name in reading.NAMES if (root / name).is_file()), None)
    if name is None:
        return
    try:
        parsed = dockerfile.parse(root / name)
    except MagnetError as error:
        yield Found("image", name, f"the image `{image}`", _drafts(name, image, (), ()), left_out=(_unread(error),))
        return
    names = list(dict.fromkeys(_arguments(parsed)))
    args = [one for one in names if one not in _OF_SHELLS]
    stages = [stage.name.lower() for stage in parsed.stages if stage.name is not None]
    yield Found(
        "image",
        name,
        f"the image `{image}`",
        _drafts(name, image, args, list(dict.fromkeys(stages))),
        tuple(Variable(one, help=f"ARG of the {name}; empty leaves it its default") for one in args),
        tuple(f"ARG {one}, as each shell has a {one} of its own" for one in names if one in _OF_SHELLS),
    )


def _unread(error: MagnetError) -> str:
    return f"its ARGs and stages, as it cannot be read: {error.message}"


def _arguments(parsed: Dockerfile) -> Iterator[str]:
    instructions = [*parsed.arguments, *(one for stage in parsed.stages for one in stage.instructions)]
    for instruction in instructions:
        for word in instruction.args if instruction.name == "ARG" else ():
            name = word.partition("=")[0]
            if name.isidentifier() and name.isascii() and not _is_given(name):
                yield name


def _is_given(name: str) -> bool:
    """Whether engines give it a value by themselves."""
    kind = next((name.removeprefix(prefix) for prefix in _PLATFORM if name.startswith(prefix)), "")
    return name in _PREDEFINED or name.lower() in _PREDEFINED or kind in ("PLATFORM", "OS", "ARCH", "VARIANT")


def _drafts(name: str, image: str, args: Sequence[str], stages: Sequence[str]) -> tuple[Draft, ...]:
    return (
        Draft(
            "build",
            f"Build the image from the {name}{', or one of its stages' if stages else ''}.",
            (*_build_args(args), _build(image, has_args=bool(args), has_stages=bool(stages))),
            parameters=_stage_parameter(stages),
            returns="Image",
            uses=("Image", *(["Literal"] if stages else [])),
        ),
        Draft(
            "run",
            "Run a command in the image, or what it runs by itself.",
            (f"t.run(t.need({function_of('build')}), *command, attach=True)",),
            parameters="*command: str",
        ),
    )


def _stage_parameter(stages: Sequence[str]) -> str:
    if not stages:
        return ""
    return f"*, stage: Literal[{', '.join(map(code.string, stages))}] | None = None"


def _build_args(args: Sequence[str]) -> Iterator[str]:
    if args:
        yield code.mapping({one: value_of(one) for one in args}, before="args = ", indent=4)


def _build(image: str, *, has_args: bool, has_stages: bool) -> str:
    tag = f'f"{image}:{{stage}}" if stage else {code.string(image)}' if has_stages else code.string(image)
    words = ['"."', f"tags=[{tag}]"]
    if has_stages:
        words.append("stage=stage")
    if has_args:
        words.append("build_args={name: value for name, value in args.items() if value}")
    return code.call("t.build", words, before="return ")
