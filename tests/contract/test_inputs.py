from tests.contract.engines import Magnet

MAGNETFILE = """
from magnet import Mount, target


@target(inputs="src", outputs="made.txt")
def app(t):
    image = t.build(".", tags=["{tag}"])
    t.run(image, "sh", "-c", "cat /src/text > /wd/made.txt", user="host", mounts=[Mount(".", "/wd")])
    return image


@target(needs=[app])
def use(t):
    t.run(t.need(app), "cat", "/src/text")
"""


def test_a_target_that_builds_and_runs_is_skipped_while_its_image_is_there(magnet: Magnet, base: str, tag: str) -> None:
    def use(state: str) -> None:
        result = magnet("use")
        assert result.code == 0, result.err
        assert f"\n => {state}app   " in result.err, result.err
        assert (magnet.root / "made.txt").read_text() == "text\n"
        assert "\ntext\n" in magnet.log("use")

    files = {"Dockerfile": f"FROM {base}\nCOPY src /src\n", "src/text": "text\n"}
    magnet.write({**files, "magnetfile.py": MAGNETFILE.format(tag=tag)})
    use("")
    assert magnet.ok("--explain", "app") == b"app: done\n"
    (magnet.root / "made.txt").unlink()
    use("CACHED ")
    magnet.engine("untag" if magnet.column.backend == "podman" else "rmi", tag)
    why = magnet.ok("--explain", "app").decode()
    assert why == f"app: to do\n  the image {tag} is not there any more\n"
    use("")
    use("CACHED ")
