"""A build in which nothing changed: magnet's beside the engine's own, fully cached. Medians and ratios, interleaved.

Run it with the Python that magnet is installed for, where the engines answer:
`python benchmarks/noop.py BACKEND [FILES [ROUNDS]]`.
"""

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

MAGNET = str(Path(sys.executable).with_name("magnet"))
PER_DIRECTORY = 100
SIZE = 10_000


def main() -> None:
    """Measure both once a round, in turn, and print the table."""
    backend = sys.argv[1]
    files = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 10
    with TemporaryDirectory() as directory:
        root = Path(directory, "project")
        _make(root, files)
        layers = ["--layers", "--pull=false"] if backend == "buildah" else []
        jobs = {
            f"{backend} build": [backend, "build", *layers, "-t", "localhost/magnet-benchmark", "."],
            "magnet build": [MAGNET, "--backend", backend, "build", "-t", "localhost/magnet-benchmark", "."],
        }
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env |= {"DOCKER_BUILDKIT": env.get("DOCKER_BUILDKIT", "1")}
        times: dict[str, list[float]] = {name: [] for name in jobs}
        # Files that are as old as the look at them are not trusted; in the first round both builds are done.
        time.sleep(3)
        for _ in range(rounds + 2):
            for name, argv in jobs.items():
                begun = time.perf_counter()
                subprocess.run(argv, cwd=root, env=env, check=True, capture_output=True)
                times[name].append(time.perf_counter() - begun)
    base = statistics.median(times["magnet build"][2:])
    print(f"| {files} files | median, ms | ratio |\n|---|---|---|")
    for name, measured in times.items():
        median = statistics.median(measured[2:])
        print(f"| `{name}` | {median * 1000:.0f} | {median / base:.1f} |")


def _make(root: Path, files: int) -> None:
    """A project that copies all of its files, into an image that holds little more."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise SystemExit("this needs busybox-static")
    root.mkdir()
    shutil.copyfile(busybox, root / "busybox")
    (root / "busybox").chmod(0o755)
    for number in range(files):
        path = root / "src" / str(number // PER_DIRECTORY) / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"{number}\n".encode().ljust(SIZE, b"."))
    (root / ".dockerignore").write_text("_build\n")
    (root / "Dockerfile").write_text(
        'FROM scratch\nCOPY busybox /bin/busybox\nCOPY src /src\nRUN ["/bin/busybox", "true"]\n'
    )


if __name__ == "__main__":
    main()
