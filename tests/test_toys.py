"""The paper's toy and its sibling: every number that can be worked out by hand."""

import math

import numpy as np
import pytest
import torch

from discreteness.core.errors import InputError
from discreteness.curves.step_sizes import expected_kl
from discreteness.datasets import load_dataset
from discreteness.denoisers import load_denoiser
from discreteness.denoisers.oracle import OracleDenoiser
from discreteness.languages import get_language
from discreteness.languages.language import Language, entropy, exact_curve, subset_entropies, total_correlation
from discreteness.training.loop import train
from discreteness.training.tokenizer import word_tokenizer
from discreteness.trap.exact import decoding_distribution, learning_error
from discreteness.workflow.configuration import ROOT
from discreteness.workflow.yaml_files import read_yaml
from mock_denoiser import MockDenoiser

TOY, ABAB = get_language("toy"), get_language("abab")


def decoded(language, *step_sizes):
    return decoding_distribution(OracleDenoiser(language), language.length, step_sizes)


def texts(language, distribution):
    return {language.text(ids): p for ids, p in distribution.items()}


def invalid(language, distribution):
    """Probability of the strings that are no sentences."""
    return np.array(list(distribution.values()))[~language.contains(np.array(list(distribution)))].sum()


def kl(language, distribution):
    """KL(language ‖ distribution), nats."""
    q = np.array([distribution[tuple(ids)] for ids in language.token_ids.tolist()])
    return (language.probabilities * np.log(language.probabilities / q)).sum()


# ---- {"He likes apple", "I play tennis"}


def test_toy_in_one_step():
    distribution = decoded(TOY, 3)
    strings = [f"{a} {b} {c}" for a in ("He", "I") for b in ("likes", "play") for c in ("apple", "tennis")]
    assert texts(TOY, distribution) == pytest.approx(dict.fromkeys(strings, 1 / 8))
    assert invalid(TOY, distribution) == pytest.approx(0.75)
    assert kl(TOY, distribution) == pytest.approx(2 * math.log(2))


@pytest.mark.parametrize("sizes", [(1, 2), (1, 1, 1)])
def test_toy_is_right_once_one_token_is_known(sizes):
    distribution = decoded(TOY, *sizes)
    assert texts(TOY, distribution) == pytest.approx({"He likes apple": 0.5, "I play tennis": 0.5})
    assert kl(TOY, distribution) == pytest.approx(0, abs=1e-12)


def test_toy_with_two_tokens_at_once_first():
    """Half of the pairs disagree; a pair that agrees fixes the third token, one that does not leaves it open."""
    distribution = decoded(TOY, 2, 1)
    assert invalid(TOY, distribution) == pytest.approx(0.5)
    assert kl(TOY, distribution) == pytest.approx(math.log(2))
    assert expected_kl(exact_curve(TOY), [2, 1]) == pytest.approx(math.log(2))


def test_toy_information():
    assert entropy(TOY) == pytest.approx(math.log(2))
    assert total_correlation(TOY) == pytest.approx(2 * math.log(2))
    assert exact_curve(TOY) == pytest.approx([math.log(2), 0, 0])
    assert subset_entropies(TOY) == pytest.approx([0, *[math.log(2)] * 7])


# ---- {"ABAB", "BABA"}


def test_abab_in_one_step():
    distribution = decoded(ABAB, 4)
    assert list(distribution.values()) == pytest.approx([1 / 16] * 16)
    assert invalid(ABAB, distribution) == pytest.approx(14 / 16)
    assert kl(ABAB, distribution) == pytest.approx(3 * math.log(2)) == pytest.approx(total_correlation(ABAB))


@pytest.mark.parametrize("sizes", [(1, 3), (1, 2, 1), (1, 1, 1, 1)])
def test_abab_is_right_once_one_token_is_known(sizes):
    assert texts(ABAB, decoded(ABAB, *sizes)) == pytest.approx({"A B A B": 0.5, "B A B A": 0.5})


def test_abab_in_two_steps():
    """Two tokens agree half of the time and then fix the rest; else the others are drawn from their marginals."""
    distribution = decoded(ABAB, 2, 2)
    assert invalid(ABAB, distribution) == pytest.approx(0.5)
    assert kl(ABAB, distribution) == pytest.approx(math.log(2))


# ---- any language


def test_mixture_over_orders_costs_less_than_the_orders_do():
    language = Language.from_sentences("made up", {"a a b": 0.5, "a b a": 0.2, "b b b": 0.3})
    f = exact_curve(language)
    assert f.sum() == pytest.approx(entropy(language), abs=1e-12)
    for sizes in ([3], [1, 2], [2, 1], [1, 1, 1]):
        price = expected_kl(f, sizes)
        paid = kl(language, decoded(language, *sizes))
        assert paid <= price + 1e-9
        if len(sizes) in (1, 3):  # one order of sets, or no price at all
            assert paid == pytest.approx(price, abs=1e-9)
    assert expected_kl(f, [3]) == pytest.approx(total_correlation(language), abs=1e-12)


def test_padding_belongs_to_a_sentence():
    language = Language.from_sentences("made up", {"a": 0.5, "a b": 0.5})
    assert language.token_ids.tolist() == [[0, 2], [0, 1]]
    assert [language.text(ids) for ids in ([0, 2], [2, 0], [2, 2])] == ["a", "<eos> a", ""]
    assert language.contains(np.array([[0, 2], [0, 1], [2, 0], [0, -1]])).tolist() == [True, True, False, False]
    assert language.encode(["a b", "b", "c a", "a b a"]).tolist() == [[0, 1], [1, 2], [-1, 0], [-1, -1]]
    assert language.logprobs(np.array([[0, 2], [2, 0]])).tolist() == [math.log(0.5), -math.inf]


def test_samples_are_keyed():
    few, many = TOY.sample(50), TOY.sample(4000)
    assert (few == many[:50]).all()
    assert (few != TOY.sample(50, seed=1)).any()
    assert many.mean() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("sizes", [(2,), (2, 2), (0, 3), (3, 1, -1)])
def test_steps_that_do_not_fit(sizes):
    with pytest.raises(InputError, match=r"step sizes \["):
        decoded(TOY, *sizes)
    with pytest.raises(InputError, match=r"step sizes \["):
        expected_kl([0.5, 0.2, 0.1], sizes)


def test_too_many_positions_and_an_unknown_language():
    long = Language.from_sentences("long", {"a " * 15: 1.0})
    with pytest.raises(InputError, match="language long: 2.15 sets"):
        exact_curve(long)
    with pytest.raises(InputError, match="language: 'klingon' is unknown"):
        get_language("klingon")


# ---- learned models


@pytest.mark.parametrize("name", ["toy", "abab"])
def test_learning_error_in_closed_form(name):
    """The oracle lacks nothing; who holds any of n words possible lacks ln n − H, whatever the order of its words."""
    language = get_language(name)
    assert learning_error(OracleDenoiser(language), language, 8) == pytest.approx(np.zeros(language.length), abs=1e-6)

    n = len(language.words) + 1  # and EOS
    logits = torch.tensor([0.0] * n + [-1e4])  # never the mask
    ignorant = MockDenoiser(list(reversed(language.words)), lambda ids, queries: logits.expand(len(queries), -1))
    expected = [math.log(n) - math.log(2), *[math.log(n)] * (language.length - 1)]
    assert learning_error(ignorant, language, 8) == pytest.approx(expected, abs=1e-5)


def test_learned_toy_falls_into_the_trap(tmp_path):
    """A model trained for a second is right about every marginal, and one step is wrong as often as the oracle."""
    row = read_yaml(ROOT / "config" / "models.yaml")["toy-micro"]["train"]
    row = {**row, "phases": [{**row["phases"][0], "steps": 120}]}
    rows = load_dataset("toy", {"kind": "toy"})
    record = train(rows, row, 0, tmp_path / "model", tmp_path / "state")
    assert record["losses"][0] > 1.0
    model = load_denoiser({"family": "llada", "path": tmp_path / "model"}, device="cpu")
    assert model.tokenizer.convert_ids_to_tokens(list(range(4, 10))) == list(TOY.words)
    assert model.encode_answer("I likes tennis") == [5, 7, 9]
    assert model.tokenizer.decode([5, 7, 9]) == "I likes tennis"
    assert learning_error(model, TOY, 16).sum() < 0.1 * entropy(TOY)

    def invalid_share(*sizes):
        distribution = decoding_distribution(model, 3, sizes)
        assert sum(distribution.values()) == pytest.approx(1)
        sentences = TOY.contains(TOY.translate(model, np.array(list(distribution))))
        return np.array(list(distribution.values()))[~sentences].sum()

    assert invalid_share(3) == pytest.approx(0.75, abs=0.03)
    assert invalid_share(1, 2) < 0.1
    assert invalid_share(1, 1, 1) < 0.1


def test_words_as_tokens_are_counted():
    rows = load_dataset("toy", {"kind": "toy"})
    assert len(word_tokenizer(rows["answer"], 10)) == 10
    with pytest.raises(InputError, match="train.vocab_size: 9 is too few for 6 words and 4 special tokens"):
        word_tokenizer(rows["answer"], 9)


# ---- the data sets


def test_rows_have_no_prompt():
    frame = load_dataset("abab", {"kind": "toy", "language": "abab"})
    assert list(frame["answer"]) == ["A B A B", "B A B A"]
    assert set(frame["prompt"]) == {""}
    drawn = load_dataset("toy-train", {"kind": "toy", "sentences": 100})
    assert len(drawn) == 100 and set(drawn["answer"]) == {"He likes apple", "I play tennis"}
    assert drawn["prompt_id"].is_unique
