"""The exact denoiser against the table it comes from."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from discreteness.core.errors import InputError
from discreteness.denoisers import load_denoiser
from discreteness.denoisers.oracle import OracleDenoiser
from discreteness.languages import get_language
from discreteness.languages.language import Language

GRAMMAR = get_language("grammar")
ORACLE = OracleDenoiser(GRAMMAR)


def everywhere(ids):
    return torch.cartesian_prod(*map(torch.arange, ids.shape))


def by_hand(context, position):
    """Probability of each token at a position, from the table row by row."""
    result = np.zeros(GRAMMAR.vocab_size)
    for row, p in zip(GRAMMAR.token_ids.tolist(), GRAMMAR.probabilities, strict=True):
        if all(seen in (GRAMMAR.mask_id, id_) for seen, id_ in zip(context, row, strict=True)):
            result[row[position]] += p
    return result / result.sum()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, len(GRAMMAR.token_ids) - 1), st.integers(0, 2**12 - 1), st.integers(0, 11))
def test_is_the_filtered_table(sentence, bits, position):
    context = [
        GRAMMAR.mask_id if bits >> i & 1 or i == position else int(id_)
        for i, id_ in enumerate(GRAMMAR.token_ids[sentence])
    ]
    log_p = ORACLE.log_probs(torch.tensor([context]), None, torch.tensor([[0, position]]))
    assert (log_p.shape, log_p.dtype) == ((1, GRAMMAR.vocab_size), torch.float32)
    expected = by_hand(context, position)
    assert log_p[0].exp().numpy() == pytest.approx(expected, abs=1e-6)
    assert ((log_p[0] == -math.inf).numpy() == (expected == 0)).all()


def test_what_is_visible_is_known():
    ids = torch.from_numpy(GRAMMAR.token_ids[:3])
    log_p = ORACLE.log_probs(ids, torch.ones_like(ids, dtype=torch.bool), everywhere(ids)).view(3, 12, -1)
    assert torch.equal(log_p.gather(-1, ids[..., None]), torch.zeros(3, 12, 1))
    assert (log_p == -math.inf).sum() == 3 * 12 * (GRAMMAR.vocab_size - 1)


def test_chain_rule():
    """Any order of revealing one at a time multiplies to the sentence's probability."""
    places = GRAMMAR.sample(40)
    ids = torch.from_numpy(GRAMMAR.token_ids[places])
    order = torch.rand(40, 12, generator=torch.Generator().manual_seed(0)).argsort(1)
    state, total = torch.full_like(ids, GRAMMAR.mask_id), torch.zeros(40)
    for step in range(12):
        queries = torch.stack([torch.arange(40), order[:, step]], -1)
        tokens = ids.gather(1, order[:, [step]])
        total += ORACLE.log_probs(state, None, queries).gather(1, tokens)[:, 0]
        state.scatter_(1, order[:, [step]], tokens)
    assert total.numpy() == pytest.approx(np.log(GRAMMAR.probabilities[places]), abs=1e-4)


def test_batches_larger_than_what_is_compared_at_once(monkeypatch):
    ids = torch.from_numpy(GRAMMAR.token_ids[GRAMMAR.sample(20)])
    ids = ids.masked_fill(torch.rand(ids.shape, generator=torch.Generator().manual_seed(0)) < 0.5, GRAMMAR.mask_id)
    queries = everywhere(ids).flip(0)
    whole = ORACLE.log_probs(ids, None, queries)
    monkeypatch.setattr("discreteness.denoisers.oracle.CONTEXTS", 7)
    assert torch.equal(ORACLE.log_probs(ids, None, queries), whole)


def test_a_context_without_sentences_gets_the_marginals_and_is_counted():
    oracle = OracleDenoiser(get_language("toy"))
    word = {word: id_ for id_, word in enumerate(oracle.language.words)}
    ids = torch.tensor([[word["He"], word["play"], oracle.mask_id], [word["He"], oracle.mask_id, oracle.mask_id]])
    log_p = oracle.log_probs(ids, None, torch.tensor([[0, 2], [1, 2], [0, 2]])).exp()
    assert log_p[:, word["apple"]].tolist() == [0.5, 1.0, 0.5]
    assert log_p[:, word["tennis"]].tolist() == [0.5, 0.0, 0.5]
    assert oracle.unmatched == 2  # queries, not contexts
    unknown = torch.tensor([[oracle.eos_ids[0], oracle.mask_id, oracle.mask_id]])
    assert oracle.log_probs(unknown, None, torch.tensor([[0, 1]])).exp()[0, word["likes"]] == 0.5


def test_longer_and_shorter_sequences():
    oracle = OracleDenoiser(Language.from_sentences("made up", {"a": 0.25, "a b": 0.75}))
    eos, mask = oracle.eos_ids[0], oracle.mask_id
    longer = oracle.log_probs(torch.full((1, 4), mask), None, torch.tensor([[0, 1], [0, 2], [0, 3]])).exp()
    assert longer.tolist() == [[0, 0.75, 0.25, 0], [0, 0, 1, 0], [0, 0, 1, 0]]
    ended = oracle.log_probs(torch.tensor([[0, mask, eos, mask]]), None, torch.tensor([[0, 1]])).exp()
    assert ended.tolist() == [[0, 0.75, 0.25, 0]]
    shorter = oracle.log_probs(torch.tensor([[mask]]), None, torch.tensor([[0, 0]])).exp()
    assert shorter.tolist() == [[1, 0, 0, 0]]
    assert oracle.unmatched == 0
    oracle.log_probs(torch.tensor([[mask, mask, 0]]), None, torch.tensor([[0, 0]]))
    assert oracle.unmatched == 1  # a word after the end of the longest sentence


def test_what_the_world_sees():
    oracle = load_denoiser({"family": "oracle", "language": "toy"}, device="cpu")
    assert oracle.encode_prompt("") == []
    assert oracle.encode_answer("He likes apple") == [0, 3, 2]
    assert oracle.tokenizer.decode([0, 3, 2]) == "He likes apple"
    assert (oracle.vocab_size, oracle.eos_ids, oracle.mask_id, oracle.corruption) == (8, (6,), 7, "mask")
    assert oracle.special_ids == (6, 7)
    ids = np.array([[0, 3, 6], [0, 7, 2]])
    assert oracle.language.translate(oracle, ids).tolist() == [[0, 3, 6], [0, -1, 2]]


def test_refused():
    with pytest.raises(InputError, match="language: the oracle's row names no language"):
        load_denoiser({"family": "oracle"}, device="cpu")
    with pytest.raises(InputError, match="language: 'x' is not one of 'toy', 'abab' or 'grammar'"):
        load_denoiser({"family": "oracle", "language": "x"}, device="cpu")
    with pytest.raises(InputError, match="oracle: sequences are not padded"):
        ORACLE.log_probs(torch.zeros(1, 12, dtype=torch.long), torch.arange(12)[None] > 2, torch.tensor([[0, 0]]))
