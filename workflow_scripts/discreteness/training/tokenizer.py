"""A small byte-pair tokenizer in the published file layout, with LLaDA's special tokens and a short chat template."""

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from discreteness.core.errors import InputError

BOS, EOS, EOT, MASK = "<|startoftext|>", "<|endoftext|>", "<|eot_id|>", "<|mdm_mask|>"
CHAT_TEMPLATE = BOS + "{{ messages[-1]['content'] | trim }}" + EOT


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE of at most `vocab_size` entries, trained on `texts`.

    Identifiers are split into lower-case words (`getName`, `get_name` -> `get name`), so that names share tokens with
    the prose that explains them. The chat template is one user message: BOS, message, end of turn.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Replace(Regex(r"(?<=[a-z0-9])(?=[A-Z])"), " "),
            normalizers.Replace(Regex(r"_+"), " "),
            normalizers.Lowercase(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]|\s+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[BOS, EOS, EOT, MASK],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return _published(tokenizer)


def word_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Every word of `texts` is a token, with its case; ids are alphabetical and follow those of the special tokens.

    For languages of few words. Raises InputError for more words than fit into `vocab_size`.
    """
    words = sorted({word for text in texts for word in text.split()})
    vocabulary = {word: id_ for id_, word in enumerate([BOS, EOS, EOT, MASK, *words])}
    if len(vocabulary) > vocab_size:
        raise InputError(
            f"train.vocab_size: {vocab_size} is too few for {len(words)} words and {len(vocabulary) - len(words)} "
            "special tokens"
        )
    tokenizer = Tokenizer(models.WordLevel(vocabulary))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return _published(tokenizer)


def _published(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """The tokenizer with LLaDA's special tokens and the chat template."""
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=EOS,
        additional_special_tokens=[EOT, MASK],
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast
