"""A closed-form start: a new network already predicts the unigram distribution of the answers.

One coordinate of mask embedding and head encodes the answers' unigram distribution. The other coordinates of embedding
and head are the leading singular vectors of the pointwise mutual information of prompt token and answer token, its best
low-rank factorisation (compare Levy and Goldberg 2014 on word vectors). Before training they lower the loss by only a
few hundredths of a nat, since attention is not trained yet; they give related words similar embeddings.
"""

import torch

from discreteness.core.randomness import key
from discreteness.training.batches import Corpus

ANSWER_TOKENS = 16  # of each answer, from its beginning


@torch.no_grad()
def closed_form(network: torch.nn.Module, corpus: Corpus, seed: int) -> None:
    """Set embedding (V, d), head (V, d) and the first layer's value path of a new network, in place."""
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
    """Number of rows with a prompt token and an answer token, (V, V); with either one, (V,) twice; of all rows."""
    together = torch.zeros(vocabulary, vocabulary)
    prompts, answers, rows = torch.zeros(vocabulary), torch.zeros(vocabulary), 0
    for prompt, answer in corpus.groups:
        seen = torch.zeros(len(prompt), vocabulary).scatter_(1, prompt, 1.0)
        answered = torch.zeros(len(prompt), vocabulary).scatter_(1, answer[:, :ANSWER_TOKENS], 1.0)
        together += seen.T @ answered
        prompts += seen.sum(0)
        answers += answered.sum(0)
        rows += len(prompt)
    return together, prompts, answers, rows
