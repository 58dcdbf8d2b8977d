"""What a build can see of its context, and that no engine's own cache hides a change of it."""

from magnet.testing.program import Magnet


def test_a_step_that_mounts_a_directory_sees_what_is_not_ignored_and_no_more(
    magnet: Magnet, base: str, tag: str
) -> None:
    if magnet.is_legacy:
        return  # it has no mounts
    magnet.write(
        {
            "Dockerfile": f"FROM {base}\nRUN --mount=type=bind,source=src,target=/m find /m | sort > /seen\n",
            ".dockerignore": "src/secret\n",
            "src/secret": "",
            "src/a": "",
            "other": "",
        }
    )
    magnet.ok("build", "-t", tag, ".")
    assert magnet.ok("run", "--rm", tag, "cat", "/seen") == b"/m\n/m/a\n"


def test_a_change_below_a_link_is_copied_though_a_wildcard_hides_it_from_buildkit(
    magnet: Magnet, base: str, tag: str
) -> None:
    if magnet.is_legacy:
        return  # it looks for nothing below a link
    (magnet.root / "link").symlink_to("real")
    magnet.write({"Dockerfile": f"FROM {base}\nCOPY link/* /c/\n"})
    for content in ("one", "two"):
        magnet.write({"real/file": content})
        magnet.ok("build", "-t", tag, ".")
        assert magnet.ok("run", "--rm", tag, "cat", "/c/file").decode() == content


MAGNETFILE = """
from magnet import target

@target
def build(t):
    return t.build(tags=["{tag}"], modes="git")
"""


def test_with_the_modes_of_git_checkouts_under_any_umask_are_one_build(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write(
        {
            "magnetfile.py": MAGNETFILE.format(tag=tag),
            "Dockerfile": f"FROM {base}\nCOPY src /c\n",
            "src/sub/file": "",
            "src/program": "",
        }
    )
    modes = [{"": 0o700, "sub": 0o700, "sub/file": 0o600, "program": 0o700}]
    modes += [{"": 0o775, "sub": 0o775, "sub/file": 0o664, "program": 0o775}]
    for given, is_cached in zip(modes, (False, True), strict=True):
        for name, mode in given.items():
            (magnet.root / "src" / name).chmod(mode)
        result = magnet("build")
        assert (result.code, " => CACHED build" in result.err) == (0, is_cached), result.err
    (magnet.root / "magnetfile.py").unlink()
    seen = magnet.ok("run", "--rm", tag, "stat", "-c", "%a %n", "/c/program", "/c/sub", "/c/sub/file")
    assert seen.decode().splitlines() == ["755 /c/program", "755 /c/sub", "644 /c/sub/file"]
