"""The figures: each draws one tidy table and knows nothing of files."""

from discreteness.figures import plotting  # noqa: F401  (first: it chooses matplotlib's backend, which must precede its import)
