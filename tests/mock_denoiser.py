"""A denoiser whose predictions are whatever a function says."""

from collections.abc import Callable

import torch

from discreteness.denoisers.base import Denoiser, check_finite
from discreteness.denoisers.words import WordTokenizer


class MockDenoiser(Denoiser):
    """`predict(token_ids (B, L), queries (Q, 2))` gives logits (Q, V); the last two words are EOS and mask."""

    def __init__(self, words: list[str], predict: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]):
        self.tokenizer = WordTokenizer([*words, "<eos>", "<mask>"])
        self.predict = predict
        self.corruption = "mask"
        self.vocab_size = len(self.tokenizer)
        self.mask_id, eos = self.vocab_size - 1, self.vocab_size - 2
        self.eos_ids = (eos,)
        self.special_ids = (eos, self.mask_id)
        self.context_length = 4096
        self.device = torch.device("cpu")
        self.calls = 0

    def log_probs(self, token_ids, attention_mask, queries):
        """See `Denoiser.log_probs`; counts its calls."""
        self.calls += 1
        logits = self.predict(token_ids, queries).float()
        check_finite(logits, queries)
        return torch.log_softmax(logits, -1)
