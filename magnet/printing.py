"""Events as BuildKit's plain lines."""
