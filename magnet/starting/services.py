"""Services of a compose file: what one builds becomes an image, and one of a ready image a container.

What a setting means is said at https://github.com/compose-spec/compose-spec/blob/main/05-services.md. Those that mean
the same to magnet are taken, and the others are named.
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from magnet.starting import code
from magnet.starting.found import Draft
from magnet.starting.interpolation import LeftOutError, Settings, Text, list_of, pairs_of, words_of


def draft(root: Path, name: str, given: Any, settings: Settings, project: str) -> Draft:
    """The target for a service; LeftOutError where there can be none. `project` is compose's name for the project."""
    if not isinstance(given, dict):
        raise LeftOutError("which is no mapping")
    if not re.fullmatch(r"[\w.][\w.-]*", name, re.ASCII):
        raise LeftOutError("whose name cannot be that of a target")
    if "build" in given:
        return _image(root, name, given, settings, project)
    if "image" in given:
        return _container(root, name, given, settings)
    raise LeftOutError("which has neither `build` nor `image`")


def _image(root: Path, name: str, given: Mapping[Any, Any], settings: Settings, project: str) -> Draft:
    """The image that a service builds. How its container would run is left out."""
    build = {"context": given["build"]} if isinstance(given["build"], str) else given["build"]
    if not isinstance(build, dict):
        raise LeftOutError("whose `build` is no mapping")
    context = os.path.normpath(settings.text(build.get("context", ".")).literal)
    if not (root / context).is_dir():
        raise LeftOutError(f"as `{context}` is no directory here")
    tag = settings.text(given["image"]).code if "image" in given else code.string(f"{project}-{name.lower()}")
    inner = Settings(f"`build` of {settings.where}", settings.variables)
    words = inner.take({key: value for key, value in build.items() if key != "context"}, _of_build(inner, context))
    settings.left_out += inner.left_out
    for key in given:
        if key not in ("build", "image"):
            settings.leave_out(f"`{key}`")
    body = code.call("t.build", [code.string(context), code.sequence([tag], before="tags="), *words], before="return ")
    return Draft(name, f"Build the image of the service `{name}`.", (body,), returns="Image", uses=("Image",))


def _of_build(settings: Settings, context: str) -> Mapping[str, Callable[[Any], list[str]]]:
    def file(value: Any) -> list[str]:
        return [f"file={code.string(os.path.normpath(os.path.join(context, settings.text(value).literal)))}"]

    def arguments(value: Any) -> list[str]:
        pairs = pairs_of(settings, value, "args")
        return [code.mapping(pairs, before="build_args=")] if pairs else []

    return {"dockerfile": file, "args": arguments, "target": lambda value: [f"stage={settings.text(value).code}"]}


def _container(root: Path, name: str, given: Mapping[Any, Any], settings: Settings) -> Draft:
    """The container of a service whose image is ready."""
    image = settings.text(given["image"]).code
    first = {key: given[key] for key in ("command",) if given.get(key) is not None}
    command = settings.take(first, {"command": lambda value: words_of(settings, value)})
    others = {key: value for key, value in given.items() if key not in ("image", "command")}
    words = settings.take(others, _of_containers(root, settings))
    uses = ["Container", *(["Mount"] if any(word.startswith("mounts=") for word in words) else [])]
    body = code.call("t.start", [image, *command, *words], before="return ")
    about = f"Start the service `{name}` for targets that need it; it is gone when magnet ends."
    return Draft(name, about, (body,), returns="Container", uses=tuple(uses))


def _of_containers(root: Path, settings: Settings) -> Mapping[str, Callable[[Any], list[str]]]:
    def text(name: str) -> Callable[[Any], list[str]]:
        return lambda value: [f"{name}={settings.text(value).code}"]

    def items(name: str, item: Callable[[Any], str]) -> Callable[[Any], list[str]]:
        return lambda value: [code.sequence(list(map(item, list_of(value))), before=f"{name}=")]

    def environment(value: Any) -> list[str]:
        pairs = pairs_of(settings, value, "environment")
        return [code.mapping(pairs, before="env=")] if pairs else []

    return {
        "entrypoint": lambda value: [code.sequence(words_of(settings, value), before="entrypoint=")],
        "environment": environment,
        "user": text("user"),
        "working_dir": text("workdir"),
        "hostname": text("hostname"),
        "init": lambda value: _switch("init", value),
        "read_only": lambda value: _switch("read_only", value),
        "tmpfs": items("tmpfs", lambda value: settings.text(value).code),
        "volumes": items("mounts", lambda value: _mount(root, settings.text(value).literal)),
        "ports": items("options", lambda value: Text(("--publish=", *settings.text(value).parts)).code),
        "healthcheck": lambda value: _health(settings, value),
    }


def _switch(name: str, value: Any) -> list[str]:
    if not isinstance(value, bool):
        raise LeftOutError
    return [f"{name}=True"] if value else []


def _mount(root: Path, text: str) -> str:
    """A file or directory that is here; what compose keeps in volumes of its own is none."""
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if not source.startswith((".", "/")) or not target or not (root / source).exists():
        raise LeftOutError(f"as `{source}` is no file or directory here")
    if mode not in ("", "rw", "ro"):
        raise LeftOutError(f"as of `{mode}`")
    words = [code.string(os.path.normpath(source)), code.string(target), *(["readonly=True"] if mode == "ro" else [])]
    return f"Mount({', '.join(words)})"


def _health(settings: Settings, value: Any) -> list[str]:
    """The command that tells; magnet has its own times for it."""
    if not isinstance(value, dict):
        raise LeftOutError
    for key in value:
        if key != "test":
            settings.leave_out(f"`{key}` in `healthcheck`")
    match value.get("test"):
        case str() as line:
            return [f"health={settings.text(line).code}"]
        case ["CMD-SHELL", line]:
            return [f"health={settings.text(line).code}"]
        case ["CMD", *words]:
            return [code.sequence([settings.text(word).code for word in words], before="health=")]
    raise LeftOutError
