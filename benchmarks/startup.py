"""What magnet costs before it does anything, beside `python -c pass`: medians and ratios of interleaved runs.

Run it with the Python that magnet is installed for: `python benchmarks/startup.py [ROUNDS]`.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

MAGNET = str(Path(sys.executable).with_name("magnet"))
EXAMPLE = Path(__file__).parent.parent / "examples" / "hello_world"
JOBS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "magnet --version": [MAGNET, "--version"],
    "magnet --help": [MAGNET, "--help"],
    "magnet --list": [MAGNET, "--list"],
    "magnet hello": [MAGNET, "hello"],
}


def main() -> None:
    """Measure every job once a round, in turn, and print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    times: dict[str, list[float]] = {name: [] for name in JOBS}
    # Without compiled modules every start would compile them anew.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(rounds + 1):
        for name, argv in JOBS.items():
            begun = time.perf_counter()
            subprocess.run(argv, cwd=EXAMPLE, env=env, check=True, capture_output=True)
            times[name].append(time.perf_counter() - begun)
    base = statistics.median(times["python -c pass"][1:])
    print("| job | median, ms | ratio |\n|---|---|---|")
    for name, measured in times.items():
        # The first round fills caches.
        median = statistics.median(measured[1:])
        print(f"| `{name}` | {median * 1000:.1f} | {median / base:.2f} |")


if __name__ == "__main__":
    main()
