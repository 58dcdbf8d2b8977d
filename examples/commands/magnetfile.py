from pathlib import Path

from magnet import T, env, target

TOKEN = env("TOKEN", "open-sesame", secret=True, help="Opens the door")


@target
def variables(t: T) -> None:
    """Write variables into words, for magnet or for the shell."""
    t.exec("echo", "$GREETING, ${WHO}!", env={"GREETING": "Hello", "WHO": "world"})
    t.exec("sh", "-c", "for word in one two; do echo $$word; done")


@target
def count(t: T) -> None:
    """Use what a program prints."""
    names = t.exec("cat", "names.txt", cwd="data", capture=True).output.split()
    t.print(len(names), "names")


@target
def feed(t: T) -> None:
    """Give a program something to read: a file, or text."""
    t.exec("cat", stdin=Path("data/names.txt"))
    t.exec("sh", "-c", "read line; echo it read $$line", stdin="a line\n")


@target
def ask(t: T) -> None:
    """Let an exit code be an answer."""
    has_more = t.exec("sh", "-c", "[ -e data/more.txt ]", check=False).returncode == 0
    t.print("more names" if has_more else "no more names")


@target
def insist(t: T) -> None:
    """Try again what may fail."""
    t.exec("sh", "flaky.sh", retry=2)


@target
def limit(t: T) -> None:
    """End what takes too long, with all that it started."""
    t.exec("sh", "-c", "sleep 60 & echo begun; sleep 60", timeout="2s")


@target
def secret(t: T) -> None:
    """Hand over a secret: to a program's words, better to its environment, best to its stdin."""
    t.exec("echo", "--token=$TOKEN", env={"TOKEN": TOKEN})
    t.exec("sh", "-c", "echo $$TOKEN", env={"TOKEN": TOKEN})
    t.exec("cat", stdin=TOKEN)
