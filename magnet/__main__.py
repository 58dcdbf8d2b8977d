"""The way in: what is static is answered before anything is imported."""

import sys


def main() -> int:
    """Run the command line of this process, and return its exit code."""
    words = sys.argv[1:]
    if words == ["--version"]:
        from magnet import __version__

        print(f"magnet {__version__}")
        return 0
    import os

    from magnet.cli import main as run

    return run(words, os.environ)


if __name__ == "__main__":
    sys.exit(main())
