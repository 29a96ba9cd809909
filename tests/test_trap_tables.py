"""The tables of the marginal trap: prices and strings of known languages, and incoherence of made-up answers."""

import math

import numpy as np
import pandas as pd
import pytest

import tiny
from discreteness.coherence.incoherence import incoherence, with_judge
from discreteness.coherence.rescoring import rescore
from discreteness.core.errors import InputError
from discreteness.decoding import decode
from discreteness.decoding.rows import check_decoders, is_adaptive, needs_recomputing, variants
from discreteness.decoding.tables import answers_table, references_table
from discreteness.denoisers import load_denoiser
from discreteness.denoisers.oracle import OracleDenoiser
from discreteness.languages import get_language
from discreteness.languages.language import total_correlation
from discreteness.trap.exact import price_table, toy_table
from discreteness.trap.sentences import sentence_table
from discreteness.workflow.configuration import ROOT
from discreteness.workflow.yaml_files import read_yaml

TOY, GRAMMAR = get_language("toy"), get_language("grammar")


def prices(language, steps, sentences=200):
    table = price_table(OracleDenoiser(language), language, steps, sentences)
    return {(row.steps, row.statistic): row for row in table.itertuples()}


def test_price_of_the_toy_in_closed_form():
    price = prices(TOY, [1, 2, 3])
    assert price[1, "expected_kl"].value == pytest.approx(2 * math.log(2))
    assert price[1, "own_kl"].value == pytest.approx(2 * math.log(2))
    assert price[1, "sampled_kl"].value == pytest.approx(2 * math.log(2), abs=1e-6)  # the same for every sentence
    for steps in (2, 3):  # the first token says it all
        assert price[steps, "expected_kl"].value == pytest.approx(0, abs=1e-9)
        assert price[steps, "own_kl"].value == pytest.approx(0, abs=1e-9)
        assert price[steps, "sampled_kl"].value == pytest.approx(0, abs=1e-6)


def test_price_of_the_grammar():
    price = prices(GRAMMAR, [1, 2, 4, 12], 400)
    assert price[1, "expected_kl"].value == pytest.approx(total_correlation(GRAMMAR))
    assert price[1, "own_kl"].value == pytest.approx(total_correlation(GRAMMAR))
    assert 0 < price[2, "own_kl"].value < price[2, "expected_kl"].value  # Jensen
    assert (4, "own_kl") not in price and price[12, "own_kl"].value == 0
    assert price[12, "expected_kl"].value == pytest.approx(0, abs=1e-9)
    for steps in (1, 2, 4, 12):
        sampled = price[steps, "sampled_kl"]
        error = (sampled.high - sampled.low) / 3.92
        assert abs(sampled.value - price[steps, "expected_kl"].value) <= 4 * error + 1e-4


def test_strings_of_the_toy():
    table = toy_table(TOY, {"oracle": OracleDenoiser(TOY)})
    by = table.set_index(["model", "decoding", "string"])["probability"]
    assert len(table) == 4 * 8 and table["seen"].mean() == 0.25
    assert by["data", "data", "He likes apple"] == 0.5
    assert by["oracle", "one step", "I likes tennis"] == pytest.approx(1 / 8)
    for decoding in ("two steps", "sequential"):
        assert by["oracle", decoding, "I play tennis"] == pytest.approx(0.5)
        assert by["oracle", decoding, "I likes tennis"] == 0


def test_sentences_are_judged_by_kind():
    good = GRAMMAR.text(GRAMMAR.token_ids[0])
    bad = " ".join("Emma" if word == "Anna" and i else word for i, word in enumerate(good.split()))
    answers = pd.DataFrame(
        {"temperature": 1.0, "steps": 3, "text": [good, good, bad if bad != good else "cake", "x y"]}
    )
    table = sentence_table(GRAMMAR, answers).set_index("statistic")
    assert table.loc["invalid", "value"] == 0.5 and table.loc["distinct", "value"] == 0.75
    assert (table["samples"] == 4).all()
    kinds = table[table.index.str.startswith("invalid_")]["value"]
    assert kinds.sum() >= 0.5  # every invalid string has a kind


# ---- variants


def test_a_row_is_run_at_every_number_of_steps():
    assert variants({"order": "random"}, [1, 4]) == [
        {"order": "random", "steps": 1, "temperature": 0.0},
        {"order": "random", "steps": 4, "temperature": 0.0},
    ]
    assert [row["steps"] for row in variants({"order": "random", "steps": 2}, [1, 4])] == [2]
    assert [row["steps"] for row in variants({"order": "entropy_bound"}, [1, 4])] == [4]
    temperatures = variants({"order": "random", "temperature": 0.2}, [1], [1.0, 0.5])
    assert [row["temperature"] for row in temperatures] == [1.0, 0.5]
    assert variants({"order": "random", "step_sizes": [2, 2], "temperature": 1}, [1])[0]["step_sizes"] == [2, 2]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"order": "lucky"}, r"decoders: mine.order: 'lucky' is unknown"),
        ({"order": "random", "block_length": 3}, r"decoders: mine.block_length: 3 does not divide the span of 128"),
        ({"order": "random", "block_length": 64, "steps": 1}, r"decoders: mine.steps: 1 does not divide into 2 blocks"),
        (
            {"order": "random", "block_length": 1},
            r"mine.block_length: none of decode.steps .* into 128 blocks of 1 to",
        ),
        ({"order": "random", "step_sizes": "optimal"}, r"mine.steps: 200 steps are more than the span of 128"),
        ({"order": "random", "temperature": float("nan")}, r"mine.temperature: nan is not a finite number"),
        ("random", r"decoders: mine: expected a mapping with `order`, found 'random'"),
        (None, r"decoders: mine: expected a mapping with `order`, found None"),
        ({"order": "random", "steps": 200}, r"decoders: mine.steps: 200 steps are more than the span of 128"),
        ({"order": "confidence_threshold", "threshold": 2}, r"mine.threshold: 2 is greater than the maximum of 1"),
    ],
)
def test_rows_that_do_not_fit_are_refused_before_any_work(row, message):
    steps = [200] if isinstance(row, dict) and row.get("step_sizes") == "optimal" else [1, 2, 64]
    asked = {"decoders": ["mine"], "steps": steps, "temperatures": [], "span": 128}
    with pytest.raises(InputError, match=message):
        check_decoders({"mine": row}, {"decode": asked})
    language = {"decoders": ["mine"], "steps": [13], "temperatures": [1.0], "span": 12}
    with pytest.raises(InputError, match=r"mine.steps: 13 steps are more than the span of 12"):
        check_decoders({"mine": {"order": "random"}}, {"decode": {**asked, "decoders": []}, "language": language})


def test_blocks_take_the_steps_that_divide_into_them():
    """4 blocks of 32 tokens: 4 and 8 steps fit, 1 and 6 do not and are named; an adaptive row takes the largest fit."""
    row = {"order": "low_confidence", "block_length": 32}
    assert [one["steps"] for one in variants(row, [1, 4, 6, 8], span=128)] == [4, 8]
    adaptive = {"order": "confidence_threshold", "block_length": 32}
    assert [one["steps"] for one in variants(adaptive, [1, 8, 30], span=128)] == [8]
    asked = {"decoders": ["mine"], "steps": [1, 4, 6, 8], "temperatures": [], "span": 128}
    assert check_decoders({"mine": row}, {"decode": asked}) == [
        "config: decode.steps: decoder mine skips 1, 6, which do not divide into 4 blocks of 32 tokens"
    ]


def test_every_shipped_decoder_fits_the_default_run():
    config, rows = (read_yaml(ROOT / "config" / f"{name}.yaml") for name in ("config", "decoders"))
    notes = check_decoders(rows, {"decode": {**config["decode"], "decoders": list(rows), "temperatures": []}})
    assert any("llada skips 1, 2" in note for note in notes)


def test_what_a_decoder_is_follows_from_its_policy():
    assert [is_adaptive({"order": order}) for order in ("entropy_bound", "random", "remdm")] == [True, False, False]
    assert needs_recomputing({"order": "remdm"}) and needs_recomputing({"order": "random", "soft_mask": 0.1})
    assert needs_recomputing({"order": "random", "cfg_scale": 1.5}) and not needs_recomputing({"order": "random"})


# ---- incoherence


def answers(texts, steps=1, passes=1):
    rows = [
        {
            "prompt_id": f"p{i}",
            "sample": 0,
            "steps": steps,
            "temperature": 0.0 if steps else np.nan,
            "text": text,
            "revealed_at": [0, 0],
            "forward_passes": passes,
        }
        for i, text in enumerate(texts)
    ]
    return pd.DataFrame(rows)


def rescored(regret, leave_one_out, steps=1):
    return pd.DataFrame(
        {
            "prompt_id": [f"p{i}" for i in range(len(regret))],
            "sample": 0,
            "steps": steps,
            "temperature": 0.0 if steps else np.nan,
            "regret_weight": 1.0,
            "regret": regret,
            "leave_one_out_weight": 1.0,
            "leave_one_out_logprob": leave_one_out,
        }
    )


def test_every_statistic_beside_the_references():
    reference = answers(["a b c d", "a b"], steps=0)
    decoded = answers(["brain brain x y", ""])
    few, sure = math.log(0.001), math.log(0.5)
    table = incoherence(
        {
            "one": (decoded, rescored([1.0, 3.0], [few, sure]), None),
            "reference": (reference, rescored([0.0, 0.0], [sure, sure], steps=0), None),
        },
        seen={("a", "b"), ("b", "c"), ("c", "d"), ("x", "y")},
        seed=0,
    ).set_index("statistic")
    assert table.loc["regret", "value"] == 2.0 and math.isnan(table.loc["regret", "reference"])
    assert (table.loc["disowned", "value"], table.loc["disowned", "reference"]) == (0.5, 0)
    assert (table.loc["empty", "value"], table.loc["empty", "reference"]) == (0.5, 0)
    assert table.loc["adjacent_duplicates", "value"] == pytest.approx(1 / 3)  # of the one answer that is not empty
    assert table.loc["adjacent_duplicates", "reference"] == 0
    assert table.loc["adjacent_duplicates", "difference"] == pytest.approx(1 / 3)
    assert table.loc["unseen_bigrams", "value"] == pytest.approx(2 / 3)
    assert table.loc["unseen_bigrams", "reference"] == 0
    assert table.loc["regret", "answers"] == 1 and table.loc["empty", "answers"] == 2
    assert "perplexity" not in table.index


def test_a_decoder_with_its_own_number_of_steps_is_shown_at_the_passes_it_took():
    tables = (answers(["a b"], passes=7), rescored([0.0], [0.0]), None)
    base = (answers(["a b"], steps=0), rescored([0.0], [0.0], steps=0), None)
    assert set(incoherence({"one": tables, "reference": base}, None, 0, {"one"})["steps"]) == {7}
    assert set(incoherence({"one": tables, "reference": base}, None, 0)["steps"]) == {1}


def test_from_a_real_network(tmp_path):
    """Decode, score again, tabulate: one step regrets, one token at a time does not; the numbers are finite."""
    denoiser = load_denoiser({"family": "llada", "path": tiny.write(tmp_path)}, "cpu")
    rows = pd.DataFrame({"prompt_id": ["a", "b"], "prompt": ["the cat", "say a"], "answer": ["the dog runs .", "red"]})
    prompts = {row.prompt_id: denoiser.encode_prompt(row.prompt) for row in rows.itertuples()}
    frames = []
    for policy in variants({"order": "random", "temperature": 1.0, "forbid": ["mask"]}, [1, 8]):
        decoded = decode(denoiser, list(prompts.values()), policy, span=8, samples=2, prompt_ids=list(prompts))
        frames.append(answers_table(denoiser, list(prompts), decoded, policy))
    table = pd.concat(frames, ignore_index=True)
    assert len(table) == 2 * 2 * 2 and set(table["steps"]) == {1, 8}
    again = rescore(denoiser, table, prompts, 500, 4, 0, False)
    assert (again.loc[again["steps"] == 8, "regret"].dropna() == 0).all()
    assert again.loc[again["steps"] == 1, "regret"].abs().max() > 1e-3
    base = references_table(denoiser, rows, 8)
    assert base["text"].tolist() == ["the dog runs .", "red"] and base["token_ids"].str.len().eq(8).all()
    base_again = rescore(denoiser, base, prompts, 500, 4, 0, False)
    found = incoherence({"random": (table, again, None), "reference": (base, base_again, None)}, None, 0)
    values = found[found["statistic"].isin(["regret", "disowned", "empty"])]["value"]
    assert values.notna().all() and len(values) == 6


def test_a_judge_of_other_text_says_so():
    """A perplexity of 10,000 on people's own answers: no judge; by model, whose references it is that count."""
    rows = [
        ("a", "perplexity", 300.0),
        ("a", "judge_entropy", 2.0),
        ("b", "perplexity", 10_000.0),
        ("b", "regret", 0.1),
    ]
    table = with_judge(pd.DataFrame(rows, columns=["model", "statistic", "reference"]), "docs-judge")
    assert list(table["judge"]) == ["docs-judge", "docs-judge", "docs-judge", ""]
    assert list(table["judge_fits"]) == ["yes", "yes", "no", ""]
    unknown = pd.DataFrame([("a", "perplexity", float("nan"))], columns=["model", "statistic", "reference"])
    assert list(with_judge(unknown, "j")["judge_fits"]) == ["no"]
    assert list(with_judge(unknown.assign(statistic="regret"), None)["judge"]) == [""]
