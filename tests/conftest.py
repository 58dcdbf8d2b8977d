import pytest

# Before any test imports it.
pytest.register_assert_rewrite("magnet.testing")
