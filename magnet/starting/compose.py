"""A compose file, and the targets for its services."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from magnet.errors import MagnetError
from magnet.starting import services
from magnet.starting.found import Draft, Found, Variable
from magnet.starting.interpolation import LeftOutError, Settings

# In docker's own order: https://docs.docker.com/compose/intro/compose-application-model/
_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")


def survey(root: Path, project: str) -> Iterator[Found]:
    """What there is of it; `project` is what compose calls the project."""
    file = next((name for name in _NAMES if (root / name).is_file()), None)
    if file is None:
        return
    content = _load(root / file)
    given = content.get("services") or {}
    if not isinstance(given, dict):
        raise _wrong(file, "`services` is no mapping")
    drafts: list[Draft] = []
    variables: dict[str, Variable] = {}
    left_out: list[str] = []
    for name, service in given.items():
        settings = Settings(f"the service `{name}`", variables)
        try:
            drafts.append(services.draft(root, str(name), service, settings, project))
        except LeftOutError as error:
            left_out.append(", ".join(filter(None, (settings.where, error.why))))
        left_out += settings.left_out
    what = f"{len(given)} service{'' if len(given) == 1 else 's'}"
    left_out += _left_out_besides(root, content)
    yield Found("compose", file, what, tuple(drafts), tuple(variables.values()), tuple(left_out))


def _left_out_besides(root: Path, content: Mapping[str, Any]) -> Iterator[str]:
    for key in content:
        if key not in ("services", "version", "name") and not str(key).startswith("x-"):
            yield f"`{key}`"
    for override in ("compose.override", "docker-compose.override"):
        if any(root.glob(f"{override}.y*ml")):
            yield f"what {override}.yaml changes"
    if (root / ".env").is_file():
        yield "values of .env, which are for compose"


def _load(path: Path) -> Mapping[str, Any]:
    try:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError
    except ImportError as error:
        raise MagnetError(
            f"{path.name} cannot be read without ruamel.yaml",
            hint="install it beside magnet: pip install 'magnet-build[compose]'",
        ) from error
    try:
        # YAML 1.2, as compose reads it: `22:22` is text, and so is `yes`.
        found = YAML(typ="safe", pure=True).load(path.read_bytes())
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _wrong(path.name, f"{error.problem}{f', line {mark.line + 1}' if mark else ''}") from error
    except YAMLError as error:
        raise _wrong(path.name, str(error).partition("\n")[0]) from error
    if not isinstance(found, dict):
        raise _wrong(path.name, "it is no mapping")
    return found


def _wrong(file: str, why: str) -> MagnetError:
    return MagnetError(f"{file} cannot be read: {why}", hint="correct it, and try again")
