from pathlib import Path

from magnet import T, env, target

RELEASES = env(
    "RELEASES",
    (Path(__file__).parent / "released").as_uri(),
    help="Where greet is released: a URL of http, https or file",
)


@target
def greet(t: T, name: str = "world") -> None:
    """Greet somebody, with a program that is downloaded, verified and unpacked once."""
    program = t.download(
        f"{RELEASES}/greet-1.0.tar.gz",
        sha256="9f5584a0ce4fce80cb19c5c810f591e5549d8d394c07067c9614e492c4c16db5",
        unpack=True,
        strip=1,
    )
    t.exec(program / "greet.sh", program / "texts/en.txt", name)


@target
def words(t: T) -> None:
    """Count words in files that are downloaded at the same time, and looked for anew each time."""
    begun = [t.start_download(f"{RELEASES}/{name}.txt") for name in ("fr", "de")]
    for path in [download.result() for download in begun]:
        t.print(path.name, "has", len(path.read_text().split()), "words")


@target
def altered(t: T) -> None:
    """Refuse what is not what it should be."""
    t.download(f"{RELEASES}/fr.txt", sha256="0" * 64)
