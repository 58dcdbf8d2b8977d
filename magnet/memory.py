"""What is known of a Dockerfile or an ignore file, kept on disk by what it was made from.

To read them anew takes their parser, whose import is a sixth of what a build in which nothing changed takes. This is a
cache and nothing more: without it, or with a broken one, the answers are the same.
"""

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from blake3 import blake3

KEPT = 200
"""How many answers are kept; more are there only until the next one is written."""

_PARTS = ("dockerfile.py", "sources.py", "context.py")
_PARSER = "e2b_dockerfile_utils"
_PARTS_OF_PARSER = ("syntax.py", "lexer.py", "dockerignore.py")
_SEAL = 64


class Memory:
    """Answers, which are values of JSON, each in a file that is named by the digest of its question."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def recall(self, question: Sequence[str], answer: Callable[[], Any]) -> Any:
        """The answer that is kept, or else the one that `answer` gives, which is then kept.

        `question` is all that the answer depends on, besides the code that gives it: of that, another size or time
        makes every answer another one's.
        """
        code = _code()
        if code is None:
            return answer()
        text = json.dumps([code, *question])
        path = self._directory / blake3(text.encode()).hexdigest()
        with suppress(OSError, ValueError):
            seal, content = _split(path.read_bytes())
            if seal == _seal(content):
                return json.loads(content)
        found = answer()
        self._keep(path, json.dumps(found).encode())
        # As it will be recalled: a tuple is a list then.
        return json.loads(json.dumps(found))

    def _keep(self, path: Path, content: bytes) -> None:
        new = path.with_name(f".{path.name}.{os.getpid()}-{id(content)}")
        with suppress(OSError):  # a disk that is full or read-only keeps nothing
            self._directory.mkdir(parents=True, exist_ok=True)
            new.write_bytes(_seal(content) + content)
            new.replace(path)
            self._forget()

    def _forget(self) -> None:
        """Remove the oldest answers, if they are too many."""
        names = os.listdir(self._directory)
        if len(names) > KEPT:
            paths = sorted((self._directory / name for name in names), key=lambda path: path.stat().st_mtime_ns)
            for path in paths[: len(paths) - KEPT // 2]:
                path.unlink(missing_ok=True)


def _split(data: bytes) -> tuple[bytes, bytes]:
    return data[:_SEAL], data[_SEAL:]


def _seal(content: bytes) -> bytes:
    return blake3(content).hexdigest().encode()


def _code() -> list[tuple[int, int]] | None:
    """The sizes and times of the files that read Dockerfiles; None where they are not files."""
    parser = find_spec(_PARSER)
    if parser is None or not parser.submodule_search_locations:
        return None
    (place, *_) = parser.submodule_search_locations
    paths = [Path(__file__).with_name(name) for name in _PARTS] + [Path(place, name) for name in _PARTS_OF_PARSER]
    try:
        return [(found.st_size, found.st_mtime_ns) for found in map(os.stat, paths)]
    except OSError:
        return None
