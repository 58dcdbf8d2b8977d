"""Keeps the suite out of runs that do not ask for it: whoever collects all of magnet has no backend to test."""

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Ignore the tests here without the plugin, which has their fixtures."""
    is_asked_for = config.pluginmanager.has_plugin("magnet.testing.plugin")
    return True if collection_path.name.startswith("test_") and not is_asked_for else None
