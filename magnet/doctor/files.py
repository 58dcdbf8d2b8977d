"""The files of a machine, all of which lie below a root, so that a test can make a machine of its own."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any


class Files:
    """What can be read below a root, by the paths that it has on the machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def at(self, path: str) -> Path:
        """Where a path of the machine is."""
        return self._root / path.lstrip("/")

    def text(self, path: str) -> str:
        """The content of a file; "" where it cannot be read."""
        try:
            return self.at(path).read_text(errors="replace")
        except OSError:
            return ""

    def toml(self, path: str) -> Mapping[str, Any]:
        """The content of a TOML file; empty where there is none that can be read."""
        from tomllib import TOMLDecodeError, loads

        try:
            return loads(self.text(path))
        except TOMLDecodeError:
            return {}

    def parts(self, path: str) -> list[str]:
        """The files of a directory of parts of a configuration, the last first."""
        return [f"{path}/{one.name}" for one in sorted(self.at(path).glob("*.conf"), reverse=True)]

    def programs(self, name: str, directories: Sequence[str]) -> Iterator[str]:
        """The paths of all programs of that name, each file once."""
        seen = set()
        for directory in filter(None, directories):
            path = os.path.join(directory, name)
            where = self.at(path)
            if where.is_file() and os.access(where, os.X_OK) and where.resolve() not in seen:
                seen.add(where.resolve())
                yield path
