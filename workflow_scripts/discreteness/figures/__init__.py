"""The figures: each module has `COLUMNS`, those of its table, and `draw(table, **settings)`, its `Figure`."""

# First, before any other import of matplotlib: it chooses the backend.
from discreteness.figures import plotting  # noqa: F401
