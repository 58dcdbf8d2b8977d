"""One target for each combination of a matrix, tries, and a condition. It needs no container engine."""

from magnet import T, env, target

STATION = env("STATION", "", help="Where to send the cards; they are kept if it is empty")


def has_station() -> bool:
    """Whether there is somewhere to send cards to."""
    return STATION != ""


@target(matrix={"name": ["Ada", "Grace"], "style": ["plain", "loud"]})
def card(t: T, name: str, style: str) -> str:
    """Write a card to each name, in each style."""
    text = f"Hello, {name}."
    return text.upper() if style == "loud" else text


@target(retries=2, timeout="10s")
def stamp(t: T) -> None:
    """Find a stamp, which is in the drawer only the second time one looks."""
    t.exec("sh", "-c", "test -e drawer || { touch drawer; echo no stamp; exit 1; }")


@target(only_if=has_station)
def send(t: T) -> None:
    """Send the cards."""
    t.print(f"to {STATION}")


@target(needs=[stamp], default=True)
def post(t: T) -> None:
    """Write all cards, and send them if there is somewhere to send them to."""
    cards, _ = t.need(card, send)
    for text in cards:
        t.print(text)
