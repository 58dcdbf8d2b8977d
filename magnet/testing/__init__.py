"""The contract of backends as a suite of tests, to prove one with that is in another package.

It is pytest's to run, with the extra `testing`, and nothing of magnet itself imports it:

    pytest -p magnet.testing.plugin --pyargs magnet.testing --magnet-backend NAME

`plugin` has the fixtures, `program` what runs magnet as a user would. See docs/writing-a-backend.md.
"""
