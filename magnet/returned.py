"""What a target returned, as text that can be kept, so that a skipped target returns it again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from magnet.model import Image
from magnet.values import replace

Inspect = Callable[[str], Image | None]
"""The image of a tag or an id in the engine's store, if it is there."""


class NotKept(Exception):
    """The value is of a type that cannot be kept, which is the message; or its image is gone."""


def written(value: object, root: Path) -> str:
    """The value as text: None, what JSON knows, tuples, paths, and images; NotKept for another.

    None is no text at all. A path in the project stays one when the project is moved.
    """
    if value is None:
        return ""
    from json import dumps  # costs 3 ms

    return dumps(_plain(value, root))


def read(text: str, root: Path, inspect: Inspect) -> Any:
    """The value that was written; NotKept where an image of it is not in the engine's store, by each of its tags."""
    if not text:
        return None
    from json import loads

    return _made(loads(text), root, inspect)


def result(value: object, root: Path) -> str:
    """What of a value counts for targets that need it: of an image the id, whatever its tags."""
    return written(_untagged(value), root)


def _plain(value: Any, root: Path) -> Any:
    # By the very type: what is derived from one of these may be more than it.
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is list:
        return [_plain(one, root) for one in value]
    if type(value) is tuple:
        return {"tuple": [_plain(one, root) for one in value]}
    if type(value) is dict and all(type(key) is str for key in value):
        return {"dict": {key: _plain(one, root) for key, one in value.items()}}
    if type(value) is type(root):
        is_inside = value.is_relative_to(root)
        return {"inside": str(value.relative_to(root))} if is_inside else {"path": str(value)}
    if type(value) is Image and value.id:
        return {"image": value.id, "tags": list(value.tags)}
    raise NotKept(type(value).__name__)


def _made(plain: Any, root: Path, inspect: Inspect) -> Any:
    if isinstance(plain, list):
        return [_made(one, root, inspect) for one in plain]
    if not isinstance(plain, dict):
        return plain
    if "image" in plain:
        for name in (*plain["tags"], plain["image"]):
            image = inspect(name)
            if image is None or image.id != plain["image"]:
                raise NotKept(f"the image {name.removeprefix('sha256:')[:12] if name == plain['image'] else name}")
        return replace(image, tags=tuple(plain["tags"]))
    if "inside" in plain:
        return root / plain["inside"]
    if "path" in plain:
        return type(root)(plain["path"])
    if "tuple" in plain:
        return tuple(_made(one, root, inspect) for one in plain["tuple"])
    return {key: _made(one, root, inspect) for key, one in plain["dict"].items()}


def _untagged(value: Any) -> Any:
    if isinstance(value, Image):
        return replace(value, tags=())
    if type(value) in (list, tuple):
        return type(value)(map(_untagged, value))
    return {key: _untagged(one) for key, one in value.items()} if type(value) is dict else value
