import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.contract.engines import Magnet


def keys(magnet: Magnet) -> list[Any]:
    """The keys that builds of this project keep, the newest first."""
    return [key for key in json.loads(magnet.ok("cache", "list", "--json"))["keys"] if key["builds"]]


def rows(text: bytes) -> list[str]:
    """The first digits of the keys in a table."""
    return re.findall(r"^  ([0-9a-f]{12})  ", text.decode(), re.MULTILINE)


@contextmanager
def container(magnet: Magnet, image: str) -> Iterator[None]:
    """A container of an image, for the length of the block."""
    make = ("from", "--pull-never", image) if magnet.column.backend == "buildah" else ("create", image, "true")
    made = magnet.engine(*make).strip()
    try:
        yield
    finally:
        magnet.engine("rm", made)


def test_superseded_keys_are_pruned_and_images_in_use_or_of_other_names_stay(
    magnet: Magnet, base: str, tag: str
) -> None:
    magnet.write({"Dockerfile": f"FROM {base}\nCOPY f /f\n"})
    for content in ("used", "tagged", "gone", "latest"):
        magnet.write({"f": content})
        magnet.ok("build", "-t", f"{tag}-tagged" if content == "tagged" else tag, ".")
    by_age = sorted(keys(magnet), key=lambda key: not key["builds"][0]["latest"])
    assert [key["builds"] for key in by_age] == [
        [{"target": "build", "dockerfile": "Dockerfile", "stage": None, "latest": latest}]
        for latest in (True, False, False, False)
    ]
    digests = [entry["key"] for entry in json.loads(next((magnet.root / "_build").rglob("builds/*.json")).read_bytes())]
    assert sorted(digests) == sorted(key["key"] for key in by_age)
    latest, gone, tagged, used = (digest[:12] for digest in digests)
    assert by_age[0]["key"].startswith(latest)
    assert all(1_000_000 < key["size"] < 20_000_000 for key in by_age)

    with container(magnet, f"localhost/magnet:{digests[3]}"):
        assert {latest, gone, tagged, used} < set(rows(magnet.ok("cache", "prune", "--all", "--dry-run")))
        said = magnet.ok("cache", "prune")
    removed, left = said.split(b"Left in ")
    assert sorted(rows(removed)) == sorted([gone, tagged])
    assert re.search(rf"^  {used}  .* container [0-9a-f]{{12}} uses it$".encode(), left, re.MULTILINE)
    assert re.search(rb"^2 keys; 1 image gone, of up to [\d.]+MB\.$", left, re.MULTILINE)
    assert rows(magnet.ok("cache", "prune")) == [used]
    assert [key["key"][:12] for key in keys(magnet)] == [latest]

    assert magnet.ok("run", "--rm", f"{tag}-tagged", "cat", "/f") == b"tagged"
    assert "\n => CACHED build " in magnet("build", "-t", tag, ".").err
