"""A denoiser whose predictions are whatever a function says: for tests and for trying out analyses."""

from collections.abc import Callable

import torch

from discreteness.denoisers.base import Denoiser, check_finite


class MockTokenizer:
    """Whitespace words of a fixed vocabulary; enough of a transformers tokenizer for probing and decoding."""

    chat_template = "{{ messages[0]['content'] }}"

    def __init__(self, words: list[str]):
        self.words = words

    def __len__(self) -> int:
        return len(self.words)

    def __call__(self, text: str, add_special_tokens: bool = True):
        ids = [self.words.index(word) for word in text.split()]
        return type("Encoding", (), {"input_ids": ids})()

    def apply_chat_template(self, messages, tokenize: bool, add_generation_prompt: bool) -> str:
        """The last message's text."""
        return messages[-1]["content"]

    def decode(self, ids: list[int]) -> str:
        """Words joined by spaces."""
        return " ".join(self.words[id_] for id_ in ids)

    def convert_ids_to_tokens(self, id_: int) -> str:
        """The word."""
        return self.words[id_]


class MockDenoiser(Denoiser):
    """`predict(token_ids (B, L), queries (Q, 2))` gives logits (Q, V); the last two words are EOS and mask."""

    def __init__(self, words: list[str], predict: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]):
        self.tokenizer = MockTokenizer([*words, "<eos>", "<mask>"])
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
