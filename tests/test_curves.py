"""The information curve: by hand on the toy, against the exact curve on the grammar, on a network in any batches."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from discreteness.core.errors import InputError
from discreteness.curves.estimate import (
    COLUMNS,
    EXACT,
    collect,
    distance_to_visible,
    mask_for_curve,
    measured_curve,
    prepare,
    score,
    strata,
)
from discreteness.curves.records import any_order_nll, by_mode, prompt_curves, resample
from discreteness.curves.salience import mask_for_salience
from discreteness.curves.views import (
    octave_halves,
    recoverable_information,
    salience_table,
    spread,
    with_information,
)
from discreteness.datasets import load_dataset
from discreteness.denoisers import load_denoiser
from discreteness.denoisers.oracle import OracleDenoiser
from discreteness.languages import get_language
from discreteness.languages.language import entropy, exact_curve
from mock_denoiser import MockDenoiser

GRAMMAR = get_language("grammar")
WORDS = [f"w{i}" for i in range(8)]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """One thread of torch: on small matrices more only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def measure(denoiser, rows, span, mode, chosen=None, batch_tokens=4096, **settings):
    references = prepare(denoiser, rows, rows if chosen is None else chosen, span, mode)
    tables = measured_curve(denoiser, references, 0, batch_tokens, **settings)
    return collect(tables, references)


def dataset(answers, prompts=None):
    n = len(answers)
    ids = [f"test-{i:05d}" for i in range(n)]
    prompts = prompts or [""] * n
    return pd.DataFrame({"prompt_id": ids, "row": range(n), "prompt": prompts, "answer": answers, "source": ""})


def flat(ids, queries):
    return torch.zeros(len(queries), len(WORDS) + 2)


# ---- by hand


def test_toy():
    records = measure(OracleDenoiser(get_language("toy")), load_dataset("toy", {"kind": "toy"}), 3, "answer")
    for curve in prompt_curves(records).values():
        assert curve == pytest.approx([math.log(2), 0, 0], abs=1e-6)
    assert any_order_nll(records).to_numpy() == pytest.approx([math.log(2)] * 2, abs=1e-6)
    assert list(records.columns) == COLUMNS
    assert len(records) == 2 * (3 + 2 + 1)
    assert (records["weight"] == 1).all() and (records["span"] == 3).all()
    # each of six words once, add-one smoothed over eight: 2 / 14
    assert records["unigram_logprob"].to_numpy() == pytest.approx(math.log(2 / 14), abs=1e-6)
    assert set(records["answer_token_id"]) == set(range(6))


def test_padding_is_explicit():
    denoiser = MockDenoiser(WORDS, flat)
    rows = dataset(["w0 w1", "w0 w1 w2 w3 w4 w5"])
    bare, padded = (measure(denoiser, rows, 4, mode) for mode in ("answer", "padded"))
    assert dict(bare.groupby("prompt_id")["span"].first()) == {"test-00000": 2, "test-00001": 4}
    assert (padded["span"] == 4).all()
    assert padded["padding"].all() and not bare["padding"].any()
    both = by_mode(pd.concat([padded, bare], ignore_index=True))
    assert {mode: len(group) for mode, group in both.items()} == {"answer": len(bare), "padded": len(padded)}
    assert list(by_mode(bare)) == ["answer"] and list(by_mode(bare.iloc[:0])) == ["padded"]
    eos = padded[padded["answer_token_id"] == denoiser.eos_ids[0]]
    assert set(eos["prompt_id"]) == {"test-00000"} and set(eos["position"]) == {2, 3}
    assert set(eos["token_class"]) == {"special"} and "special" not in set(bare["token_class"])
    assert bare["answer_token_id"].max() <= 3  # cut at the span
    assert any_order_nll(bare).to_numpy() == pytest.approx([2 * math.log(10), 4 * math.log(10)], rel=1e-6)


@pytest.mark.parametrize(
    ("visible", "distances"),
    [("....", [1, 2, 3, 4]), ("...x", [1, 2, 1, 0]), ("x...", [0, 1, 2, 3]), (".x..x", [1, 0, 1, 1, 0]), ("", [])],
)
def test_distance_by_hand(visible, distances):
    assert distance_to_visible(np.array([mark == "x" for mark in visible], dtype=bool)).tolist() == distances


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_distance_is_the_nearest(visible):
    places = [-1, *np.flatnonzero(visible)]
    nearest = [min(abs(i - place) for place in places) for i in range(len(visible))]
    assert distance_to_visible(np.array(visible)).tolist() == nearest


# ---- which states


@settings(deadline=None)
@given(st.integers(1, 2000), st.integers(3, 60))
def test_strata_cover_every_level_once(length, levels):
    edges = strata(length, levels)
    assert (edges[0], edges[-1]) == (0, length)
    assert (np.diff(edges) > 0).all()
    assert len(edges) - 1 == (length if length <= max(EXACT, levels) else levels)
    assert edges[1] == 1 and edges[-2] == length - 1  # f(0) and f(L − 1) are measured


def test_states_are_stratified_keyed_and_uniform():
    denoiser = MockDenoiser(WORDS, flat)
    rows = dataset(["w0 " * 100] * 300)
    references = prepare(denoiser, rows, rows, 100, "answer")
    states = mask_for_curve(references, 0, replicates=2, levels=8)
    edges = strata(100, 8)
    levels = np.array([state.visible.sum() for state in states]).reshape(300, 8, 2)
    stratum = np.searchsorted(edges, levels, side="right") - 1
    assert (stratum == np.arange(8)[:, None]).all()
    weights = np.array([state.weight for state in states]).reshape(300, 8, 2)
    assert (weights == np.diff(edges)[:, None]).all()
    width = np.diff(edges)
    far = np.abs(levels[..., 0] - levels[..., 1])[:, width > 3]
    assert np.abs(far - width[width > 3] / 2).max() <= 1  # the two replicates are half a stratum apart
    for place in (4, 6):
        mean = levels[:, place].mean()
        middle = (edges[place] + edges[place + 1] - 1) / 2
        assert abs(mean - middle) < 0.15 * width[place]
    shown = np.mean([state.visible for state in states], axis=0)
    assert shown == pytest.approx(shown.mean(), abs=0.04)
    few = prepare(denoiser, rows, rows.iloc[[7]], 100, "answer")
    for one, same in zip(mask_for_curve(few, 0, replicates=2, levels=8), states[7 * 16 : 8 * 16], strict=True):
        assert (one.visible == same.visible).all() and one.replicate == same.replicate


def test_sum_over_strata_is_unbiased():
    """Where the mean over masked tokens at k is k², Σ_k weight · k² estimates Σ_k k² without any interpolation."""

    def visible_squared(ids, queries):
        k = (ids != len(WORDS) + 1).sum(1)[queries[:, 0]].double()
        p = torch.exp(-(k**2) / 200)[:, None] * torch.nn.functional.one_hot(torch.tensor([0]), len(WORDS) + 2)
        p[:, 1] = 1 - p[:, 0]
        return p.clamp(min=1e-30).log()

    rows = dataset(["w0 " * 40] * 400)
    records = measure(MockDenoiser(WORDS, visible_squared), rows, 40, "answer", levels=6, batch_tokens=10**5)
    estimates = any_order_nll(records)
    expected = sum(k**2 for k in range(40)) / 200
    assert abs(estimates.mean() - expected) < 4 * estimates.sem()
    assert estimates.sem() < 0.02 * expected


# ---- against the exact curve


@pytest.fixture(scope="module")
def grammar_records():
    rows = load_dataset("grammar", {"kind": "grammar", "sentences": 250, "seed": 1})
    return measure(OracleDenoiser(GRAMMAR), rows, 12, "padded")


def test_grammar_agrees_with_the_exact_curve(grammar_records):
    f = exact_curve(GRAMMAR)
    curves = np.stack(list(prompt_curves(grammar_records).values()))
    mean, error = curves.mean(0), curves.std(0, ddof=1) / np.sqrt(len(curves))
    z = (mean - f) / error
    assert np.abs(z).max() < 3.5
    assert 0.2 < np.sqrt((z**2).mean()) < 1.8  # the stated error is the error
    sums = any_order_nll(grammar_records)
    assert abs(sums.mean() - entropy(GRAMMAR)) < 3.5 * sums.sem()
    assert mean.sum() == pytest.approx(sums.mean(), abs=1e-5)  # every k is measured


def test_grammar_without_its_padding():
    """Positions 0 … 7 are words in every sentence; with one sentence known but for its last word, little is open."""
    rows = load_dataset("grammar", {"kind": "grammar", "sentences": 20, "seed": 2})
    records = measure(OracleDenoiser(GRAMMAR), rows, 12, "answer")
    lengths = rows["answer"].str.split().str.len()
    assert records.groupby("prompt_id")["span"].first().tolist() == lengths.tolist()
    assert (records.groupby(["prompt_id", "visible"]).size().unstack().count(1).to_numpy() == lengths).all()


# ---- on a network


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = tiny.write(tmp_path_factory.mktemp("model"))
    return load_denoiser({"family": "llada", "path": str(folder), "dtype": "float32"}, device="cpu")


QUESTIONS = dataset(
    ["the cat sleeps .", "a dog runs fast , the cat runs slow .", "red , blue", "the dog sleeps ."],
    ["what does the cat do ?", "what ?", "say", "what does the dog do ?"],
)


@pytest.mark.parametrize("mode", ["answer", "padded"])
def test_batches_and_shards_change_nothing(network, mode):
    settings = {"span": 40, "mode": mode, "replicates": 2, "levels": 5}
    whole = measure(network, QUESTIONS, batch_tokens=10**6, **settings)
    single = measure(network, QUESTIONS, batch_tokens=1, **settings)
    shards = [
        measure(network, QUESTIONS, chosen=QUESTIONS.iloc[i : i + 2], batch_tokens=200, **settings) for i in (0, 2)
    ]
    for other in (single, pd.concat(shards, ignore_index=True)):
        pd.testing.assert_frame_equal(whole, other, rtol=1e-5, atol=1e-5)
    assert np.isfinite(whole["answer_logprob"]).all()


def test_padded_batches_agree_with_others(network):
    references = prepare(network, QUESTIONS, QUESTIONS, 16, "answer")
    states = mask_for_curve(references, 0)
    equal, filled = (collect(score(network, references, states, 10**6, padding), references) for padding in (0.0, 1.0))
    pd.testing.assert_frame_equal(equal, filled, rtol=1e-5, atol=1e-5)


def test_one_state_is_what_the_model_says(network):
    references = prepare(network, QUESTIONS, QUESTIONS, 16, "answer")
    states = [state for state in mask_for_curve(references, 0) if state.index == 1 and state.visible.sum() == 4]
    records = collect(score(network, references, states, 100), references)
    prompt, answer = references.prompts[1], references.answers[1]
    shown = [id_ if seen else network.mask_id for id_, seen in zip(answer, states[0].visible, strict=True)]
    for row in records.itertuples():
        query = torch.tensor([[0, len(prompt) + row.position]])
        log_p = network.log_probs(torch.tensor([[*prompt, *shown]]), None, query)
        assert row.answer_logprob == pytest.approx(float(log_p[0, answer[row.position]]), abs=1e-5)
    assert records["position"].tolist() == np.flatnonzero(~states[0].visible).tolist()


def test_no_prompts(network):
    assert list(measure(network, QUESTIONS, 8, "answer", chosen=QUESTIONS.iloc[:0]).columns) == COLUMNS


def test_refused(network):
    with pytest.raises(InputError, match="curve: mode = 'bare' is unknown"):
        prepare(network, QUESTIONS, QUESTIONS, 8, "bare")
    with pytest.raises(InputError, match="prompt test-00001: the answer has no tokens"):
        prepare(MockDenoiser(WORDS, flat), dataset(["w0", ""]), dataset(["w0", ""]), 8, "answer")
    long = dataset(["the cat " * 30], ["a dog runs"])
    with pytest.raises(InputError, match="prompt test-00000: .* exceed the model's context of 64 tokens"):
        prepare(network, long, long, 62, "answer")
    with pytest.raises(InputError, match="levels = 2 are too few"):
        strata(100, 2)
    wrong = dataset(["He play apple"])
    with pytest.raises(InputError, match="prompt test-00000: the answer's token at position . is impossible"):
        measure(OracleDenoiser(get_language("toy")), wrong, 3, "answer")
    broken = MockDenoiser(WORDS, lambda ids, queries: torch.full((len(queries), len(WORDS) + 2), torch.nan))
    with pytest.raises(InputError, match="model: non-finite logits .* prompts test-00000"):
        measure(broken, dataset(["w0"]), 3, "answer")


# ---- curves of different lengths


def test_curves_between_what_was_measured():
    records = pd.DataFrame(
        [
            ("p", False, r, k, 5, 1, i, -nll)
            for r in (0, 1)
            for k, nll in ((0, 4.0), (2, 1.0 + 2 * r), (4, 0.0))
            for i in range(k, 5)
        ],
        columns=["prompt_id", "padding", "replicate", "visible", "span", "weight", "position", "answer_logprob"],
    )
    assert prompt_curves(records)["p"] == pytest.approx([4, 3, 2, 1, 0])


def test_which_tokens_are_masked_does_not_matter_where_each_has_its_own_loss():
    """p = 1 / (2 + i) at position i whatever is visible: every state of every prompt says the mean, without noise."""

    def by_position(ids, queries):
        p = 1 / (2 + queries[:, 1].double())
        return torch.stack([p, *[(1 - p) / (len(WORDS) + 1)] * (len(WORDS) + 1)], -1).log()

    records = measure(MockDenoiser(WORDS, by_position), dataset(["w0 " * 40] * 60), 40, "answer", levels=6)
    expected = np.log(2 + np.arange(40)).mean()
    for curve in prompt_curves(records).values():
        assert curve == pytest.approx(np.full(40, expected), abs=1e-5)
    assert any_order_nll(records).to_numpy() == pytest.approx(np.full(60, 40 * expected), abs=1e-3)
    alone = records[records["prompt_id"] == "test-00000"]  # no others to learn from: the plain mean
    state = alone[alone["visible"] == 39]
    assert prompt_curves(alone)["test-00000"][39] == pytest.approx(np.log(2 + state["position"].iloc[0]), abs=1e-5)


def test_resampling():
    assert resample(np.array([4.0, 2.0, 0.0]), 5) == pytest.approx([4, 3, 2, 1, 0])
    assert resample(np.array([1.0, 0.3, 0.2]), 3).tolist() == [1.0, 0.3, 0.2]
    assert resample(np.array([7.0]), 3) == pytest.approx([7, 7, 7])


# ---- views


def made_up_records():
    """Two prompts of four tokens; R is 1 for function words, 3 for content words, whatever is visible."""
    rows = []
    for prompt in ("p0", "p1"):
        for k in range(4):
            for position in range(k, 4):
                name = "content" if position % 2 else "function"
                rows.append((prompt, False, 0, k, 4, 1, position, position - k + 1, position, name, -3.0))
    columns = [*COLUMNS[:10], "answer_logprob"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["unigram_logprob"] = np.where(frame["token_class"] == "content", -6.0, -4.0)
    return frame


def test_recoverable_information_by_hand():
    table = recoverable_information(made_up_records(), 0)
    table = table[table["variant"] == "all"]
    groups = {view: group.set_index("group")["value"].to_dict() for view, group in table.groupby("view")}
    assert groups["token_class"] == {"content": 3, "function": 1}
    assert groups["position"] == {0: 1, 1: 3, 2: 1, 3: 3}
    # at distance 1 every position once; at distance 2 positions 1, 2, 3; then 2, 3; then 3
    assert groups["distance_to_visible"] == pytest.approx({1: 2, 2: 7 / 3, 3: 2, 4: 3})
    # 4, 3, 2, 1 of 4 masked fall into the bins up to 1, 0.8, 0.5, 0.3
    assert groups["mask_ratio"] == pytest.approx({0.95: 2, 0.75: 7 / 3, 0.45: 2, 0.25: 3})
    assert table["low"].to_numpy() == pytest.approx(table["value"].to_numpy())  # both prompts say the same
    assert (table["prompts"] == 2).all()


def test_weights_count_levels_alike():
    records = made_up_records()
    records.loc[records["visible"] == 3, "weight"] = 5
    table = recoverable_information(records, 0).set_index(["view", "variant", "group"])["value"]
    # distance 1: positions 0 (R 1), 1 (3), 2 (1) once and 3 (3) five times
    assert table["distance_to_visible", "all", 1] == pytest.approx((1 + 3 + 1 + 5 * 3) / 8)


def test_spread_by_hand():
    """At every noise level with both classes R is 1 or 3: percentiles two apart, standard deviation of a coin."""
    table = spread(made_up_records(), 0).set_index(["statistic", "mask_ratio"])
    assert table.at[("p90_p10", 0.95), "value"] == 2
    assert table.at[("sd", 0.95), "value"] == pytest.approx(1)
    assert table.at[("sd", 0.75), "value"] == pytest.approx(math.sqrt(8 / 9))  # 3, 1, 3
    assert table.at[("sd", 0.25), "value"] == 0
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()
    assert [table.at[(name, 0.95), "value"] for name in ("p10", "p50", "p90")] == [1, 1, 3]  # the smaller middle one


@pytest.mark.parametrize(
    ("number", "first"),
    [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 4), (6, 6), (7, 6), (8, 8), (11, 8), (12, 12), (96, 96), (127, 96)],
)
def test_bins_are_half_octaves(number, first):
    assert octave_halves(np.array([number])).tolist() == [first]


def test_far_positions_are_taken_together():
    """Position i has R = i, in one state: 4 and 5 together 4.5, of 6 and 7 there is only 6."""
    records = pd.DataFrame({"position": range(7), "answer_logprob": np.arange(7.0), "unigram_logprob": 0.0})
    records = records.assign(prompt_id="p", padding=True, visible=0, span=7, weight=1, distance_to_visible=1)
    table = recoverable_information(records.assign(token_class="content"), 0)
    table = table[(table["view"] == "position") & (table["variant"] == "all")]
    assert table.set_index("group")["value"].to_dict() == {0: 0, 1: 1, 2: 2, 3: 3, 4.5: 4.5, 6: 6}
    assert table["padding"].all()


def test_grammar_views(grammar_records):
    records = with_information(grammar_records)
    assert records["mask_ratio"].between(0, 1).all()
    table = recoverable_information(grammar_records, 0)
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).all()
    ratio = table[(table["view"] == "mask_ratio") & (table["variant"] == "text")].sort_values("group")
    assert ratio["value"].iloc[0] > ratio["value"].iloc[-1] + 0.5  # more is recoverable when less is masked
    assert "special" not in set(table.loc[table["variant"] == "text", "group"])


# ---- salience


def test_salience_masks_one_class_at_the_same_ratio(network):
    references = prepare(network, QUESTIONS, QUESTIONS, 16, "answer")
    states = mask_for_salience(network, references, 0, ratio=0.4, replicates=2)
    records = collect(score(network, references, states, 1000), references)
    assert set(records["token_class"]) == {"content", "function"}
    counts = records.groupby(["prompt_id", "replicate", "visible", "token_class"]).size().unstack()
    assert (counts["content"] == counts["function"]).all()
    # "the cat sleeps ." has one function word; the long one two of nine tokens; "red , blue" none
    assert counts["content"].groupby("prompt_id").first().to_dict() == {
        "test-00000": 1,
        "test-00001": 2,
        "test-00003": 1,
    }


def test_salience_by_hand():
    """Content words cost 3 nats, function words 1, two of each in one answer and one in another."""
    rows = [
        (prompt, replicate, name, -cost * scale)
        for prompt, count, scale in (("p0", 2, 1), ("p1", 1, 2))
        for replicate in (0, 1)
        for name, cost in (("content", 3.0), ("function", 1.0))
        for _ in range(count)
    ]
    records = pd.DataFrame(rows, columns=["prompt_id", "replicate", "token_class", "answer_logprob"])
    records["unigram_logprob"] = -8.0
    table = salience_table(records, 0).set_index(["statistic", "token_class"])
    assert table.loc["mean_nll", "value"].to_dict() == {"content": 4.5, "function": 1.5, "difference": 3}
    assert table.loc["total_nll", "value"].to_dict() == {"content": 6, "function": 2, "difference": 4}
    assert table.loc["recoverable", "value"].to_dict() == {"content": 3.5, "function": 6.5, "difference": -3}
    assert (table["tokens"] == 1.5).all() and (table["prompts"] == 2).all()
    assert table.at[("mean_nll", "difference"), "low"] == 2 and table.at[("mean_nll", "difference"), "high"] == 4


def test_salience_refused(network):
    references = prepare(network, QUESTIONS, QUESTIONS.iloc[[2]], 16, "answer")
    with pytest.raises(InputError, match="no answer has a content word and a function word"):
        mask_for_salience(network, references, 0)
    with pytest.raises(InputError, match="salience: ratio = 0"):
        mask_for_salience(network, references, 0, ratio=0)
