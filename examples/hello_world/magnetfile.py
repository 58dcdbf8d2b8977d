from magnet import T, target


@target(default=True)
def hello(t: T, name: str = "world", *, shout: bool = False) -> None:
    """Say hello."""
    greeting = f"Hello, {name}!"
    t.print(greeting.upper() if shout else greeting)


@target(needs=[hello], aliases=["bye"])
def goodbye(t: T) -> None:
    """Say goodbye, after hello."""
    t.exec("echo", "Goodbye!")
