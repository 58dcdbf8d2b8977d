"""The way in and out: what is static is answered before anything is imported, and the end is not Python's own."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> int:
    """Run the command line of this process, and return its exit code."""
    words = sys.argv[1:]
    if words == ["--version"]:
        from magnet import __version__

        print(f"magnet {__version__}")
        return 0
    if words in (["--help"], ["-h"]):
        # What click would print, in a file: a test holds the two together.
        with open(__file__.replace("__main__.py", "help.txt"), encoding="utf-8") as text:
            print(text.read(), end="")
        return 0
    import os

    if None in (sys.stdout, sys.stderr):
        _open_streams()
    from magnet.cli import main as run

    return run(words, os.environ)


def _open_streams() -> None:
    """Let a stream that was closed at the start lead to nothing, and no file that is opened take its place."""
    import os

    while os.open(os.devnull, os.O_RDWR) <= 2:
        pass
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - it stays open
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115


def leave(code: int) -> "NoReturn":
    """End the process with this exit code, after what was registered with `atexit`, without tearing down every module.

    That would take a sixth of the time of a build that is found done. A thread that must be waited for, as only the
    code of a magnetfile may have started one, is waited for in Python's way.
    """
    import atexit
    import os

    threading = sys.modules.get("threading")
    if threading and any(not one.daemon for one in threading.enumerate() if one is not threading.main_thread()):
        sys.exit(code)
    atexit._run_exitfuncs()
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):  # --version does with one that is closed
            stream.flush()
    except (OSError, ValueError):  # whoever read it has gone, the disk is full, or a magnetfile has closed it
        code = code or 1
    os._exit(code)


if __name__ == "__main__":
    leave(main())
