"""What an image has beside its base, as a list that can be written down: a line for each path."""

from collections.abc import Mapping
from hashlib import sha256

from tests.conformance.behaviours import Case
from tests.contract.comparing import Contents, contents

DIR = "dir 0755 0:0"
"""A directory of root's that all may enter."""


def file(text: str, mode: str = "0644", owner: str = "0:0") -> str:
    """A file with that text."""
    return f"file {mode} {owner} {sha256(text.encode()).hexdigest()}"


def listing(entries: Mapping[str, str]) -> list[str]:
    """A line for each path."""
    return [f"{path}: {entry}" for path, entry in sorted(entries.items())]


def added(case: Case, found: Contents) -> dict[str, str]:
    """What an image has beside its base, by path."""
    below = of_base(case).files
    return {path: str(entry) for path, entry in found.files.items() if below.get(path) != entry}


def of_base(case: Case) -> Contents:
    """What is in the base image."""
    if "base" not in case.kept:
        case.kept["base"] = contents(case.magnet, case.base)
    found: Contents = case.kept["base"]
    return found
