"""What a dry run prints."""

from magnet.progress.dryrun import DryRun
from tests.unit.script import EVENTS, log, shown


def test_a_dry_run_is_a_script_with_the_commands_of_each_target_together() -> None:
    events = [*EVENTS[:4], log("2", b"more\n"), *EVENTS[4:]]
    assert shown(lambda out, _: DryRun(out), *events) == (
        "# base\none\n# app\ntwo\nthree\nmore\n# base\nfour\n# app\nred \ufffd\n"
    )
