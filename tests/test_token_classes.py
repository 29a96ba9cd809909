"""What counts as which class."""

import pytest

import tiny
from discreteness.core.token_classes import token_class, vocabulary
from discreteness.denoisers import load_denoiser


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" the", "function"),
        ("The", "function"),
        (" migrate", "content"),
        ("ing", "content"),
        (".", "punctuation"),
        ("\n\n", "punctuation"),
        (" ", "punctuation"),
        (" 2024", "number"),
        ("x2", "content"),
        ("�", "punctuation"),
    ],
)
def test_classes(text, expected):
    assert token_class(text, special=False) == expected
    assert token_class(text, special=True) == "special"


def test_a_vocabulary_has_a_text_and_a_class_for_every_logit(tmp_path):
    denoiser = load_denoiser({"family": "llada", "path": tiny.write(tmp_path)}, device="cpu")
    texts, classes = vocabulary(denoiser)
    assert len(texts) == len(classes) == denoiser.vocab_size
    assert classes[:4] == ["special"] * 4
    assert dict(zip(texts, classes, strict=True))["cat"] == "content"
