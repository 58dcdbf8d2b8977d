import time

from magnet import MagnetError, T, target


def count(t: T, to: int, pause: float) -> None:
    """What would be work."""
    for number in range(1, to + 1):
        t.print(f"{t.name}: hello world:", number)
        time.sleep(pause)


@target(default=True)
def multiple_targets(t: T, *, pause: float = 0.1) -> None:
    """A hierarchy of targets, one of which fails."""
    with t.target("target1") as one:
        one.set_cached()
    with t.target("target2") as two:
        count(two, 1, pause)
        with two.target("target3") as three:
            count(three, 2, pause)
            with two.target("target4") as four:
                count(four, 2, pause)
            with three.target("target5") as five:
                count(five, 2, pause)
                raise MagnetError("error on target 5")


@target
def tolerant(t: T) -> None:
    """Go on where a target in this one fails."""
    try:
        with t.target("optional") as optional:
            optional.exec("sh", "-c", "echo trying; exit 3")
    except MagnetError as error:
        t.print("without it:", error)
