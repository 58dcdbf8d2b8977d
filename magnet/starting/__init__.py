"""What `magnet init` finds in a directory, and the magnetfile that it writes for it."""
