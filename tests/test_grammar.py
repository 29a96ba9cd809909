"""A language that can be listed: its sentences, what may be wrong with a string, its exact information."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discreteness.curves.step_sizes import expected_kl
from discreteness.datasets import load_dataset
from discreteness.denoisers import load_denoiser
from discreteness.languages import get_language, grammar
from discreteness.languages.language import entropy, exact_curve, subset_entropies, total_correlation
from discreteness.training.loop import train
from discreteness.trap.exact import learning_error
from discreteness.workflow.configuration import ROOT
from discreteness.workflow.yaml_files import read_yaml

LANGUAGE = get_language("grammar")
KINDS = ["agreement", "distant_agreement", "article", "selection", "coreference", "idiom", "other"]


def violated(*texts):
    kinds = grammar.violations(LANGUAGE, LANGUAGE.encode(texts))
    return [{kind for kind in KINDS if kinds[kind][i]} for i in range(len(texts))]


# ---- the sentences


def test_size():
    token_ids, probabilities = LANGUAGE.token_ids, LANGUAGE.probabilities
    assert 1e3 < len(token_ids) < 1e5
    assert len(np.unique(token_ids, axis=0)) == len(token_ids)
    assert probabilities.min() > 0
    assert probabilities.sum() == pytest.approx(1, abs=1e-12)
    lengths = (token_ids != LANGUAGE.eos_id).sum(1)
    assert (lengths.min(), lengths.max()) == (8, LANGUAGE.length)


def test_padding_only_at_the_end():
    ended = LANGUAGE.token_ids == LANGUAGE.eos_id
    assert (ended[:, :-1] <= ended[:, 1:]).all()


def test_every_alternative_is_used_and_every_symbol_reached():
    used = {word for text in grammar.sentences() for word in text.split()}
    reached = {part for alternatives in grammar.PRODUCTIONS.values() for text in alternatives for part in text.split()}
    assert set(grammar.PRODUCTIONS) - {"SENTENCE"} <= reached
    assert reached - set(grammar.PRODUCTIONS) - {"a(n)", "SAME"} <= used
    assert used == set(LANGUAGE.words)


@pytest.mark.parametrize(
    ("text", "probability"),
    [
        # SENTENCE 5/28, ONE 3/12, PLACE 3/8, DOES 1/3, FOOD 1/2, DESCRIBED 2/8
        ("the girl near the lake eats an apple", 5 / 28 * 3 / 12 * 3 / 8 / 3 / 2 * 2 / 8),
        # SENTENCE 8/28, NAME 1/6, DOES 1/3, TEXT 1/2, DESCRIBED 1/8, CONJUNCTION 1/2, RESTS 1/2, PLACE 1/8
        ("Oscar reads an old letter when Oscar sits near the bridge", 8 / 28 / 6 / 3 / 2 / 8 / 2 / 2 / 8),
    ],
)
def test_probability_by_hand(text, probability):
    assert math.exp(LANGUAGE.logprobs(LANGUAGE.encode([text]))[0]) == pytest.approx(probability)


# ---- what is wrong with a string


def test_sentences_violate_nothing():
    kinds = grammar.violations(LANGUAGE, LANGUAGE.token_ids)
    assert list(kinds) == KINDS
    assert not any(wrong.any() for wrong in kinds.values())


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("the girl near the lake eats an apple", set()),
        ("the girl eat an apple now and then", {"agreement"}),
        ("the girls eats an apple now and then", {"agreement"}),
        ("Anna eat an apple when Anna sits near the lake", {"agreement"}),
        ("Anna eats an apple when Anna sit near the lake", {"agreement"}),
        ("the girl near the lake eat an apple", {"distant_agreement"}),
        ("two girls near the lake waits from time to time", {"distant_agreement"}),
        ("the girl near the lake eats a apple", {"article"}),
        ("a uncle near the lake eats an apple", {"article"}),
        ("the girl near the lake eats an new apple", {"article"}),
        ("the girl near the lake eats the essay", {"selection"}),
        ("the girl near the lake eats an old engine", {"selection"}),
        ("Anna eats an apple when Emma sits near the lake", {"coreference"}),
        ("the girl eats an apple now and large", {"idiom"}),
        ("the girl eats an apple by and by", {"idiom"}),
        ("the girl waits once in a blue lake", {"idiom"}),
        ("the girl waits now and then from time to", {"idiom"}),
        ("the girls near the lake eats a essay", {"distant_agreement", "article", "selection"}),
        ("the girl the girl", {"other"}),
        ("the lake near the girl eats an apple", {"other"}),
        ("two girl near the lake eats an apple", {"other"}),
        ("the girl near the lake eats the apple now and then now and then", {"other"}),  # too long
        ("the girl near the moonlight eats an apple", {"other"}),  # an unknown word
        ("", {"other"}),
        # nothing between them that would end the clause
        ("the girls when near eats", {"other"}),
        ("the girls eat eats", {"other"}),
    ],
)
def test_kinds(text, kinds):
    assert violated(text) == [kinds]


def test_an_end_token_inside_ends_the_clause_and_is_no_sentence():
    ids = LANGUAGE.encode(["the girls near the lake eats an apple"])
    ids[0, 3] = LANGUAGE.eos_id
    assert {kind for kind in KINDS if grammar.violations(LANGUAGE, ids)[kind][0]} == {"other"}


@given(st.lists(st.integers(-1, LANGUAGE.mask_id), min_size=grammar.LENGTH, max_size=grammar.LENGTH))
def test_any_string_is_a_sentence_or_wrong_for_a_reason(ids):
    row = np.array([ids])
    assert LANGUAGE.contains(row)[0] != any(wrong[0] for wrong in grammar.violations(LANGUAGE, row).values())


@given(st.integers(0, len(LANGUAGE.token_ids) - 1), st.integers(0, grammar.LENGTH - 1), st.integers(0, 50))
def test_a_sentence_with_one_word_changed(sentence, position, word):
    row = LANGUAGE.token_ids[[sentence]].copy()
    row[0, position] = word
    assert LANGUAGE.contains(row)[0] != any(wrong[0] for wrong in grammar.violations(LANGUAGE, row).values())


def test_every_kind_is_seen_in_one_step():
    """Words drawn from their positions' marginals, each alone."""
    generator = np.random.default_rng(0)
    drawn = generator.choice(len(LANGUAGE.token_ids), (4000, LANGUAGE.length), p=LANGUAGE.probabilities)
    kinds = grammar.violations(LANGUAGE, np.take_along_axis(LANGUAGE.token_ids, drawn, 0))
    assert all(wrong.mean() > 0.02 for wrong in kinds.values()), {kind: wrong.mean() for kind, wrong in kinds.items()}


# ---- exact information


TABLE = pd.DataFrame(LANGUAGE.token_ids).add_prefix("x").assign(p=LANGUAGE.probabilities)


def conditional_entropy(position, visible):
    """H(X_i | X_V) from the table: −Σ p(v, x) log p(x | v)."""
    visible = [f"x{i}" for i in visible]
    joint = TABLE.groupby([*visible, f"x{position}"]).p.sum()
    context = joint.groupby(level=visible).transform("sum") if visible else joint.sum()
    return -(joint * np.log(joint / context)).sum()


@pytest.fixture(scope="module")
def curve():
    return exact_curve(LANGUAGE)


def test_curve_sums_to_the_entropy(curve):
    assert 6 < entropy(LANGUAGE) < 9
    assert curve.sum() == pytest.approx(entropy(LANGUAGE), abs=1e-9)
    assert (np.diff(curve) < 0).all()  # what more is visible only helps, on average


def test_subset_entropies():
    entropies = subset_entropies(LANGUAGE)
    assert entropies[0] == 0
    assert entropies[-1] == pytest.approx(entropy(LANGUAGE), abs=1e-12)
    for position, visible in ((5, ()), (5, (1,)), (2, (4, 7)), (11, (0, 3, 8, 10))):
        bits = sum(1 << i for i in visible)
        difference = entropies[bits | 1 << position] - entropies[bits]
        assert difference == pytest.approx(conditional_entropy(position, visible), abs=1e-10)


def test_curve_by_enumerating_the_small_sets(curve):
    assert curve[0] == pytest.approx(np.mean([conditional_entropy(i, ()) for i in range(12)]), abs=1e-10)
    pairs = itertools.permutations(range(12), 2)
    assert curve[1] == pytest.approx(np.mean([conditional_entropy(i, (v,)) for i, v in pairs]), abs=1e-10)


def test_price_of_one_step_is_the_total_correlation(curve):
    assert 10 < total_correlation(LANGUAGE) < 20
    assert expected_kl(curve, [12]) == pytest.approx(total_correlation(LANGUAGE), abs=1e-9)
    assert expected_kl(curve, [1] * 12) == 0


@pytest.mark.parametrize("first", [1, 2])
def test_price_of_two_steps_by_enumeration(curve, first):
    """Mean over every first set of KL(p ‖ Π_{i∈S} p(x_i) Π_{i∉S} p(x_i | x_S)), from the table."""
    prices = []
    for chosen in itertools.combinations(range(12), first):
        cross_entropy = sum(conditional_entropy(i, ()) for i in chosen)
        cross_entropy += sum(conditional_entropy(i, chosen) for i in set(range(12)) - set(chosen))
        prices.append(cross_entropy - entropy(LANGUAGE))
    assert expected_kl(curve, [first, 12 - first]) == pytest.approx(np.mean(prices), abs=1e-9)


# ---- the data set


def test_rows():
    row = {"kind": "grammar", "sentences": 300}
    frame = load_dataset("grammar", row)
    assert len(frame) == 300
    assert set(frame["prompt"]) == {""}
    assert LANGUAGE.contains(LANGUAGE.encode(frame["answer"])).all()
    assert frame.equals(load_dataset("grammar", row))
    longer = load_dataset("grammar", {**row, "sentences": 400})
    assert frame.equals(longer.head(300))
    other = load_dataset("grammar", {**row, "seed": 1})
    assert (other["answer"] != frame["answer"]).mean() > 0.9
    assert len(load_dataset("grammar", {"kind": "grammar"})) == len(LANGUAGE.token_ids)


def test_draws_follow_the_probabilities():
    counts = np.bincount(LANGUAGE.sample(30000), minlength=len(LANGUAGE.probabilities)) / 30000
    for position in range(LANGUAGE.length):
        column = LANGUAGE.token_ids[:, position]
        expected, observed = (np.bincount(column, weights) for weights in (LANGUAGE.probabilities, counts))
        assert abs(expected - observed).max() < 0.015


# ---- the learned model


def trained(tmp_path, sentences=None, **phase):
    row = read_yaml(ROOT / "config" / "models.yaml")["grammar-micro"]["train"]
    data = read_yaml(ROOT / "config" / "datasets.yaml")[row["data"]]
    rows = load_dataset("grammar", {**data, "sentences": sentences or data["sentences"]})
    train(rows, {**row, "phases": [{**row["phases"][0], **phase}]}, 0, tmp_path / "model", tmp_path / "state")
    return load_denoiser({"family": "llada", "path": tmp_path / "model"}, device="cpu")


def test_learned_model_speaks_the_language(tmp_path, curve):
    model = trained(tmp_path, sentences=1000, steps=100, batch_size=32)
    assert [model.tokenizer.convert_ids_to_tokens(id_) for id_ in range(4, 4 + 49)] == list(LANGUAGE.words)
    assert LANGUAGE.translate(model, np.array([0, 1, 2, 3, 4, 52])).tolist() == [-1, 49, 49, -1, 0, 48]
    error = learning_error(model, LANGUAGE, 32)
    assert error[0] < 0.5  # the positions' marginals come first
    assert (error > 0).all()
    ignorance = 12 * math.log(50) - entropy(LANGUAGE)  # any word is possible anywhere
    assert error.sum() < 0.4 * ignorance


@pytest.mark.slow
def test_learned_model_is_within_two_per_cent_of_the_entropy(tmp_path):
    assert learning_error(trained(tmp_path), LANGUAGE, 256).sum() < 0.02 * entropy(LANGUAGE)
