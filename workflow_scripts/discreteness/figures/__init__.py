"""The figures: each draws one tidy table and knows nothing of files."""
