"""The board on a terminal."""

import io
import re

import pytest

from magnet.progress.board import summary
from magnet.progress.tty import Tty
from tests.unit.script import EVENTS, FAILURE, at, begin, end, folded, log


class Terminal(io.StringIO):
    """A terminal that knows the few sequences a board needs, and no other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """What one sees: the rows that are not empty."""
        rows, row, column = [""], 0, 0
        for token in re.findall(r"\x1b\[\??\d*[A-Za-z]|.", self.getvalue(), re.DOTALL):
            if token in ("\x1b[?25l", "\x1b[?25h"):
                continue
            if token == "\n":
                row, column = row + 1, 0
            elif token == "\r":
                column = 0
            elif token == "\x1b[2K":
                rows[row] = ""
            elif token.startswith("\x1b") and token.endswith("A"):
                row -= int(token[2:-1])
            else:
                assert token.isprintable(), token
                if column == self.width:
                    row, column = row + 1, 0
                rows.extend("" for _ in range(row + 1 - len(rows)))
                rows[row] = f"{rows[row][:column]:<{column}}{token}{rows[row][column + 1 :]}"
                column += 1
            rows.extend("" for _ in range(row + 1 - len(rows)))
        return [text for text in rows if text]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm", "COLUMNS": "40", "LINES": "7"}.items():
        monkeypatch.setenv(name, value)
    return Terminal(40)


BOARD = [
    "[+] Building 3.0s (1/2)",
    " => base                            2.2s",
    " => app                             2.0s",
    " => => two",
    " => => three",
    " => => red \ufffd",
]


def test_a_board_is_drawn_in_place_of_the_last_and_becomes_the_summary(terminal: Terminal) -> None:
    tty = Tty(terminal, lambda: at(3))
    tty.refresh()
    assert terminal.getvalue() == ""
    for status in EVENTS[:7]:
        tty.update(status)
        tty.refresh()
    assert terminal.screen() == BOARD
    for status in EVENTS[7:]:
        tty.update(status)
        tty.refresh()
    tty.done()
    assert terminal.screen() == [*summary(folded(*EVENTS), at(3), 40), *FAILURE.splitlines()]
    assert terminal.getvalue().rindex("\x1b[?25h") > terminal.getvalue().rindex("\x1b[?25l")


def test_what_ends_at_once_is_summed_up_without_a_board(terminal: Terminal) -> None:
    tty = Tty(terminal, lambda: at(0.19))
    for status in (begin("1", "app"), end("1", "app", 0, 0.19)):
        tty.update(status)
        tty.refresh()
    tty.done()
    assert terminal.getvalue() == "".join(
        f"{line}\n" for line in ["[+] Building 0.2s (1/1) FINISHED", " => app                             0.2s"]
    )


def test_a_board_is_never_wider_or_higher_than_its_terminal(terminal: Terminal) -> None:
    tty = Tty(terminal, lambda: at(1))
    for digest in "abc":
        tty.update(begin(digest, digest * 60))
        tty.update(log(digest, b"x" * 99 + b"\n\ta\tb\tc\td\te\tf\n"))
        tty.refresh()
    assert terminal.screen() == [
        "[+] Building 1.0s (0/3)",
        f" => {'a' * 30}… 1.0s",
        f" => => {'x' * 33}",
        " => =>  a       b       c       d      …",
        f" => {'b' * 30}… 1.0s",
        f" => => {'x' * 33}",
    ]


def test_a_board_leaves_the_terminal_to_a_vertex_and_comes_back(terminal: Terminal) -> None:
    tty = Tty(terminal, lambda: at(3))
    for status in EVENTS[:7]:
        tty.update(status)
    tty.refresh()
    tty.suspend("2")
    left = terminal.getvalue()
    assert (terminal.screen(), left.endswith("\x1b[2K")) == ([], True)
    tty.suspend("1")
    tty.resume("2")
    tty.refresh()
    assert terminal.getvalue() == left
    tty.resume("1")
    tty.refresh()
    assert terminal.screen() == BOARD
    for status in EVENTS[7:]:
        tty.update(status)
    tty.done()
    assert terminal.screen() == summary(folded(*EVENTS), at(3), 40)
