"""Decoding: closed-form answers on small languages, then what must hold for every policy."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tiny
from discreteness.core.errors import InputError
from discreteness.core.schedules import equal_sizes
from discreteness.decoding import POLICIES, check_policy, decode, policy
from discreteness.decoding.noise import inverse_cdf
from discreteness.decoding.rows import variants
from discreteness.decoding.schedules import quota
from discreteness.denoisers import load_denoiser
from discreteness.workflow.configuration import ROOT
from discreteness.workflow.yaml_files import read_yaml
from mock_denoiser import MockDenoiser

NEVER = -60.0  # a finite logit whose probability is nothing


def fixed(probabilities, words=None):
    """A model that predicts row i of a table (span, words) at the i-th position after a one-word prompt."""
    table = torch.tensor(probabilities).log().clamp(min=NEVER)
    words = words or [f"w{i}" for i in range(table.shape[1])]
    full = torch.cat([table, torch.full((len(table), 2), NEVER)], -1)
    return MockDenoiser(words, lambda ids, queries: full[queries[:, 1] - 1])


def language(sentences):
    """The exact denoiser of equally likely sentences of one length, without a prompt."""
    words = sorted({word for sentence in sentences for word in sentence.split()})
    table = torch.tensor([[words.index(word) for word in sentence.split()] for sentence in sentences])
    size = len(words)

    def predict(ids, queries):
        fits = ((ids[:, None] == table) | (ids[:, None] == size + 1)).all(-1).double()  # (B, sentences)
        # a state that no sentence fits: every word that any sentence has there
        fits = torch.where(fits.sum(-1, keepdim=True) > 0, fits, 1.0)
        rows, positions = queries.unbind(-1)
        counts = torch.zeros(len(queries), size + 2, dtype=torch.float64)
        counts.scatter_add_(1, table[:, positions].T, fits[rows])
        return (counts / counts.sum(-1, keepdim=True)).log().clamp(min=NEVER)

    return MockDenoiser(words, predict)


def bigrams(seed=0):
    """A model of 3 words whose prediction depends on both neighbours; any length."""
    generator = torch.Generator().manual_seed(seed)
    left, right = (0.6 * torch.randn(5, 5, generator=generator) for _ in range(2))
    bias = torch.tensor([0.0, 0.0, 0.0, NEVER, NEVER])

    def predict(ids, queries):
        rows, positions = queries.unbind(-1)
        before = ids[rows, (positions - 1).clamp(min=0)]
        after = ids[rows, (positions + 1).clamp(max=ids.shape[1] - 1)]
        return left[before] + right[after] + bias

    return MockDenoiser(["a", "b", "c"], predict)


def p_value(statistic, freedom):
    """Probability that a chi-square variable exceeds the statistic."""
    return torch.special.gammaincc(torch.tensor(freedom / 2), torch.tensor(float(statistic) / 2)).item()


class Spy:
    """A denoiser that records its inputs."""

    def __init__(self, denoiser):
        self.denoiser, self.calls = denoiser, []

    def __getattr__(self, name):
        return getattr(self.denoiser, name)

    def log_probs(self, token_ids, attention_mask, queries, **extra):
        self.calls.append((token_ids.clone(), queries.clone(), extra))
        return self.denoiser.log_probs(token_ids, attention_mask, queries, **extra)


@pytest.fixture(scope="module")
def llada(tmp_path_factory):
    path = tiny.write(tmp_path_factory.mktemp("tiny"))
    return load_denoiser({"family": "llada", "path": path}, device="cpu")


PROMPTS = [[0, 5, 6, 2], [0, 7, 2], [0, 8, 9, 10, 11, 2], [0, 5, 2]]


# -- schedules and draws


@pytest.mark.parametrize(
    ("total", "steps", "remainder", "sizes"),
    [
        (8, 4, "first", [2] * 4),
        (32, 5, "first", [7, 7, 6, 6, 6]),
        (32, 5, "last", [6, 6, 6, 7, 7]),
        (3, 3, "last", [1] * 3),
    ],
)
def test_equal_sizes(total, steps, remainder, sizes):
    assert equal_sizes(total, steps, remainder) == sizes


def test_dream_truncates_its_schedule():
    """32 tokens in 32 steps: nothing in the first step, two in the last."""
    row = check_policy("x", {"order": "entropy", "steps": 32}, 32)
    left, revealed = 32, []
    for step in range(32):
        revealed.append(int(quota(row, torch.tensor([step]), torch.tensor([left]))))
        left -= revealed[-1]
    assert revealed == [0, *[1] * 30, 2]


@given(st.integers(1, 700), st.integers(0, 2**32 - 1))
def test_inverse_cdf_is_searchsorted(vocabulary, seed):
    rng = np.random.default_rng(seed)
    p = rng.random((3, vocabulary)).astype(np.float32) * (rng.random((3, vocabulary)) < 0.5)
    p[:, rng.integers(vocabulary)] = 0.25
    p /= p.sum(-1, keepdims=True)
    uniform = np.append(rng.random(2), np.nextafter(1.0, 0.0))
    with np.errstate(divide="ignore"):
        result = inverse_cdf(torch.from_numpy(np.log(p)), torch.from_numpy(uniform)).numpy()
    for row, token, u in zip(p, result, uniform, strict=True):
        assert row[token] > 0
        cumulative = row.astype(float).cumsum() / row.astype(float).sum()
        assert (cumulative[token - 1] if token else 0) - 1e-6 <= u <= cumulative[token] + 1e-6


# -- orders, by hand

# position: confidence, margin, entropy rank differently
TABLE = [[0.50, 0.49, 0.01, 0.0], [0.45, 0.25, 0.15, 0.15], [0.40, 0.20, 0.20, 0.20], [0.96, 0.02, 0.01, 0.01]]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("low_confidence", [3, 0, 1, 2]),
        ("maskgit_plus", [3, 0, 1, 2]),
        ("topk_margin", [3, 1, 2, 0]),
        ("entropy", [3, 0, 1, 2]),
        ("left_to_right", [0, 1, 2, 3]),
    ],
)
def test_order(order, expected):
    result = decode(fixed(TABLE), [[0]], {"order": order, "schedule": "equal"}, span=4)
    assert result.revealed_at[0, 0].argsort().tolist() == expected
    assert result.token_ids.tolist() == [[[0, 0, 0, 0]]]
    confidence = torch.tensor([row[0] for row in TABLE]).log()
    assert torch.allclose(result.logprob_at_reveal[0, 0], confidence, atol=1e-5)
    assert result.forward_passes.tolist() == [[4]]


@pytest.mark.parametrize(
    ("row", "steps"),
    [
        ({"order": "confidence_threshold", "threshold": 0.9}, [1, 2, 3, 0]),
        ({"order": "confidence_threshold", "threshold": 0.42}, [0, 0, 1, 0]),
        # ranks 1, 2, 3, 4 need 1/2, 2/3, 3/4, 4/5: none but the first, each time
        ({"order": "confidence_factor", "factor": 1.0}, [1, 2, 3, 0]),
        # with 1.6: 0.2, 0.47, 0.6, 0.68: 0.96 and 0.50 are in, 0.45 is not; then 0.45, but not 0.40
        ({"order": "confidence_factor", "factor": 1.6}, [0, 1, 2, 0]),
        # entropies 0.21, 0.74, 1.27, 1.33 nats: sums without the largest 0, 0.21, 0.95, 2.22
        ({"order": "entropy_bound", "gamma": 0.1}, [1, 2, 3, 0]),
        ({"order": "entropy_bound", "gamma": 1.0}, [0, 0, 1, 0]),
        # at most two steps: half of what is left, whatever the threshold
        ({"order": "confidence_threshold", "threshold": 1.0, "steps": 2}, [0, 1, 1, 0]),
        ({"order": "low_confidence", "steps": 2, "block_length": 2}, [0, 0, 1, 1]),
        ({"order": "low_confidence", "step_sizes": [1, 3]}, [1, 1, 1, 0]),
        ({"order": "low_confidence", "steps": 3, "remainder": "last"}, [1, 2, 2, 0]),
    ],
)
def test_steps_by_hand(row, steps):
    result = decode(fixed(TABLE), [[0]], row, span=4)
    assert result.revealed_at[0, 0].tolist() == steps
    assert result.forward_passes.item() == max(steps) + 1


def test_a_policy_is_one_function():
    @policy("middle_first", blind=True, centre=1.0)
    def middle_first(view):
        return -(view.positions - view.row["centre"]).abs()

    try:
        result = decode(fixed(TABLE), [[0]], {"order": "middle_first", "centre": 2.2}, span=4)
        assert result.revealed_at[0, 0].tolist() == [3, 2, 0, 1]
        with pytest.raises(InputError, match=r"decoders: policy: .*'center' was unexpected"):
            decode(fixed(TABLE), [[0]], {"order": "middle_first", "center": 2.2}, span=4)
    finally:
        del POLICIES["middle_first"]


def test_temperature_and_truncation():
    """Temperature 1/2 squares the odds; top_k keeps the two largest; the reported probability is the model's."""
    row = {"order": "random", "temperature": 0.5, "top_k": 2, "steps": 1}
    result = decode(fixed([[0.4, 0.3, 0.2, 0.1]]), [[0]], row, span=1, samples=4000)
    share = np.bincount(result.token_ids.flatten(), minlength=4) / 4000
    assert np.allclose(share, [16 / 25, 9 / 25, 0, 0], atol=4 * math.sqrt(0.25 / 4000))
    expected = torch.tensor([0.4, 0.3]).log()[result.token_ids]
    assert torch.allclose(result.logprob_at_reveal, expected, atol=1e-5)
    for temperature, nucleus_ids in ((1.0, {0, 1, 2}), (0.5, {0, 1})):  # 0.4 + 0.3 < 0.75 < 16/30 + 9/30
        row = {"order": "random", "temperature": temperature, "top_p": 0.75}
        nucleus = decode(fixed([[0.4, 0.3, 0.2, 0.1]]), [[0]], row, span=1, samples=300)
        assert set(nucleus.token_ids.flatten().tolist()) == nucleus_ids


# -- the marginal trap, exactly


def test_the_papers_toy():
    """One step: eight strings, 1/8 each, six of them never seen; one token first, and none is."""
    model = language(["He likes apple", "I play tennis"])
    row = {"order": "random", "temperature": 1.0, "forbid": ["mask"]}
    samples = 4000
    result = decode(model, [[]], {**row, "steps": 1}, span=3, samples=samples).token_ids[0]
    counts = np.array(list(Counter(map(tuple, result.tolist())).values()))
    assert len(counts) == 8
    assert p_value(((counts - samples / 8) ** 2 / (samples / 8)).sum(), 7) > 1e-3
    for sizes in ([1, 2], [1, 1, 1]):
        result = decode(model, [[]], {**row, "step_sizes": sizes}, span=3, samples=200).token_ids[0]
        texts = {model.tokenizer.decode(ids) for ids in result.tolist()}
        assert texts == {"He likes apple", "I play tennis"}


# -- keyed and reference noise


def outcome(result):
    """Tokens and the step of each, per sample."""
    both = torch.cat([result.token_ids, result.revealed_at], -1)[0]
    return Counter(map(tuple, both.tolist()))


@pytest.mark.parametrize(
    "row",
    [
        {"order": "low_confidence", "temperature": 1.0, "steps": 3},
        {"order": "low_confidence", "temperature": 0.6, "block_length": 1},
        {"order": "random", "temperature": 1.5, "steps": 2, "remainder": "last"},
        {"order": "entropy", "temperature": 1.0, "alg_temp": 0.5, "steps": 2},
        {"order": "maskgit_plus", "temperature": 0.8, "top_p": 0.95, "steps": 3},
        {"order": "origin", "temperature": 1.0, "steps": 2},
    ],
    ids=lambda row: row["order"],
)
def test_keyed_and_reference_noise_have_one_law(row):
    samples, model = 3000, bigrams()
    keyed, reference = (
        outcome(decode(model, [[0, 1]], row, span=3, samples=samples, seed=11, noise=noise))
        for noise in ("keyed", "reference")
    )
    seen = sorted(set(keyed) | set(reference))
    table = np.array([[counts[key] for key in seen] for counts in (keyed, reference)])
    rare = table.sum(0) < 20
    table = np.column_stack([table[:, ~rare], table[:, rare].sum(1)])
    table = table[:, table.sum(0) > 0]
    assert table.shape[1] > 10
    expected = table.sum(0) / 2  # both have as many samples
    assert p_value(((table - expected) ** 2 / expected).sum(), table.shape[1] - 1) > 1e-3


def test_keyed_law_is_the_exact_one():
    """Random order, one a step, against the probabilities computed by enumeration."""
    model, samples = bigrams(), 6000
    exact = Counter()
    for order in itertools.permutations(range(3)):
        for tokens in itertools.product(range(3), repeat=3):
            ids, p = torch.tensor([[0, 1, 4, 4, 4]]), 1 / 6
            for place in order:
                log_p = model.log_probs(ids, None, torch.tensor([[0, 2 + place]]))
                p *= log_p[0, tokens[place]].exp().item()
                ids[0, 2 + place] = tokens[place]
            exact[tokens] += p
    row = {"order": "random", "temperature": 1.0}
    result = Counter(map(tuple, decode(model, [[0, 1]], row, span=3, samples=samples).token_ids[0].tolist()))
    statistic = sum((result[tokens] - samples * p) ** 2 / (samples * p) for tokens, p in exact.items())
    assert sum(exact.values()) == pytest.approx(1)
    assert p_value(statistic, len(exact) - 1) > 1e-3


POLICY_ROWS = read_yaml(ROOT / "config" / "decoders.yaml")


def in_steps(name, steps, span):
    """A row of the table at a number of steps; a falling curve stands for a measured one."""
    return variants(POLICY_ROWS[name], [steps], curve=np.linspace(3, 0.1, span))[0]


@pytest.mark.parametrize("name", POLICY_ROWS)
def test_batches_change_nothing(llada, name):
    """The same answers one at a time, all together, in another order, and among others."""
    row = in_steps(name, 4, span=8)
    if "block_length" in row:
        row["block_length"] = 4
    options = {"span": 8, "samples": 2, "seed": 5}
    ids = ["p", "q", "r", "s"]
    together = decode(llada, PROMPTS, row, **options, prompt_ids=ids)
    alone = decode(llada, PROMPTS, row, **options, prompt_ids=ids, batch_tokens=1)
    some = decode(llada, PROMPTS[:0:-1], row, **options, prompt_ids=ids[:0:-1], batch_tokens=40)
    for key in ("token_ids", "revealed_at", "forward_passes"):
        assert torch.equal(getattr(together, key), getattr(alone, key))
        assert torch.equal(getattr(together, key)[1:], getattr(some, key).flip(0))
    assert torch.allclose(together.logprob_at_reveal, alone.logprob_at_reveal, atol=1e-4, equal_nan=True)
    if row.get("temperature"):
        other = decode(llada, PROMPTS, row, **{**options, "seed": 6}, prompt_ids=ids)
        assert not torch.equal(other.token_ids, together.token_ids)
        assert not torch.equal(together.token_ids[:, 0], together.token_ids[:, 1])


@pytest.mark.parametrize("name", POLICY_ROWS)
def test_every_row_of_the_table_finishes(name):
    """On a model that never says mask, no mask is left, and what is reported adds up."""
    row = in_steps(name, 16, span=128)
    if "soft_mask" in row:
        with pytest.raises(InputError, match="soft_mask: this model takes no mixtures"):
            decode(bigrams(), [[0]], row)
        return
    result = decode(bigrams(), [[0], [1, 2]], row, span=128, samples=2)
    assert result.token_ids.shape == (2, 2, 128) and result.token_ids.dtype == torch.int64
    assert result.token_ids.max() < 3
    assert result.revealed_at.min() >= 0 and result.revealed_at.max() < 16
    assert (result.logprob_at_reveal <= 0).all()
    assert (result.forward_passes <= 16).all()


def test_reported_logprob_is_the_models(llada):
    """Replay: hide what came at the same step or later, and score again."""
    row = {"order": "entropy", "temperature": 1.0, "top_p": 0.9, "steps": 4}
    result = decode(llada, PROMPTS[:1], row, span=8, seed=3)
    tokens, steps = result.token_ids[0, 0], result.revealed_at[0, 0]
    for step in range(4):
        ids = torch.tensor([*PROMPTS[0], *torch.where(steps < step, tokens, llada.mask_id)])[None]
        places = (steps == step).nonzero()[:, 0]
        queries = torch.stack([torch.zeros_like(places), places + len(PROMPTS[0])], -1)
        log_p = llada.log_probs(ids, None, queries).gather(-1, tokens[places, None])[:, 0]
        assert torch.allclose(result.logprob_at_reveal[0, 0, places], log_p, atol=1e-5)


# -- what is computed, and for whom


def test_only_needed_positions_are_asked_for():
    """Orders that do not look ask for what they reveal; the others for the masks of the block."""
    spy = Spy(bigrams())
    decode(spy, [[0]], {"order": "random", "steps": 4}, span=8)
    assert [len(queries) for _, queries, _ in spy.calls] == [2, 2, 2, 2]
    spy = Spy(bigrams())
    decode(spy, [[0]], {"order": "low_confidence", "steps": 4, "block_length": 4}, span=8)
    assert [len(queries) for _, queries, _ in spy.calls] == [4, 2, 4, 2]


def test_finished_rows_leave_the_batch():
    """After prompt 0 all is certain, after prompt 1 nothing is: one step against eight."""
    sure, unsure = torch.tensor([9.0, 0, 0, NEVER, NEVER]), torch.tensor([0.1, 0, 0, NEVER, NEVER])
    spy = Spy(MockDenoiser(list("abc"), lambda ids, queries: torch.stack([sure, unsure])[ids[queries[:, 0], 0]]))
    result = decode(spy, [[0], [1]], {"order": "confidence_threshold"}, span=8)
    assert result.forward_passes.tolist() == [[1], [8]]
    assert [len(ids) for ids, _, _ in spy.calls] == [2, *[1] * 7]


def test_out_of_memory_halves_the_batch(caplog):
    model = bigrams()
    enough = model.predict

    def predict(ids, queries):
        if len(ids) > 2:
            raise torch.OutOfMemoryError("too much")
        return enough(ids, queries)

    row = {"order": "low_confidence", "temperature": 1.0}
    expected = decode(model, [[0]] * 5, row, span=4)
    model.predict = predict
    result = decode(model, [[0]] * 5, row, span=4)
    assert torch.equal(result.token_ids, expected.token_ids)
    assert "out of memory with 5 sequences, going on with 2 at a time" in caplog.text


def test_masks_in_the_prompt_compete():
    """LLaDA's rule: the block's number of masks sets the steps' sizes, masks before it are candidates too."""
    model = fixed([*TABLE, [0.3, 0.3, 0.2, 0.2], [0.3, 0.3, 0.2, 0.2]])
    result = decode(model, [[0, 5, 5]], {"order": "low_confidence", "steps": 2}, span=2)
    # columns 1 and 2 hold rows 0 and 1 of the table, the answer rows 2 and 3: 0.96 first, then 0.50, and nothing more
    assert result.revealed_at.tolist() == [[[-1, 0]]]
    assert result.token_ids.tolist() == [[[5, 0]]]
    assert result.logprob_at_reveal[0, 0, 0].isnan()


def test_a_drawn_mask_stays_a_mask_unless_forbidden():
    model = MockDenoiser(["a"], lambda ids, queries: torch.tensor([0.0, NEVER, 1.0]).expand(len(queries), 3))
    assert decode(model, [[]], {"order": "random"}, span=2).revealed_at.tolist() == [[[-1, -1]]]
    result = decode(model, [[]], {"order": "random", "forbid": ["mask", "eos"]}, span=2)
    assert result.token_ids.tolist() == [[[0, 0]]]
    assert torch.allclose(result.logprob_at_reveal, torch.zeros(1, 1, 2))


def test_empty_prompts(llada):
    result = decode(llada, [[], [0, 5, 2]], {"order": "low_confidence"}, span=4)
    alone = decode(llada, [[]], {"order": "low_confidence"}, span=4)
    assert torch.equal(result.token_ids[:1], alone.token_ids)
    assert decode(llada, [], {"order": "low_confidence"}, span=4).token_ids.shape == (0, 1, 4)


# -- revision, guidance, soft masks


@pytest.mark.parametrize("remask", ["cap", "rescale", "confidence"])
def test_remdm_keeps_the_share_of_masks(remask):
    """With K steps, the expected share of masks after step s is 1 − s/K, as without masking again (2503.00307)."""
    samples, steps, span = 100, 8, 128  # so many that every answer reveals something at every step
    row = {"order": "remdm", "steps": steps, "temperature": 1.0, "remask": remask, "eta": 0.3}
    spy = Spy(bigrams())
    result = decode(spy, [[]], row, span=span, samples=samples, batch_tokens=10**6)
    assert result.revealed_at.min() >= 0
    assert len(spy.calls) == steps
    masks = [(ids == spy.mask_id) for ids, _, _ in spy.calls]
    for step in range(1, steps):
        assert masks[step].float().mean() == pytest.approx(1 - step / steps, abs=0.02)
    again = sum((after & ~before).sum() for before, after in itertools.pairwise(masks))
    assert again > samples
    never = {**row, "eta": 0.0, "remask": "cap"}
    spy = Spy(bigrams())
    decode(spy, [[]], never, span=span, samples=samples, batch_tokens=10**6)
    masks = [(ids == spy.mask_id) for ids, _, _ in spy.calls]
    assert not any((after & ~before).any() for before, after in itertools.pairwise(masks))


def test_guidance():
    """One position: logits u + (s + 1)(c − u), c with the prompt, u with masks in its place."""
    c, u = torch.tensor([1.0, 0.2, 0.0, NEVER, NEVER]), torch.tensor([0.0, 0.5, 0.0, NEVER, NEVER])
    model = MockDenoiser(list("abc"), lambda ids, queries: torch.stack([c, u])[(ids[queries[:, 0], 0] == 4).long()])
    result = decode(model, [[1]], {"order": "low_confidence", "cfg_scale": 1.5}, span=1)
    guided = (u.log_softmax(-1) + 2.5 * (c.log_softmax(-1) - u.log_softmax(-1))).log_softmax(-1)
    assert result.token_ids.item() == 0
    assert result.logprob_at_reveal.item() == pytest.approx(guided[0].item(), abs=1e-5)


def test_mixture_of_one_token_is_that_token(llada):
    ids = torch.tensor([[0, 5, 3, 3]])
    queries = torch.tensor([[0, 3]])
    mixture = torch.tensor([[0, 2]]), torch.tensor([[7, 8]]), torch.tensor([[1.0, 0.0]])
    mixed = llada.log_probs(ids, None, queries, mixture=mixture)
    assert torch.allclose(mixed, llada.log_probs(torch.tensor([[0, 5, 7, 3]]), None, queries), atol=1e-6)


def test_soft_masks_carry_the_last_prediction(llada):
    spy = Spy(llada)
    row = {"order": "low_confidence", "steps": 2, "soft_mask": 0.4, "soft_mask_top_k": 2}
    decode(spy, PROMPTS[:1], row, span=4)
    (ids, queries, first), (_, _, second) = spy.calls
    assert len(first["mixture"][0]) == 0
    places, tokens, weights = second["mixture"]
    assert len(places) == 2
    top = llada.log_probs(ids, None, places).topk(2)
    assert torch.equal(tokens[:, 1:], top.indices) and (tokens[:, 0] == llada.mask_id).all()
    assert torch.allclose(weights[:, 1:], 0.4 * top.values.softmax(-1), atol=1e-5)
    assert torch.allclose(weights.sum(-1), torch.ones(2))


# -- other corruptions


def test_causal_models_go_left_to_right():
    """A model of the next word; what stands to the right is never shown."""
    follows = torch.tensor([[0, 9, 0], [0, 0, 9], [9, 0, 0]]).float()
    full = torch.nn.functional.pad(follows, (0, 2), value=NEVER)

    def predict(ids, queries):
        assert ids.shape[1] == queries[:, 1].max() + 1
        return full[ids[queries[:, 0], queries[:, 1] - 1]]

    model = MockDenoiser(list("abc"), predict)
    model.corruption, model.mask_id = "causal", None
    result = decode(model, [[0], [1]], {"order": "left_to_right"}, span=4)
    assert result.token_ids[:, 0].tolist() == [[1, 2, 0, 1], [2, 0, 1, 2]]
    assert result.revealed_at[0, 0].tolist() == [0, 1, 2, 3]
    for row, key in (({"order": "entropy"}, "order"), ({"order": "left_to_right", "steps": 2}, "steps")):
        with pytest.raises(InputError, match=rf"decoders: fast\.{key}: .*causal model"):
            decode(model, [[0]], row, span=4, name="fast")


@pytest.mark.parametrize("corruption", ["uniform", "gaussian"])
def test_other_corruptions_are_refused(corruption):
    model = bigrams()
    model.corruption = corruption
    with pytest.raises(InputError, match=rf"decoders: fast\.order: 'random' decodes masks, not {corruption}"):
        decode(model, [[0]], {"order": "random"}, span=4, name="fast")


# -- bad input


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"order": "best"}, r"fast\.order: 'best' is unknown \(expected one of random,"),
        ({}, r"fast\.order: None is unknown"),
        ({"order": "random", "block_length": 24}, r"fast\.block_length: 24 does not divide the span of 128"),
        ({"order": "random", "block_length": 256}, r"fast\.block_length: 256 does not divide the span of 128"),
        ({"order": "random", "block_length": 8, "steps": 24}, r"fast\.steps: 24 does not divide into 16 blocks of 8"),
        ({"order": "random", "steps": 129}, r"fast\.steps: 129 steps are more than the span of 128 tokens"),
        ({"order": "random", "steps": 0}, r"fast\.steps: 0 is less than the minimum of 1"),
        ({"order": "random", "steps": "many"}, r"fast\.steps: 'many' is not of type 'integer'"),
        ({"order": "random", "step_sizes": [64, 63]}, r"fast\.step_sizes: add up to 127, not to the span of 128"),
        ({"order": "random", "step_sizes": [128], "steps": 1}, r"fast\.steps: cannot be combined with step_sizes"),
        ({"order": "random", "temperature": -1}, r"fast\.temperature: -1 is less than the minimum of 0"),
        ({"order": "random", "top_p": 0}, r"fast\.top_p: 0 is less than or equal to the minimum of 0"),
        ({"order": "random", "top_k": 0}, r"fast\.top_k: 0 is less than the minimum of 1"),
        ({"order": "random", "speed": 3}, r"fast: Additional properties .*'speed' was unexpected"),
        ({"order": "random", "threshold": 0.5}, r"fast\.threshold: has no effect with order random"),
        ({"order": "random", "soft_mask_top_k": 5}, r"fast\.soft_mask_top_k: has no effect"),
        ({"order": "entropy", "remainder": "last"}, r"fast\.remainder: has no effect .* schedule timesteps"),
        ({"order": "origin", "schedule": "equal"}, r"fast\.schedule: has no effect with order origin"),
        ({"order": "confidence_threshold", "threshold": 1.5}, r"fast\.threshold: 1.5 is greater than the maximum of 1"),
        ({"order": "entropy_bound", "gamma": -0.1}, r"fast\.gamma: -0.1 is less than the minimum of 0"),
        ({"order": "remdm", "remask": "often"}, r"fast\.remask: 'often' is not one of"),
        (
            {"order": "random", "soft_mask": 0.5, "cfg_scale": 1.0},
            r"fast\.soft_mask: cannot be combined with cfg_scale",
        ),
    ],
)
def test_bad_rows(row, message):
    with pytest.raises(InputError, match=message) as caught:
        check_policy("fast", row, 128)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("row", [{"order": "low_confidence"}, {"order": "random", "cfg_scale": 1.0}])
def test_numbers_that_are_none_name_the_prompt(row):
    def predict(ids, queries):
        logits = torch.zeros(len(queries), 4)
        logits[ids[queries[:, 0], 0] == 1] = torch.nan
        return logits

    model = MockDenoiser(list("ab"), predict)
    with pytest.raises(InputError, match=r"^prompt bad: non-finite logits"):
        decode(model, [[0], [1], [0, 0]], row, span=4, prompt_ids=["good", "bad", "fine"])


@pytest.mark.parametrize(
    ("prompts", "options", "message"),
    [
        ([[0] * 4093], {}, r"prompt x: 4093 tokens and a span of 4 exceed the model's context of 4096"),
        ([[5]], {}, r"prompt x: holds token ids outside the model's 5 tokens"),
        ([[0], [0]], {}, r"prompt_ids: 1 names for 2 prompts"),
        ([[0]], {"noise": "white"}, r"noise: 'white' is unknown"),
        ([[0]], {"noise": "reference", "policy": {"order": "remdm"}}, r"policy\.order: 'remdm' has no reference"),
    ],
)
def test_bad_calls(prompts, options, message):
    with pytest.raises(InputError, match=message):
        decode(bigrams(), prompts, **{"policy": {"order": "random"}, "span": 4, "prompt_ids": ["x"], **options})


def test_null_is_a_missing_key_and_hides_no_misspelt_one():
    row = check_policy("a", {"order": "confidence_threshold", "threshold": None, "top_k": None}, 8)
    assert row["threshold"] == 0.9 and row["top_k"] is None
    with pytest.raises(InputError, match="did you mean 'top_k'"):
        check_policy("a", {"order": "random", "topk": None}, 8)
    with pytest.raises(InputError, match=r"a.step_sizes.0: 0 is less than the minimum of 1"):
        check_policy("a", {"order": "random", "step_sizes": [0, 8]}, 8)
    with pytest.raises(InputError, match=r"a.step_sizes: \[\] has fewer than 1 values"):
        check_policy("a", {"order": "random", "step_sizes": []}, 8)
