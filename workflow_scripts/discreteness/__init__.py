"""Measure what discreteness costs diffusion language models (after arXiv 2512.22630)."""
