"""The marginal trap on real text: what parallel decoding does to an answer where no joint distribution is known.

Pure functions of decoded answers and a denoiser. A *decodings* table has a row per answer, as `decode` writes it:
prompt_id, sample, token_ids, revealed_at (the step of each token), logprob_at_reveal (nats, temperature 1).
"""

from discreteness.coherence.answers import answer_length, blank_ids, is_empty
from discreteness.coherence.judge import generative_perplexity
from discreteness.coherence.rescoring import disowned, regret, rescore
from discreteness.coherence.summaries import (
    against_reference,
    disowned_share,
    mean_regret,
    perplexity,
    regret_by_step,
    summarise,
    worst_combinations,
)
from discreteness.coherence.text import (
    adjacent_duplicates,
    bigrams,
    distinct_n,
    seq_rep_n,
    text_statistics,
    unigram_entropy,
    unseen_bigrams,
    words,
)

__all__ = [
    "adjacent_duplicates",
    "against_reference",
    "answer_length",
    "bigrams",
    "blank_ids",
    "disowned",
    "disowned_share",
    "distinct_n",
    "generative_perplexity",
    "is_empty",
    "mean_regret",
    "perplexity",
    "regret",
    "regret_by_step",
    "rescore",
    "seq_rep_n",
    "summarise",
    "text_statistics",
    "unigram_entropy",
    "unseen_bigrams",
    "words",
    "worst_combinations",
]
