"""A closed-form start: a fresh network already predicts the answers' word frequencies.

One coordinate of mask embedding and head carries the answers' unigram. The other coordinates of embedding and head are
the leading singular vectors of the pointwise mutual information of prompt token and answer token, the best product of
two such matrices (as Levy and Goldberg 2014 showed for word vectors). Before any step that second part is worth little,
a few hundredths of a nat, since attention has not learnt yet where to look; it places related words near each other.
"""

import torch

from discreteness.core.randomness import key
from discreteness.training.batches import Corpus

ANSWER_TOKENS = 16  # of each answer, from its beginning


@torch.no_grad()
def closed_form(network: torch.nn.Module, corpus: Corpus, seed: int) -> None:
    """Set embedding (V, d), head (V, d) and the first layer's value path of a fresh network, in place."""
    embedding, head = network.backbone.embed_tokens.weight, network.lm_head.weight
    vocabulary, width = embedding.shape
    together, prompts, answers, rows = _counts(corpus, vocabulary)
    expected = prompts[:, None] * answers[None] / rows
    information = torch.log((together + 1.0) / (expected + 1.0)).clamp(min=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(seed, "closed form"))
        left, values, right = torch.svd_lowrank(information, q=width - 1, niter=4)
    scale = values.sqrt()
    content = left * scale
    size = content.norm(dim=1).mean() / width**0.5  # so that an average embedding has unit root mean square
    embedding[:, 1:] = content / size + 0.02 * embedding[:, 1:]
    head[:, 1:] = right * scale * size
    unigram = torch.log((answers + 1.0) / (answers.sum() + vocabulary))
    embedding[:, 0] = 0.0
    embedding[corpus.mask_id] = 0.0
    embedding[corpus.mask_id, 0] = width**0.5
    head[:, 0] = (unigram - unigram.mean()) / width**0.5
    attention = network.backbone.layers[0].self_attn
    attention.v_proj.weight.add_(torch.eye(width))
    attention.o_proj.weight.add_(torch.eye(width))


def _counts(corpus: Corpus, vocabulary: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]:
    """In how many rows a prompt token and an answer token stand together, (V, V), and each alone, (V,) twice."""
    together = torch.zeros(vocabulary, vocabulary)
    prompts, answers, rows = torch.zeros(vocabulary), torch.zeros(vocabulary), 0
    for prompt, answer in corpus.groups:
        seen = torch.zeros(len(prompt), vocabulary).scatter_(1, prompt, 1.0)
        said = torch.zeros(len(prompt), vocabulary).scatter_(1, answer[:, :ANSWER_TOKENS], 1.0)
        together += seen.T @ said
        prompts += seen.sum(0)
        answers += said.sum(0)
        rows += len(prompt)
    return together, prompts, answers, rows
