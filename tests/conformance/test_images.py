"""What is in an image, entry by entry."""

from pathlib import Path

from tests.conformance.behaviours import Behaviour, Case, Section
from tests.conformance.conftest import Judge

SECTION = Section("What is in an image")
behaviour = SECTION.behaviour


def test_images(judge: Judge, behaviour: Behaviour, tmp_path: Path) -> None:
    judge(f"images.{behaviour.id}", behaviour, tmp_path)
