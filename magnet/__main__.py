"""The way in: what is static is answered before anything is imported."""

import sys


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

    from magnet.cli import main as run

    return run(words, os.environ)


if __name__ == "__main__":
    sys.exit(main())
