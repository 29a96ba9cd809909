"""The exact denoiser of a language whose sentences are all known: what it gets wrong is the sampler's fault."""

from pathlib import Path

import torch

from discreteness.core.errors import InputError
from discreteness.denoisers.base import Denoiser
from discreteness.denoisers.rows import LoadingRow
from discreteness.denoisers.words import WordTokenizer
from discreteness.languages import get_language
from discreteness.languages.language import Language

CONTEXTS = 512  # compared with the table at once; bounds memory


class OracleDenoiser(Denoiser):
    """p(x_i | visible tokens) exactly: the sentences that agree with what is visible, weighted by their probability.

    The sequence is the sentence from its first token, after no prompt. Positions after the language's length hold
    EOS; a shorter sequence is a sentence's beginning. Visible positions are known: their token has
    probability 1. A token that cannot stand somewhere has log-probability −inf, which is the exact answer.

    A context that no sentence agrees with, as parallel decoding makes them, has no exact answer: the prediction is the
    position's marginal, as if nothing were visible. `unmatched` counts the queries answered in this way.
    """

    def __init__(self, language: Language, device: torch.device | str = "cpu"):
        self.language = language
        self.tokenizer = WordTokenizer([*language.words, "<eos>", "<mask>"])
        self.corruption = "mask"
        self.vocab_size = language.vocab_size
        self.mask_id = language.mask_id
        self.eos_ids = (language.eos_id,)
        self.special_ids = (language.eos_id, language.mask_id)
        self.context_length = 4096
        self.device = torch.device(device)
        self.unmatched = 0
        self._probabilities = torch.from_numpy(language.probabilities).to(self.device)  # (N,) float64
        table = torch.from_numpy(language.token_ids).to(self.device)
        one_hot = torch.nn.functional.one_hot(table.T, self.vocab_size)  # (L, N, V)
        self._saying = one_hot.transpose(1, 2).float().contiguous()  # (L, V, N)
        self._words = [column.unique() for column in table.T]  # of each position
        self._sentences = [rows[:, words].double() for rows, words in zip(one_hot, self._words, strict=True)]

    def log_probs(self, token_ids, attention_mask, queries):
        """See `Denoiser.log_probs`. Raises InputError for padding, which a sentence's beginning has no need of."""
        if attention_mask is not None and not attention_mask.all():
            raise InputError("oracle: sequences are not padded; leave the attention mask out")
        token_ids, queries = token_ids.to(self.device), queries.to(self.device)
        rows, positions = queries.unbind(-1)
        probabilities = torch.empty(len(queries), self.vocab_size, device=self.device)
        for first in range(0, len(token_ids), CONTEXTS):
            here = ((rows >= first) & (rows < first + CONTEXTS)).nonzero()[:, 0]
            if len(here):
                contexts = token_ids[first : first + CONTEXTS]
                probabilities[here] = self._predict(contexts, rows[here] - first, positions[here]).float()
        return probabilities.log()

    def _predict(self, contexts: torch.Tensor, rows: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Probabilities (Q, V) at the queried positions of contexts (B, W); equal contexts are looked up once."""
        contexts, same = contexts.unique(dim=0, return_inverse=True)
        rows = same[rows]
        weights = self._agreement(contexts) * self._probabilities  # (B, N)
        totals = weights.sum(1)
        unmatched = totals == 0
        self.unmatched += int(unmatched[rows].sum())
        weights[unmatched] = self._probabilities
        totals[unmatched] = self._probabilities.sum()
        probabilities = torch.zeros(len(rows), self.vocab_size, dtype=torch.float64, device=self.device)
        for position in positions.unique().tolist():
            here = (positions == position).nonzero()[:, 0]
            if position < self.language.length:
                context, place = rows[here].unique(return_inverse=True)
                some = weights if len(context) == len(weights) else weights[context]
                answers = some @ self._sentences[position] / totals[context, None]
                probabilities[here[:, None], self._words[position]] = answers[place]
            else:
                probabilities[here, self.language.eos_id] = 1.0
        return probabilities

    def _agreement(self, contexts: torch.Tensor) -> torch.Tensor:
        """(B, W) contexts -> (B, N) float64, 1 where a sentence has every visible token."""
        visible = contexts != self.mask_id
        inside = min(contexts.shape[1], self.language.length)
        matches = torch.zeros(len(contexts), len(self._probabilities), dtype=torch.float32, device=self.device)
        for i in range(inside):
            shown = torch.where(visible[:, i], contexts[:, i], self.mask_id)
            matches += self._saying[i, shown]
        agrees = (matches == visible[:, :inside].sum(1, keepdim=True)).double()
        behind = contexts[:, inside:]
        agrees *= ((behind == self.language.eos_id) | (behind == self.mask_id)).all(1)[:, None]
        return agrees


def load(row: LoadingRow, folder: Path, device: torch.device, dtype: torch.dtype) -> OracleDenoiser:
    """The oracle of row `language`; it has no checkpoint and computes in float64 whatever the dtype."""
    if not row.language:
        raise InputError("language: the oracle's row names no language")
    return OracleDenoiser(get_language(row.language), device)
