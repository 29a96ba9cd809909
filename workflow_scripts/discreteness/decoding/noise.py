"""The random numbers of a decoder: keyed by their purpose, or drawn as the published samplers do.

Both give answers with the same distribution. Keyed numbers depend only on (seed, prompt_id, sample, step, position).
A token costs one uniform number (inverse distribution function, float64 sums) instead of one per entry of the
vocabulary. The reference classes draw the same numbers in the same order and shape as LLaDA's `generate` and Dream's
`diffusion_generate`, on the CPU, from a generator seeded with `seed`.
"""

import numpy as np
import torch

from discreteness.core.randomness import key

CHUNK = 2**23  # probabilities handled at a time
BLOCK = 256  # probabilities summed at a time


def inverse_cdf(log_q: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """One token per row: the first whose cumulative probability exceeds the uniform number.

    log_q (Q, V) float32, normalised or not; uniform (Q,) float64 in [0, 1). Returns (Q,) int64. The sums are float64
    (arXiv 2409.02908: low-precision noise changes the distribution), over blocks of tokens and then inside one block;
    so the (Q, V) probabilities are never held in float64.
    """
    chunk = max(1, CHUNK // log_q.shape[-1])
    tokens = [_inverse_cdf(*pair) for pair in zip(log_q.split(chunk), uniform.split(chunk), strict=True)]
    return torch.cat(tokens) if tokens else torch.zeros(0, dtype=torch.long, device=log_q.device)


def _inverse_cdf(log_q: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    blocks = -(-log_q.shape[-1] // BLOCK)
    p = torch.nn.functional.pad(log_q.exp(), (0, blocks * BLOCK - log_q.shape[-1])).view(len(log_q), blocks, BLOCK)
    total = p.sum(-1, dtype=torch.float64).cumsum(-1)  # (Q, blocks)
    target = uniform[:, None] * total[:, -1:]
    block = (total <= target).sum(-1, keepdim=True)  # (Q, 1)
    below = torch.where(block > 0, total.gather(-1, (block - 1).clamp(min=0)), 0.0)
    inside = p.gather(1, block[..., None].expand(-1, -1, BLOCK))[:, 0].double().cumsum(-1)  # (Q, BLOCK)
    rest = torch.minimum(target - below, inside[:, -1:] * (1 - 2**-53))
    return block[:, 0] * BLOCK + (inside <= rest).sum(-1)


class Keyed:
    """Numbers that depend on (seed, prompt_id, sample, step, position) only.

    names: (prompt_id, sample) of every row. The position counts from the prompt's first token.
    """

    TOKENS, POSITIONS = 0, 1

    def __init__(self, seed: int, names: list[tuple[str, int]], device: torch.device):
        self.keys = [key(seed, "decode", *name) for name in names]
        self.device = device

    def begin(self, rows: list[int], steps: list[int], candidates: torch.Tensor) -> None:
        """Start a step: rows (B) of `names` in the batch, their step numbers, candidates (B, W) bool."""
        self.streams = [(self.keys[row], step) for row, step in zip(rows, steps, strict=True)]
        self.width = candidates.shape[1]

    def uniform(self, purpose: int) -> torch.Tensor:
        """(B, W) float64 in [0, 1)."""
        numbers = np.empty((len(self.streams), self.width))
        for numbers_of_row, (stream, step) in zip(numbers, self.streams, strict=True):
            generator = np.random.Generator(np.random.Philox(key=stream, counter=[0, 0, purpose, step]))
            generator.random(out=numbers_of_row)
        return torch.from_numpy(numbers).to(self.device)

    def positions(self) -> torch.Tensor:
        """(B, W) uniform numbers that decide on positions."""
        return self.uniform(self.POSITIONS)

    def tokens(self, log_q: torch.Tensor, queries: torch.Tensor, temperature: float) -> torch.Tensor:
        """(Q,) tokens drawn from log_q (Q, V), to which the temperature is already applied."""
        return inverse_cdf(log_q, self.uniform(self.TOKENS)[queries[:, 0], queries[:, 1]])

    def perturb(self, scores: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Scores whose largest entries are a draw without replacement with weights exp(scores) (Gumbel top-k)."""
        return scores - (-self.positions().log()).log()


class LLaDA:
    """LLaDA's draws: one float64 number for every entry of the vocabulary at every position, prompts included."""

    def __init__(self, seed: int, vocab_size: int, temperature: float, device: torch.device):
        self.generator = torch.Generator().manual_seed(seed)
        self.vocab_size, self.temperature, self.device = vocab_size, temperature, device

    def begin(self, rows: list[int], steps: list[int], candidates: torch.Tensor) -> None:
        """See `Keyed.begin`; the tokens' numbers are drawn here, before those of the positions."""
        self.shape = tuple(candidates.shape)
        if self.temperature > 0:
            self.noise = torch.rand((*self.shape, self.vocab_size), dtype=torch.float64, generator=self.generator)

    def positions(self) -> torch.Tensor:
        """(B, W) uniform numbers, float32."""
        return torch.rand(self.shape, generator=self.generator).to(self.device)

    def tokens(self, log_q: torch.Tensor, queries: torch.Tensor, temperature: float) -> torch.Tensor:
        """Gumbel-max: log_q is softmax(logits / T), so T times it differs from the logits by a constant."""
        noise = self.noise[queries[:, 0].cpu(), queries[:, 1].cpu()].to(log_q.device)
        return (temperature * log_q.double() - temperature * (-noise.log()).log()).argmax(-1)

    def perturb(self, scores: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """A draw of positions without replacement, as Dream makes it."""
        return multinomial_order(scores, counts, self.generator)


class Dream:
    """Dream's draws: numbers for masks only, in the order of the batch."""

    def __init__(self, seed: int, device: torch.device):
        self.generator = torch.Generator().manual_seed(seed)
        self.device = device

    def begin(self, rows: list[int], steps: list[int], candidates: torch.Tensor) -> None:
        """See `Keyed.begin`."""
        self.candidates = candidates

    def positions(self) -> torch.Tensor:
        """(B, W) uniform numbers, float32, one per candidate."""
        uniform = torch.ones(self.candidates.shape, device=self.device)
        count = int(self.candidates.sum())
        uniform[self.candidates] = torch.rand(count, generator=self.generator).to(self.device)
        return uniform

    def tokens(self, log_q: torch.Tensor, queries: torch.Tensor, temperature: float) -> torch.Tensor:
        """`Categorical(probs).sample()`."""
        if not len(log_q):
            return torch.zeros(0, dtype=torch.long, device=log_q.device)
        probabilities = log_q.exp().cpu()
        probabilities = probabilities / probabilities.sum(-1, keepdim=True)
        return torch.multinomial(probabilities, 1, True, generator=self.generator)[:, 0].to(log_q.device)

    def perturb(self, scores: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """A draw of positions without replacement."""
        return multinomial_order(scores, counts, self.generator)


def multinomial_order(scores: torch.Tensor, counts: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Scores (B, W) whose largest entries are what `torch.multinomial(softmax(scores), count)` draws, in its order."""
    most = int(counts.max())
    if most == 0:
        return scores
    drawn = torch.multinomial(scores.softmax(-1).cpu(), most, generator=generator).to(scores.device)
    ranks = torch.arange(most, 0, -1, dtype=scores.dtype, device=scores.device)
    return torch.full_like(scores, -torch.inf).scatter(-1, drawn, ranks.expand(len(scores), -1))
