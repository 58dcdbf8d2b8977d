from pathlib import Path

import pytest

import magnet
from magnet.cli import main


def test_the_static_help_is_what_click_prints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["--help"], {}) == 0
    assert capsys.readouterr().out == Path(magnet.__file__).with_name("help.txt").read_text("utf-8")
