"""Whole words as tokens, for denoisers without a tokenizer of their own."""


class WordTokenizer:
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
