"""Images are tagged, pushed, pulled, listed and removed."""

import re

from magnet.testing.program import PREFIX, Magnet

LIFE = """
from magnet import MagnetError, target

TAG, REMOTE = {tag!r}, {remote!r}


@target
def go(t):
    image = t.build(tags=[TAG], labels={{"kept": "yes"}})
    t.tag(image, REMOTE)
    assert t.inspect(REMOTE) == t.inspect(TAG) == t.inspect(image.id)
    assert t.inspect(TAG).labels["kept"] == "yes"
    t.output(str([(row.repository, row.tag) for row in t.images(TAG.partition(":1")[0])]))
    assert image.id in {{row.id for row in t.images()}}
    t.push(REMOTE)
    t.remove(REMOTE)
    assert t.inspect(REMOTE) is None
    assert t.inspect(TAG), "removing one name of an image leaves the others"
    t.remove(TAG)
    assert t.inspect(TAG) is None
    assert t.images(TAG) == ()
    pulled = t.pull(REMOTE)
    assert pulled == t.inspect(REMOTE)
    assert pulled.labels["kept"] == "yes"
    assert pulled.command == ("sh",)
    t.remove(REMOTE)
    t.output("done")
"""


def test_an_image_goes_to_a_registry_and_comes_back(magnet: Magnet, base: str, tag: str, registry: str) -> None:
    remote = f"{registry}/{tag.removeprefix('localhost/')}"
    magnet.write({"Dockerfile": f"FROM {base}\n", "magnetfile.py": LIFE.format(tag=tag, remote=remote)})
    assert magnet.ok("go").decode() == f"[('{tag.removesuffix(':1')}', '1')]\ndone\n"


def failing(magnet: Magnet, body: str) -> str:
    """The error of a target of that body."""
    magnet.write({"magnetfile.py": f"from magnet import target\n\n\n@target\ndef go(t):\n    {body}\n"})
    result = magnet("go")
    assert result.code in (1, 3)
    assert "Traceback" not in result.err
    return result.error


def test_an_image_that_is_not_there_is_an_error_that_names_it(magnet: Magnet, base: str, registry: str) -> None:
    name = f"{PREFIX}-nosuch:1"
    for body, verb, image in (
        (f"t.tag({name!r}, 'x')", "tag", name),
        (f"t.remove({name!r})", "rmi", name),
        (f"t.push({name!r})", "push", name.removesuffix(":1")),
        (f"t.pull('{registry}/nosuch:1')", "pull", f"{registry}/nosuch"),
    ):
        error = failing(magnet, body)
        assert re.match(rf"error: target `go`: {magnet.program} {verb} failed with exit code \d+\n(  .+\n)+", error)
        assert image in error
