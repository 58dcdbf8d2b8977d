from pathlib import Path

from magnet import T, env, target

HERE = Path(__file__).parent

GREETING = env("GREETING", "Dear", help="How a letter begins")


@target(inputs=["names.txt", "letter.txt"], outputs="letters")
def letters(t: T) -> None:
    """Write a letter to everyone in names.txt."""
    text = (HERE / "letter.txt").read_text()
    (HERE / "letters").mkdir(exist_ok=True)
    for name in (HERE / "names.txt").read_text().split():
        t.print("writing to", name)
        (HERE / "letters" / f"{name}.txt").write_text(f"{GREETING} {name},\n{text}")


@target(needs=[letters], inputs="letters", outputs="book.txt", default=True)
def book(t: T) -> None:
    """Bind the letters to a book."""
    t.exec("sh", "-c", "cat letters/*.txt > book.txt")
