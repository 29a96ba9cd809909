"""The marginal trap on real text: answers by hand first, then properties of any answer."""

import itertools
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from discreteness.coherence import answers as answers_
from discreteness.coherence import judge as judge_
from discreteness.coherence import rescoring as rescoring_
from discreteness.coherence import summaries as summaries_
from discreteness.coherence import text as text_
from discreteness.coherence.rescoring import DISOWNED_COLUMNS, REGRET_COLUMNS
from discreteness.core.errors import InputError
from discreteness.denoisers import load_denoiser
from mock_denoiser import MockDenoiser

CHECKPOINT = Path(__file__).parent / "data" / "llada-8b-style" / "checkpoint"

# The toy's two sentences, in a text of which the share NOISE chooses subject, verb and object independently.
HE, LIKES, APPLE, WE, PLAY, TENNIS, EOS, MASK = range(8)
TOY = ["He", "likes", "apple", "We", "play", "tennis"]
NOISE = 0.02
VALID, INVALID = (1 - NOISE) / 2 + NOISE / 8, NOISE / 8
STRINGS = list(itertools.product((HE, WE), (LIKES, PLAY), (APPLE, TENNIS)))
JOINT = {string: VALID if string in ((HE, LIKES, APPLE), (WE, PLAY, TENNIS)) else INVALID for string in STRINGS}
HALF = math.log(1 / 2)


def oracle(joint: dict[tuple[int, ...], float]) -> MockDenoiser:
    """Exact conditionals of an enumerated joint after a prompt of one token; 1e-12 for impossible tokens."""

    def predict(ids, queries):
        weights = torch.full((len(queries), len(TOY) + 2), 1e-12, dtype=torch.float64)
        for out, (row, position) in zip(weights, queries.tolist(), strict=True):
            shown = ids[row, 1:].tolist()
            for string, probability in joint.items():
                if all(seen in (MASK, token) for seen, token in zip(shown, string, strict=True)):
                    out[string[position - 1]] += probability
        return weights.log()

    return MockDenoiser(TOY, predict)


def decodings(*answers: tuple) -> pd.DataFrame:
    """Rows of prompt_id, sample, token_ids, revealed_at, logprob_at_reveal."""
    return pd.DataFrame(answers, columns=["prompt_id", "sample", "token_ids", "revealed_at", "logprob_at_reveal"])


def one_step(string, prompt_id="p", logprobs=None):
    """A toy answer revealed all at once, each token of probability 1/2."""
    return decodings((prompt_id, 0, list(string), [0] * len(string), logprobs or [HALF] * len(string)))


def toy_regret(table, **options):
    return rescoring_.regret(oracle(JOINT), table, {"p": [HE]}, 100, **options)


def test_regret_of_the_toy_in_one_step():
    """`We likes tennis`: the verb is disowned; subject and object, given a wrong verb, are both a coin's toss."""
    result = toy_regret(one_step((WE, LIKES, TENNIS)))
    assert list(result.columns) == REGRET_COLUMNS
    given_others = INVALID / (VALID + INVALID)
    assert np.allclose(np.exp(result["logprob_given_step"]), [0.5, given_others, 0.5], rtol=1e-5)
    assert np.allclose(result["regret"], [0, HALF - math.log(given_others), 0], atol=1e-5)
    assert (result["step_size"] == 3).all() and (result["weight"] == 1).all()


@pytest.mark.parametrize(("string", "odd"), [((HE, LIKES, TENNIS), 2), ((WE, LIKES, APPLE), 0), ((HE, PLAY, APPLE), 1)])
def test_the_improbable_token_has_the_largest_regret(string, odd):
    assert toy_regret(one_step(string))["regret"].idxmax() == odd


def test_a_valid_sentence_has_negative_regret():
    result = toy_regret(one_step((HE, LIKES, APPLE)))
    assert np.allclose(result["regret"], HALF - math.log(VALID / (VALID + INVALID)), atol=1e-5)
    assert (result["regret"] < -0.68).all()  # nearly −ln 2: a bit of information per token, given the others


def test_steps_hide_what_comes_later():
    """Object first, then the rest at once: V is the object, and the first step is scored without verb and subject."""
    table = decodings(("p", 0, [HE, LIKES, TENNIS], [1, 1, 0], [math.log(NOISE / 2)] * 2 + [HALF]))
    result = toy_regret(table)
    assert result["regret"][2] == 0 and result["logprob_given_step"][2] == HALF
    other = INVALID / (2 * INVALID)  # p(He | likes, tennis): both subjects are wrong with one of the others
    assert np.allclose(result["logprob_given_step"][:2], math.log(other), atol=1e-5)
    assert np.allclose(result["regret"][:2], math.log(NOISE / 2) - math.log(other), atol=1e-5)
    again = toy_regret(table.drop(columns="logprob_at_reveal"), recompute=True)
    assert np.allclose(again["logprob_at_reveal"], table["logprob_at_reveal"][0], atol=1e-5)
    assert np.allclose(again["regret"], result["regret"], atol=2e-5) and again["regret"][2] == 0


def test_expected_regret_over_what_one_step_samples():
    """Weighted by 1/8 each, the eight strings' mean regret, summed up independently from the table of strings."""
    tables = [one_step(string, f"p{i}") for i, string in enumerate(STRINGS)]
    prompts = {f"p{i}": [HE] for i in range(8)}
    result = rescoring_.regret(oracle(JOINT), pd.concat(tables), prompts, 7)
    expected = 0.0
    for string, probability in JOINT.items():
        for i in range(3):
            rivals = sum(p for s, p in JOINT.items() if all(s[j] == string[j] for j in range(3) if j != i))
            expected += (HALF - math.log(probability / rivals)) / 24
    summary = summaries_.mean_regret(result, seed=0)
    assert summary["value"] == pytest.approx(expected, abs=1e-5) and summary["prompts"] == 8
    assert summary["low"] < expected < summary["high"]


def never(ids, queries):
    raise AssertionError("nothing is left to ask the model")


def test_tokens_revealed_alone_cost_nothing_and_have_no_regret():
    table = decodings(
        ("p", 0, [HE], [0], [-3.0]),
        ("p", 1, [HE, LIKES], [1, 0], [-1.0, math.nan]),
        ("p", 2, [EOS] * 2, [0, 0], [0, 0]),
    )
    result = rescoring_.regret(MockDenoiser(TOY, never), table, {"p": []}, 100)
    assert result["regret"].tolist() == [0, 0, 0]
    assert result["logprob_given_step"].tolist()[:2] == [-3, -1]
    assert result[["sample", "position", "step"]].to_numpy().tolist() == [[0, 0, 0], [1, 0, 1], [1, 1, 0]]


def test_unknown_logprobs_stay_unknown():
    result = toy_regret(one_step((WE, LIKES, TENNIS), logprobs=[HALF, math.nan, HALF]))
    assert result["regret"].isna().tolist() == [False, True, False]
    assert summaries_.mean_regret(result, 0)["value"] == pytest.approx(0, abs=1e-5)


def test_eos_is_shown_but_scored_only_on_request():
    shown = []

    def record(ids, queries):
        shown.append((ids.tolist(), queries.tolist()))
        return torch.zeros(len(queries), 8)

    denoiser = MockDenoiser(TOY, record)
    table = decodings(("p", 0, [HE, EOS, WE, LIKES], [1, 1, 1, 2], [-1.0] * 4))
    result = rescoring_.regret(denoiser, table, {"p": [PLAY]}, 100)
    assert shown == [([[PLAY, MASK, EOS, WE, MASK]], [[0, 1]])]
    assert result["position"].tolist() == [0] and result["step_size"].tolist() == [3]
    assert result["regret"][0] == pytest.approx(-1 + math.log(8))
    result = rescoring_.regret(denoiser, table, {"p": [PLAY]}, 100, whole_span=True)
    assert result["position"].tolist() == [0, 1, 2, 3] and result["regret"][3] == 0
    shown.clear()
    result = rescoring_.disowned(denoiser, table, {"p": [PLAY]}, 100)
    assert shown == [([[PLAY, MASK, EOS, WE, LIKES]], [[0, 1]])]
    assert list(result.columns) == DISOWNED_COLUMNS and len(result) == 1


def test_disowned_tokens_of_the_toy():
    """One token in three of `We likes tennis` has a leave-one-out probability below 0.01; none of a valid sentence."""
    prompts = {"bad": [HE], "good": [HE]}
    table = pd.concat([one_step((WE, LIKES, TENNIS), "bad"), one_step((HE, LIKES, APPLE), "good")])
    result = rescoring_.disowned(oracle(JOINT), table, prompts, 5)
    low = INVALID / (VALID + INVALID)
    assert low < 0.01
    assert np.allclose(np.exp(result["leave_one_out_logprob"]), [0.5, low, 0.5, *[1 - low] * 3], rtol=1e-5)
    share = summaries_.disowned_share(result, seed=0)
    assert share["value"] == pytest.approx(1 / 6) and (share["low"], share["high"]) == (0, pytest.approx(1 / 3))
    assert summaries_.disowned_share(result, 0, below=0.6)["value"] == pytest.approx(1 / 2)


def test_without_answers_there_are_no_rows_and_no_numbers():
    table = decodings(("p", 0, [EOS, HE], [0, 0], [0, 0]))
    regret = rescoring_.regret(MockDenoiser(TOY, never), table, {"p": [HE]}, 100)
    disowned = rescoring_.disowned(MockDenoiser(TOY, never), table, {"p": [HE]}, 100)
    assert len(regret) == len(disowned) == 0
    assert math.isnan(summaries_.mean_regret(regret, 0)["value"])
    assert math.isnan(summaries_.disowned_share(disowned, 0)["value"])
    assert len(summaries_.worst_combinations(regret, table, TOY, 3)) == 0
    assert len(rescoring_.regret(MockDenoiser(TOY, never), table[:0], {}, 100)) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompts": {"q": [HE]}}, r"prompt p, sample 0: the prompt is not among the 1 prompts"),
        ({"revealed_at": [[0, 0]]}, r"sample 0: revealed_at has 2 values for 3 tokens"),
        ({"revealed_at": [[0, -1, 0]]}, r"revealed_at = -1 \(expected a step"),
        ({"logprob_at_reveal": [[0.0]]}, r"logprob_at_reveal has 1 values for 3 tokens"),
        ({"token_ids": [[HE, MASK, HE]]}, r"still holds the mask token 7"),
        ({"prompts": {"p": [HE] * 4094}}, r"4094 tokens and a span of 3 exceed the model's context of 4096"),
        ({"max_queries": 0}, r"max_queries = 0"),
        ({"corruption": "causal"}, r"its corruption is 'causal'"),
        ({"drop": "revealed_at"}, r"column 'revealed_at' is missing"),
    ],
)
def test_input_errors_come_before_any_forward_pass(change, message):
    denoiser, table = MockDenoiser(TOY, never), one_step((HE, LIKES, APPLE))
    denoiser.corruption = change.pop("corruption", "mask")
    prompts, queries = change.pop("prompts", {"p": [HE]}), change.pop("max_queries", None)
    table = table.drop(columns=change.pop("drop", [])).assign(**change)
    with pytest.raises(InputError, match=message) as error:
        rescoring_.regret(denoiser, table, prompts, 100, max_queries=queries)
    assert "\n" not in str(error.value)


def test_an_answer_comes_once():
    table = pd.concat([one_step((HE, LIKES, APPLE))] * 2)
    with pytest.raises(InputError, match="prompt p, sample 0 comes more than once"):
        rescoring_.disowned(MockDenoiser(TOY, never), table, {"p": [HE]}, 100)


def test_non_finite_logits_name_the_prompts():
    denoiser = MockDenoiser(TOY, lambda ids, queries: torch.full((len(queries), 8), math.nan))
    with pytest.raises(InputError, match=r"non-finite logits at row 0, position 1, rows being answers to prompts p$"):
        rescoring_.disowned(denoiser, one_step((HE, LIKES)), {"p": [HE]}, 100)


# Four words, EOS 4, the mask 5; predictions depend on every token, on its position and on the query.
def scrambled(ids, queries):
    places = torch.arange(1, ids.shape[1] + 1)
    code = ((ids + 1) * places**2 * (ids != 4)).sum(1)  # padding changes nothing
    rows, positions = queries.unbind(-1)
    return 3 * torch.sin((code[rows] * 31 + positions * 7)[:, None] * torch.arange(1, 7).double())


def scrambled_denoiser():
    return MockDenoiser(["a", "b", "c", "d"], scrambled)


def random_decodings(seed: int, answers: int = 4, span: int = 6) -> tuple[pd.DataFrame, dict]:
    draw = np.random.default_rng(seed)
    rows = []
    for i in range(answers):
        n = int(draw.integers(1, span + 1))
        ids, steps = draw.integers(0, 5, n).tolist(), draw.integers(0, 3, n).tolist()
        rows.append((f"p{i // 2}", i % 2, ids, steps, draw.normal(-2, 1, n).tolist()))
    prompts = {f"p{i}": draw.integers(0, 4, draw.integers(1, 5)).tolist() for i in range(answers)}
    return decodings(*rows), prompts


def sort(table):
    return table.sort_values(["prompt_id", "sample", "position"]).reset_index(drop=True)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 1000),
    batch_tokens=st.integers(1, 60),
    order=st.permutations(range(4)),
    max_queries=st.none() | st.integers(1, 4),
    flags=st.tuples(st.booleans(), st.booleans()),
)
def test_neither_batches_nor_the_order_of_answers_change_anything(seed, batch_tokens, order, max_queries, flags):
    table, prompts = random_decodings(seed)
    options = {"max_queries": max_queries, "seed": seed}
    more = {"recompute": flags[0], "whole_span": flags[1]}
    shuffled = table.iloc[list(order)]
    for measure, extra in ((rescoring_.regret, more), (rescoring_.disowned, {})):
        one = measure(scrambled_denoiser(), table, prompts, 10**6, **options, **extra)
        other = measure(scrambled_denoiser(), shuffled, prompts, batch_tokens, **options, **extra)
        pd.testing.assert_frame_equal(sort(one), sort(other), check_dtype=False, rtol=1e-6)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000))
def test_every_state_shows_exactly_what_the_definition_says(seed):
    """Against a plain loop: one answer, one token, one call at a time."""
    table, prompts = random_decodings(seed)
    denoiser = scrambled_denoiser()
    result = rescoring_.regret(denoiser, table, prompts, 50, whole_span=True, recompute=True)
    expected = []
    for row in table.itertuples():
        ids, steps, start = np.array(row.token_ids), np.array(row.revealed_at), len(prompts[row.prompt_id])
        for i in range(len(ids)):

            def ask(hidden, i=i, ids=ids, start=start, prompt=prompts[row.prompt_id]):
                state = torch.tensor([[*prompt, *np.where(hidden, 5, ids)]])
                return float(denoiser.log_probs(state, None, torch.tensor([[0, start + i]]))[0, ids[i]])

            itself = np.arange(len(ids)) == i
            expected.append(ask(steps >= steps[i]) - ask((steps > steps[i]) | itself))
    assert np.allclose(result["regret"], expected, atol=1e-5)


def test_a_subsample_is_part_of_the_whole_and_weighted():
    table, prompts = random_decodings(3, answers=8, span=12)
    everything = rescoring_.regret(scrambled_denoiser(), table, prompts, 100)
    keys = ["prompt_id", "sample", "position"]
    previous = None
    for limit in (2, 4, 100):
        denoiser = scrambled_denoiser()
        sample = rescoring_.regret(denoiser, table, prompts, 1, max_queries=limit, seed=1)
        shared = sample[sample["step_size"] > 1]
        assert denoiser.calls == len(shared) and shared.groupby(keys[:2]).size().max() <= limit
        both = sample.merge(everything, on=keys, suffixes=("", "_all"))
        assert len(both) == len(sample) and np.allclose(both["regret"], both["regret_all"])
        weights = sample.groupby(keys[:2])["weight"].sum()
        assert np.allclose(weights, everything.groupby(keys[:2])["weight"].sum())
        assert previous is None or set(previous) <= set(map(tuple, sample[keys].to_numpy()))
        previous = list(map(tuple, sample[keys].to_numpy()))
    pd.testing.assert_frame_equal(sample, everything)


def test_subsampled_means_are_unbiased():
    """Over all subsamples of 2 of 6 tokens, drawn with 600 seeds, the weighted mean is the mean of all."""
    table, prompts = random_decodings(3, answers=1, span=12)
    table = decodings(("p0", 0, [0, 1, 2, 3, 0, 1, 2], [0, 0, 1, 1, 1, 1, 2], [-1.0, -4, -2, -2, -9, -1, -1]))
    full = rescoring_.regret(scrambled_denoiser(), table, prompts, 100)
    means, drawn = [], Counter()
    for seed in range(600):
        sample = rescoring_.regret(scrambled_denoiser(), table, prompts, 100, max_queries=2, seed=seed)
        means.append((sample["weight"] * sample["regret"]).sum() / 7)
        drawn.update(sample["position"])
    error = np.std(means) / math.sqrt(len(means))
    assert error > 0 and abs(np.mean(means) - full["regret"].mean()) < 4 * error
    assert drawn[6] == 600 and all(140 < drawn[i] < 260 for i in range(6))  # 1 in 3, ± 5 standard errors


def test_a_network_scores_alike_whatever_the_padding():
    denoiser = load_denoiser({"family": "llada", "path": CHECKPOINT}, device="cpu")
    draw = np.random.default_rng(0)
    prompts = {f"p{i}": draw.integers(0, 400, length).tolist() for i, length in enumerate((3, 4, 17))}
    rows = [(id_, 0, draw.integers(0, 400, 5).tolist(), [0, 0, 1, 1, 2], [-1.0] * 5) for id_ in prompts]
    options = {"whole_span": True, "recompute": True}
    together = rescoring_.regret(denoiser, decodings(*rows), prompts, 10**4, **options)
    alone = rescoring_.regret(denoiser, decodings(*rows), prompts, 1, **options)
    for column in ("logprob_at_reveal", "logprob_given_step"):
        assert np.allclose(together[column], alone[column], atol=1e-5)
    assert together["regret"].abs().max() > 1e-3


def test_where_an_answer_ends():
    assert answers_.answer_length([1, 2, 9, 3], [9, 8]) == 2
    assert answers_.answer_length([1, 8, 9], (9, 8)) == 1
    assert answers_.answer_length([1, 2], [9]) == 2
    assert answers_.answer_length(np.array([9]), [9]) == answers_.answer_length([], [9]) == 0


def test_text_statistics_by_hand():
    text = "the brain brain moves the cells the brain".split()
    assert text_.adjacent_duplicates(text) == 1 / 7
    assert text_.distinct_n([text], 1) == 4 / 8
    assert text_.seq_rep_n(text, 2) == 1 - 6 / 7  # only `the brain` comes twice
    assert text_.seq_rep_n(text, 4) == 0
    counts = [3, 3, 1, 1]
    assert text_.unigram_entropy(text) == pytest.approx(-sum(c / 8 * math.log(c / 8) for c in counts))
    seen = text_.bigrams([["the", "brain"], ["the", "cells", "the"]])
    assert seen == {("the", "brain"), ("the", "cells"), ("cells", "the")}
    assert text_.unseen_bigrams(text, seen) == 3 / 7  # brain brain, brain moves, moves the
    assert text_.unseen_bigrams(text, Counter(zip(text, text[1:], strict=False))) == 0
    assert list(text_.text_statistics(text)) == ["adjacent_duplicates", "seq_rep_4", "distinct_2"]
    assert text_.text_statistics(np.array([1, 1, 2]), seen=seen)["unseen_bigrams"] == 1


def test_nothing_to_count_is_not_zero():
    for text in ([], ["one"]):
        values = text_.text_statistics(text, seen=set())
        assert all(math.isnan(values[name]) for name in ("adjacent_duplicates", "seq_rep_4", "unseen_bigrams"))
    assert math.isnan(text_.unigram_entropy([])) and text_.unigram_entropy(["one"]) == 0
    assert text_.distinct_n([["one"], []], 1) == 1
    with pytest.raises(ValueError, match="length 0"):
        text_.seq_rep_n(["one"], 0)


def test_words():
    assert text_.words("The cat's toy, isn’t IT?\n") == ["the", "cat's", "toy", ",", "isn’t", "it", "?"]
    assert text_.words(" \n") == []


@given(st.lists(st.integers(0, 4), min_size=5, max_size=40), st.randoms())
def test_statistics_stay_in_their_bounds(sequence, random):
    values = text_.text_statistics(sequence, seen={(0, 1), (2, 2)})
    assert 0 <= text_.unigram_entropy(sequence) <= math.log(min(5, len(sequence))) + 1e-12
    assert all(0 <= value <= 1 for value in values.values())
    renamed = text_.text_statistics([f"w{token}" for token in sequence])
    assert all(renamed[name] == value for name, value in values.items() if name != "unseen_bigrams")
    assert text_.unseen_bigrams(sequence, text_.bigrams([sequence])) == 0
    shuffled = random.sample(sequence, len(sequence))
    assert text_.unigram_entropy(shuffled) == pytest.approx(text_.unigram_entropy(sequence))
    twice = text_.seq_rep_n(sequence + sequence, 1)
    assert twice == pytest.approx(1 - (1 - text_.seq_rep_n(sequence, 1)) / 2)


TRANSITIONS = {0: [0.5, 0.25, 0.25], 1: [0.1, 0.8, 0.1], 2: [0.25, 0.5, 0.25]}  # p(next | token), of words a b c


def judge(context_length=50):
    def predict(ids, queries):
        rows, positions = queries.unbind(-1)
        assert (positions > 0).all()
        return torch.tensor([[*TRANSITIONS[int(i)], 1e-9, 1e-9] for i in ids[rows, positions - 1]]).log()

    model = MockDenoiser(["a", "b", "c"], predict)
    model.corruption, model.mask_id, model.context_length = "causal", None, context_length
    return model


def test_generative_perplexity_by_hand():
    result = judge_.generative_perplexity(judge(), ["p", "q", "r"], ["a", "c b", ""], ["b c", "b b b b", "a a"], 100)
    assert result["judge_tokens"].tolist() == [2, 4, 1]  # nothing stands before the last answer's first token
    expected = [(0.25 * 0.1) ** (-1 / 2), 1 / 0.8, 2]
    assert np.allclose(result["perplexity"], expected, rtol=1e-5)
    assert np.allclose(result["judge_nll"], result["judge_tokens"] * np.log(expected), rtol=1e-5)
    assert np.allclose(result["judge_entropy"], [math.log(2), 0, 0])
    one = judge_.generative_perplexity(judge(), ["p", "q", "r"], ["a", "c b", ""], ["b c", "b b b b", "a a"], 1)
    pd.testing.assert_frame_equal(result, one)
    total = result["judge_nll"][:2].sum()
    pooled = summaries_.perplexity(result[:2], ["p", "q"], seed=0)
    assert pooled["value"] == pytest.approx(math.exp(total / 6)) and pooled["prompts"] == 2
    assert pooled["entropy"] == pytest.approx(math.log(2) / 2)


def test_empty_answers_have_no_perplexity_and_are_counted():
    result = judge_.generative_perplexity(judge(), ["p", "q", "r"], ["a"] * 3, ["", " \n", "b"], 100)
    assert result["judge_tokens"].tolist() == [0, 0, 1] and result["perplexity"].isna().tolist() == [True, True, False]
    pooled = summaries_.perplexity(result, ["p", "q", "r"], seed=0)
    assert pooled["empty"] == 2 and pooled["value"] == pytest.approx(4, rel=1e-5)
    nothing = summaries_.perplexity(result[:2], ["p", "q"], seed=0)
    assert nothing["empty"] == 2 and math.isnan(nothing["value"]) and math.isnan(nothing["entropy"])


def test_who_may_judge():
    with pytest.raises(InputError, match="its corruption is 'mask'"):
        judge_.generative_perplexity(MockDenoiser(TOY, never), ["p"], ["He"], ["likes"], 100)
    with pytest.raises(InputError, match="prompt q and its answer have 4 of the judge's tokens, .* context of 3"):
        judge_.generative_perplexity(judge(3), ["p", "q"], ["a", "a b"], ["b", "b c"], 100)


@pytest.mark.parametrize(("long_prompts", "tokens"), [("skip", [1, 0, 0]), ("truncate", [1, 2, 2])])
def test_prompts_too_long_for_the_judge_are_named(long_prompts, tokens, caplog):
    """Both answers to q leave no room for all of its prompt."""
    texts = {"prompts": ["a", "a b", "a b"], "texts": ["b", "b c", "c c"]}
    result = judge_.generative_perplexity(
        judge(3), ["p", "q", "q"], **texts, batch_tokens=100, long_prompts=long_prompts
    )
    assert result["judge_tokens"].tolist() == tokens
    assert "1 of 2 prompts do not fit the model's context of 3 tokens" in caplog.text
    assert caplog.text.rstrip().endswith(": q")


def regret_table(*rows):
    columns = ["prompt_id", "sample", "position", "step", "step_size", "weight", "regret"]
    return pd.DataFrame(rows, columns=columns)


def test_the_mean_regret_of_some_prompts_weights_their_tokens():
    table = regret_table(
        *[("p", 0, 0, 0, 2, 2.0, 1.0), ("p", 0, 1, 1, 2, 1.0, 3.0)],
        *[("q", 0, 0, 0, 2, 1.0, 4.0), ("q", 0, 1, 2, 1, 1.0, 0.0)],
    )
    mean = summaries_.mean_regret(table, 0)
    assert mean["value"] == pytest.approx(9 / 5) and mean["prompts"] == 2
    assert (mean["low"], mean["high"]) == (pytest.approx(5 / 3), pytest.approx(2))  # of p alone, of q alone


def test_worst_combinations():
    texts = ["The", " cats", " sits", "\n", " mats", "<eos>"]
    answers = decodings(
        ("p", 0, [0, 1, 2, 3, 4], [0, 1, 1, 2, 3], [-1.0] * 5),
        ("p", 1, [0, 1, 2, 3, 4], [0, 0, 0, 0, 0], [-1.0] * 5),
        ("q", 0, [1, 3, 2], [0, 1, 1], [-1.0] * 3),
        ("r", 0, [0], [0], [-1.0]),
    )
    table = regret_table(
        *[("p", 0, 1, 1, 2, 1.0, 2.0), ("p", 0, 2, 1, 2, 1.0, 7.0), ("p", 1, 4, 0, 5, 1.0, 6.0)],
        *[("q", 0, 2, 1, 2, 1.0, 3.0), ("q", 0, 1, 1, 2, 1.0, math.nan), ("r", 0, 0, 0, 1, 1.0, 0.0)],
    )
    result = summaries_.worst_combinations(table, answers, texts, k=3)
    assert result["prompt_id"].tolist() == ["p", "q"] and result["regret"].tolist() == [7, 3]
    assert result["text"].tolist() == ["The [cats] [[sits]] _ _", "cats[\\n] [[sits]]"]
    assert result["token"].tolist() == [" sits", " sits"]
    assert summaries_.worst_combinations(table.sample(frac=1, random_state=1), answers, texts, 3).equals(result)
    assert summaries_.worst_combinations(table, answers, texts, k=1, context=1)["text"].tolist() == [
        "[cats] [[sits]] _"
    ]


def test_a_judge_that_knows_no_word(tmp_path):
    """What is all unknown to the judge has no perplexity: that of one token again and again would be low."""
    tiny.write_transformers(tmp_path / "gpt2", "gpt2")
    judge = load_denoiser({"family": "autoregressive", "path": tmp_path / "gpt2"}, "cpu")
    result = judge_.generative_perplexity(judge, ["p", "q"], ["the cat"] * 2, ["zwei drei vier", "the cat runs"], 512)
    assert np.isinf(result["perplexity"][0]) and np.isfinite(result["perplexity"][1])
