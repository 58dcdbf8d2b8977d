"""What can be asked of targets in place of running them: is it done already, and what goes into it."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

from magnet.building import Answer, Builder
from magnet.context import Entry
from magnet.index import Tree
from magnet.model import Image
from magnet.preparation import Prepared

Record = Mapping[str, Any]


class Question(Protocol):
    """Is asked of each build; what it found is printed in the end, for people or as JSON."""

    def __call__(self, target: str, builder: Builder, prepared: Prepared) -> Image | None:
        """Look at a build of a target; its image, where that is known to be there already."""

    def look(self, target: str, answer: Answer, inputs: Tree | None) -> bool:
        """Look at a target that is skipped when nothing changed; whether its builds are to be looked at as well."""

    def leave_out(self, target: str, why: str) -> None:
        """Take note of a target that is not run here and now."""

    def print(self, out: TextIO, *, as_json: bool) -> None:
        """Print what was found."""


class Explain:
    """Whether each build is done already, and which input changed where it is not."""

    def __init__(self) -> None:
        self._found: list[Record] = []

    def __call__(self, target: str, builder: Builder, prepared: Prepared) -> Image | None:
        """Look the build up."""
        answer = builder.ask(prepared)
        self._found.append(
            {
                "target": target,
                "dockerfile": _shown(prepared.dockerfile),
                "done": answer.is_done,
                "reasons": list(answer.reasons),
                "context": prepared.context.widened or "",
            }
        )
        return answer.image

    def look(self, target: str, answer: Answer, inputs: Tree | None) -> bool:
        """Note whether it would be skipped. Its body is left out: it might make the outputs by itself."""
        self._found.append(
            {"target": target, "dockerfile": "", "done": answer.is_done, "reasons": list(answer.reasons), "context": ""}
        )
        return False

    def leave_out(self, target: str, why: str) -> None:
        """Note why it would not run."""
        about = {"target": target, "dockerfile": "", "done": True, "reasons": [], "context": ""}
        self._found.append({**about, "skipped": why})

    def print(self, out: TextIO, *, as_json: bool) -> None:
        """One line for each build, and one for each reason why it is to be done."""
        if as_json:
            _print_json(self._found, out)
            return
        for build in self._found:
            state = "to do" if not build["done"] else "done, outputs to be put back" if build["reasons"] else "done"
            if "skipped" in build:
                state = f"skipped: {build['skipped']}"
            print(": ".join(filter(None, (build["target"], build["dockerfile"], state))), file=out)
            for reason in build["reasons"]:
                print(f"  {reason}", file=out)
            if build["context"]:
                print(f"  the context holds all that is not ignored: {build['context']}", file=out)


class Files:
    """The files of each build's context, the largest first, with what put them there."""

    def __init__(self) -> None:
        self._found: list[Record] = []

    def __call__(self, target: str, builder: Builder, prepared: Prepared) -> None:
        """List the context."""
        rows = sorted(_rows(prepared.tree, prepared.context.why), key=lambda row: (-row["size"], row["path"]))
        build = {"target": target, "dockerfile": _shown(prepared.dockerfile)}
        self._found.append({**build, "context": prepared.context.widened or "", "files": rows})

    def look(self, target: str, answer: Answer, inputs: Tree | None) -> bool:
        """List the inputs."""
        if inputs:
            rows = sorted(_rows(inputs, lambda entry: "input"), key=lambda row: (-row["size"], row["path"]))
            self._found.append({"target": target, "dockerfile": "", "context": "", "files": rows})
        return True

    def leave_out(self, target: str, why: str) -> None:
        """Nothing: no file is looked at for it."""

    def print(self, out: TextIO, *, as_json: bool) -> None:
        """A table for each build: size in bytes, digest, path, and why it is there."""
        if as_json:
            _print_json(self._found, out)
            return
        for build in self._found:
            rows = build["files"]
            total = sum(row["size"] for row in rows)
            head = f"{build['target']}: {build['dockerfile'] or 'inputs'}"
            print(f"{head}: {len(rows)} files, {total} bytes", file=out)
            if build["context"]:
                print(f"  all that is not ignored: {build['context']}", file=out)
            _print_rows(rows, out)


def _print_json(found: Sequence[Record], out: TextIO) -> None:
    json.dump(found, out, indent=2)
    out.write("\n")


def _rows(tree: Tree, why: Callable[[Entry], str]) -> Iterator[dict[str, Any]]:
    contents = tree.contents
    for entry in tree.entries:
        if entry.kind != "dir":
            is_file = entry.kind == "file"
            yield {
                "path": entry.path.decode(errors="backslashreplace"),
                "size": os.lstat(entry.source).st_size if is_file else len(entry.target),
                "digest": contents[entry.source] if is_file else f"-> {entry.target.decode(errors='backslashreplace')}",
                "why": why(entry),
            }


def _print_rows(rows: Sequence[Record], out: TextIO) -> None:
    width = max((len(str(row["size"])) for row in rows), default=0)
    paths = max((len(row["path"]) for row in rows), default=0)
    for row in rows:
        print(f"  {row['size']:>{width}}  {row['digest'][:16]:<16}  {row['path']:<{paths}}  {row['why']}", file=out)


def _shown(path: Path) -> str:
    return os.path.relpath(path)
