"""Small language models trained inside a run and written in the published layout."""
