"""Training small models: the same bytes from the same settings, interrupted or not, in files that any loader takes."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

import tiny
from discreteness.core.errors import InputError
from discreteness.denoisers import load_denoiser
from discreteness.denoisers.llada import rename
from discreteness.training import loop as training
from discreteness.training import snapshot
from discreteness.training.batches import Batch, _ratios, draw, encode, learning_rate
from discreteness.training.export import llada_config
from discreteness.training.loop import Network, _sample, train
from discreteness.training.rows import TrainingSettings
from discreteness.training.snapshot import Pace, Snapshot
from discreteness.training.start import closed_form
from discreteness.training.tokenizer import BOS, EOS, EOT, MASK, train_tokenizer

HERE = Path(__file__).parent
PUBLISHED = HERE / "data" / "llada-8b-style" / "checkpoint"
STEPS = 23
ALWAYS = Pace(seconds=0, share=math.inf)  # a snapshot after every step
SETTINGS = {
    "data": "made-up",  # a key of the row that training has no use for
    "vocab_size": 300,
    "d_model": 16,
    "n_layers": 2,
    "n_heads": 2,
    "mlp_hidden_size": 24,
    "max_sequence_length": 96,
    "max_prompt_length": 64,
    "learning_rate": 0.01,
    "warmup_steps": 3,
    "decay": 0.3,
    "weight_decay": 0.1,
    "full_mask_share": 0.2,
    "prompt_dropout": 0.3,
    "text_share": 0.2,
    "phases": [
        {"steps": 10, "spans": [2, 8], "batch_size": 4, "label_smoothing": 0.1},
        {"steps": STEPS - 10, "spans": [6, 16], "batch_size": 6},
    ],
}
VERBS = "get set find sort join split read write count merge".split()
NOUNS = "name list file table key path".split()


def made_up_rows() -> pd.DataFrame:
    """Sixty questions and answers of different lengths."""
    rows = [
        (
            f"What does the function {verb}_{noun} in module toy.{noun} do?",
            f"{verb.title()} the {noun} of {verb}er {i}.",
        )
        for verb in VERBS
        for i, noun in enumerate(NOUNS)
    ]
    return pd.DataFrame(rows, columns=["prompt", "answer"])


ROWS = made_up_rows()


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """An uninterrupted training: its folder, its record, the network's weights before they were rounded."""
    folder, weights = tmp_path_factory.mktemp("finished"), {}
    with pytest.MonkeyPatch.context() as patch:

        def export(tensors, *rest):
            weights.update({name: tensor.clone() for name, tensor in tensors.items()})
            return training_export(tensors, *rest)

        training_export = training.export
        patch.setattr(training, "export", export)
        record = train(ROWS, SETTINGS, 1, folder / "out", folder / "state")
    return folder / "out", record, weights


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([*ROWS["prompt"], *ROWS["answer"]], SETTINGS["vocab_size"])


@pytest.fixture(scope="module")
def corpus(tokenizer):
    return encode(ROWS, tokenizer, TrainingSettings.read(SETTINGS, "train"), tokenizer.convert_tokens_to_ids(MASK))


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


class Interrupted(Exception):
    pass


def interrupt(monkeypatch, at: int, name: str = "draw") -> None:
    """Let the `at`-th call (from 1) of a function that training uses raise."""
    original, calls = getattr(training, name), iter(range(1, 10**6))

    def raising(*args, **kwargs):
        if next(calls) == at:
            raise Interrupted
        return original(*args, **kwargs)

    monkeypatch.setattr(training, name, raising)


def forget_time(record: dict) -> dict:
    return {**record, "seconds": None}


# ---- the same weights


def test_same_seed_same_bytes_other_seed_other_bytes(finished, tmp_path):
    folder, record, _ = finished
    torch.manual_seed(99)  # the caller's random number generator is neither used nor changed
    before = torch.random.get_rng_state()
    again = train(ROWS, SETTINGS, 1, tmp_path / "out", tmp_path / "state")
    assert torch.equal(torch.random.get_rng_state(), before)
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "out").iterdir())
    for name in set(names) - {"training.json"}:
        assert (folder / name).read_bytes() == (tmp_path / "out" / name).read_bytes(), name
    assert forget_time(again) == forget_time(record)
    train(ROWS, SETTINGS, 2, tmp_path / "other", tmp_path / "state2")
    assert weights(tmp_path / "other") != weights(folder)


def test_a_sample_of_the_rows_depends_on_the_seed_and_keeps_their_order():
    few = _sample(ROWS, 20, 1)
    assert len(few) == 20 and few.index.is_monotonic_increasing
    assert few.index.equals(_sample(ROWS, 20, 1).index) and not few.index.equals(_sample(ROWS, 20, 2).index)
    assert set(_sample(ROWS, 10, 1).index) < set(few.index)
    assert _sample(ROWS, 60, 1) is ROWS and _sample(ROWS, None, 1) is ROWS


def test_record(finished):
    folder, record, weights = finished
    assert json.loads((folder / "training.json").read_text()) == record
    assert (record["settings"], record["seed"], record["rows"]) == (SETTINGS, 1, 60)
    assert record["steps"] == len(record["losses"]) == STEPS
    assert record["threads"] == 1
    assert record["parameters"] == sum(tensor.numel() for tensor in weights.values())
    assert sum(record["losses"][-5:]) < sum(record["losses"][:5])


def test_first_step_is_taken_from_the_closed_form_start(finished, tokenizer, corpus):
    network = Network(llada_config(TrainingSettings.read(SETTINGS, "train"), len(tokenizer), 3, 1), seed=1)
    closed_form(network, corpus, seed=1)
    first = network.loss(draw(corpus, TrainingSettings.read(SETTINGS, "train"), 1, 0), 0.1).item()
    assert finished[1]["losses"][0] == pytest.approx(first, abs=1e-4)


@pytest.fixture
def steps(monkeypatch):
    """The steps that are taken, in their order."""
    taken = []
    monkeypatch.setattr(training, "draw", lambda *args: taken.append(args[-1]) or draw(*args))
    return taken


def test_interrupted_training_ends_with_the_same_weights(finished, steps, tmp_path, monkeypatch):
    folder, record, _ = finished
    for at in (1, 4, 12):  # before any snapshot, then in both phases
        with monkeypatch.context() as patch, pytest.raises(Interrupted):
            interrupt(patch, at)
            train(ROWS, SETTINGS, 1, tmp_path / "out", tmp_path / "state", ALWAYS)
        assert not (tmp_path / "out").exists()
    resumed = train(ROWS, SETTINGS, 1, tmp_path / "out", tmp_path / "state", ALWAYS)
    assert steps == list(range(STEPS))  # nothing twice
    assert weights(tmp_path / "out") == weights(folder)
    assert forget_time(resumed) == forget_time(record)
    assert not (tmp_path / "state").exists()


def test_interrupted_while_saving(finished, steps, tmp_path, monkeypatch):
    def save_file(tensors, path, metadata):
        original(tensors, path, metadata=metadata)
        if json.loads(metadata["record"])["steps"] == 10:
            Path(path).write_bytes(Path(path).read_bytes()[:1000])
            raise Interrupted

    original = snapshot.save_file
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(snapshot, "save_file", save_file)
        train(ROWS, SETTINGS, 1, tmp_path / "out", tmp_path / "state", ALWAYS)
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["state.safetensors"]
    train(ROWS, SETTINGS, 1, tmp_path / "out", tmp_path / "state")
    assert steps == [*range(10), *range(9, STEPS)]
    assert weights(tmp_path / "out") == weights(finished[0])


VICTIM = """
import sys, time, pathlib
import test_training as here
from discreteness.training import loop as training

def slow(corpus, settings, seed, step):
    time.sleep(0.02 if step < 12 else 120)
    return here.draw(corpus, settings, seed, step)

here.torch.set_num_threads(1)
training.draw = slow
folder = pathlib.Path(sys.argv[1])
training.train(here.ROWS, here.SETTINGS, 1, folder / "out", folder / "state", here.ALWAYS)
"""


def test_killed_training_ends_with_the_same_weights(finished, steps, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])},
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "state" / "state.safetensors").exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    train(ROWS, SETTINGS, 1, tmp_path / "out", tmp_path / "state")
    assert 0 < steps[0] <= 12
    assert weights(tmp_path / "out") == weights(finished[0])


def test_interrupted_while_writing_the_result(finished, steps, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        interrupt(patch, 1, "write_json")
        train(ROWS, SETTINGS, 1, tmp_path / "out", tmp_path / "state", ALWAYS)
    train(ROWS, SETTINGS, 1, tmp_path / "out", tmp_path / "state")
    assert steps == list(range(STEPS))
    assert weights(tmp_path / "out") == weights(finished[0])


def saved_by(rows, settings, seed, folder, monkeypatch) -> Path:
    """The snapshot of a training that was interrupted in its eighth step."""
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        interrupt(patch, 8)
        train(rows, settings, seed, folder / "out", folder / "state", ALWAYS)
    return folder / "state" / "state.safetensors"


@pytest.mark.parametrize("changed", ["settings", "seed", "rows", "threads"])
def test_a_state_of_another_training_is_ignored(finished, steps, tmp_path, monkeypatch, caplog, changed):
    rows = ROWS.iloc[::-1].reset_index(drop=True) if changed == "rows" else ROWS
    settings = {**SETTINGS, "learning_rate": 0.02} if changed == "settings" else SETTINGS
    with monkeypatch.context() as patch:
        if changed == "threads":
            patch.setattr(torch, "get_num_threads", lambda: 2)
        assert saved_by(rows, settings, 2 if changed == "seed" else 1, tmp_path, monkeypatch).exists()
    steps.clear()
    with caplog.at_level("INFO", "discreteness"):
        train(ROWS, SETTINGS, 1, tmp_path / "out", tmp_path / "state")
    assert "is of another training; starting afresh" in caplog.text
    assert steps == list(range(STEPS))
    assert weights(tmp_path / "out") == weights(finished[0])


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def without_header(path):
    snapshot.save_file(load_file(path), path)


@pytest.mark.parametrize("damage", [cut, flip, empty, without_header])
def test_a_damaged_state_is_one_line_and_a_fresh_start(finished, steps, tmp_path, monkeypatch, caplog, damage):
    damage(saved_by(ROWS, SETTINGS, 1, tmp_path, monkeypatch))
    steps.clear(), caplog.clear()
    train(ROWS, SETTINGS, 1, tmp_path / "out", tmp_path / "state")
    (message,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "state.safetensors cannot be read" in message and "\n" not in message
    assert steps == list(range(STEPS))
    assert weights(tmp_path / "out") == weights(finished[0])


@pytest.mark.parametrize(
    ("pace", "cost", "due"),
    [
        (Pace(30, 0.01), 0.1, [30, 60, 90, 120]),  # cheap to save: every 30 s
        (Pace(30, 0.01), 0.9, [30, 120]),  # a hundred times what saving takes
        (ALWAYS, 0.9, [*range(1, 121)]),
    ],
)
def test_pace(tmp_path, monkeypatch, network, pace, cost, due):
    """With a simulated clock: steps take a second, and saving takes `cost` seconds."""
    now, saved = 0.0, []
    monkeypatch.setattr(snapshot.time, "monotonic", lambda: now)

    def save_file(tensors, path, metadata):
        nonlocal now
        now += cost
        Path(path).touch()

    monkeypatch.setattr(snapshot, "save_file", save_file)
    current = Snapshot(tmp_path, "", pace)
    for second in range(1, 121):
        now += 1
        if current.due():
            saved.append(second)
            current.save(network, torch.optim.AdamW(network.parameters()), {})
    assert saved == due


# ---- what is refused


@pytest.mark.parametrize("bad", ["learning rate", "nan", "inf"])
def test_loss_that_is_not_finite(tmp_path, monkeypatch, bad):
    if bad == "learning rate":
        monkeypatch.setattr(training, "learning_rate", lambda settings, step: 1e9)
    else:
        monkeypatch.setattr(Network, "loss", lambda self, batch, smoothing: torch.tensor(float(bad)))
    with pytest.raises(InputError, match=r"the loss is (nan|inf) at step \d+; lower train.learning_rate"):
        train(ROWS, SETTINGS, 1, tmp_path / "out", tmp_path / "state")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"d_model": 18, "n_heads": 4}, "train: d_model: 18 .* n_heads = 4"),
        ({"d_model": 12, "n_heads": 4}, "train: d_model: 12"),  # 3 a head: rotary positions need pairs
        ({"phases": [{"steps": 1, "spans": [8, 7], "batch_size": 1}]}, r"train: phases: spans \[8, 7\]"),
        ({"phases": [{"steps": 1, "spans": [8, 33], "batch_size": 1}]}, "train: phases: .* max_sequence_length = 96"),
        ({"max_prompt_length": 81}, r"train: phases: spans \[6, 16\] with prompts of 81 tokens"),
    ],
)
def test_settings_that_do_not_fit(changes, message):
    with pytest.raises(InputError, match=message):
        TrainingSettings.read({**SETTINGS, **changes}, "train")


def test_settings():
    chosen = TrainingSettings.read({**SETTINGS, "max_prompt_length": 80}, "train")  # just fits
    assert chosen.steps == STEPS
    assert [chosen.phase(step).batch_size for step in (0, 9, 10, STEPS - 1)] == [4, 4, 6, 6]
    assert [phase.label_smoothing for phase in chosen.phases] == [0.1, 0.0]
    with pytest.raises(IndexError):
        chosen.phase(STEPS)


def test_no_prompt_short_enough(tokenizer):
    with pytest.raises(InputError, match="train.max_prompt_length: no prompt has 5 tokens or fewer"):
        encode(ROWS, tokenizer, TrainingSettings.read({**SETTINGS, "max_prompt_length": 5}, "train"), 3)


# ---- the files


def test_loader_computes_what_the_network_computes(finished):
    folder, _, _ = finished
    denoiser = load_denoiser({"family": "llada", "path": folder}, device="cpu")
    network = Network(json.loads((folder / "config.json").read_text()), seed=5)
    stored = {rename(name): tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
    network.backbone.load_state_dict({k: v for k, v in stored.items() if k != "lm_head.weight"}, strict=True)
    network.lm_head.load_state_dict({"weight": stored["lm_head.weight"]}, strict=True)
    prompt, answer = denoiser.encode_prompt(ROWS["prompt"][0]), denoiser.encode_answer(ROWS["answer"][0])
    ids = torch.tensor([prompt + [denoiser.mask_id] * 8, prompt + answer[:3] + [denoiser.mask_id] * 5])
    with torch.no_grad():
        hidden = network.backbone(input_ids=ids, use_cache=False).last_hidden_state
        expected = network.lm_head(hidden).log_softmax(-1)
    everywhere = torch.cartesian_prod(*map(torch.arange, ids.shape))
    actual = denoiser.log_probs(ids, None, everywhere).view(*ids.shape, -1)
    assert (actual - expected).abs().max() <= 1e-5
    # bidirectional: the answer's first token is seen from the prompt's first position
    assert (expected[0, 0] - expected[1, 0]).abs().max() > 1e-4


def test_exported_weights_are_the_rounded_ones(finished):
    folder, _, weights = finished
    stored = load_file(folder / "model.safetensors")
    named = {rename(name): tensor for name, tensor in stored.items()}
    assert named.keys() == weights.keys()
    for name, tensor in named.items():
        assert tensor.dtype == torch.bfloat16
        assert torch.equal(tensor, weights[name].bfloat16()), name
    size = SETTINGS["vocab_size"]
    shapes = {name: tensor.shape for name, tensor in tiny.tensors(tiny.config(embedding_size=size)).items()}
    assert {name: tensor.shape for name, tensor in stored.items()} == shapes


def test_config_has_the_published_keys(finished):
    folder, _, _ = finished
    config, published = (json.loads((path / "config.json").read_text()) for path in (folder, PUBLISHED))
    assert config.keys() <= published.keys()
    # of the others none says what the model computes
    assert published.keys() - config.keys() <= {
        *("auto_map", "init_cutoff_factor", "init_fn", "init_std", "precision", "transformers_version")
    }
    names = ("vocab_size", "d_model", "n_layers", "n_heads", "mlp_hidden_size", "max_sequence_length")
    assert {name: config[name] for name in names} == {name: SETTINGS[name] for name in names}
    assert config["embedding_size"] == config["vocab_size"]
    assert (config["mask_token_id"], config["eos_token_id"], config["pad_token_id"]) == (3, 1, 1)
    generation = json.loads((folder / "generation_config.json").read_text())
    assert generation == {"eos_token_id": 1, "pad_token_id": 1}


# ---- the tokenizer


@pytest.mark.parametrize("load", [PreTrainedTokenizerFast, AutoTokenizer], ids=["loader", "auto"])
def test_stored_tokenizer(finished, tokenizer, load):
    options = {"trust_remote_code": False} if load is AutoTokenizer else {}
    stored = load.from_pretrained(finished[0], local_files_only=True, **options)
    assert len(stored) == len(tokenizer) == SETTINGS["vocab_size"]
    assert stored.get_vocab() == tokenizer.get_vocab()
    assert [stored.convert_tokens_to_ids(token) for token in (BOS, EOS, EOT, MASK)] == [0, 1, 2, 3]
    assert (stored.bos_token_id, stored.eos_token_id, stored.pad_token_id) == (0, 1, 1)
    assert stored.chat_template == tokenizer.chat_template
    messages = [{"role": "user", "content": "no"}, {"role": "user", "content": "  What does getName do?\n"}]
    text = stored.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == f"{BOS}What does getName do?{EOT}"
    ids = stored(text, add_special_tokens=False).input_ids
    assert (ids[0], ids[-1]) == (0, 2)
    assert min(ids[1:-1]) > 3
    assert stored.decode(ids[1:-1]) == "what does get name do?"
    assert stored(MASK + EOS, add_special_tokens=False).input_ids == [3, 1]
    assert stored("read the key").input_ids == tokenizer("read the key").input_ids


def test_denoiser_of_the_folder(finished):
    denoiser = load_denoiser({"family": "llada", "path": finished[0]}, device="cpu")
    assert (denoiser.mask_id, denoiser.eos_ids, denoiser.special_ids) == (3, (1, 2), (0, 1, 2, 3))
    assert (denoiser.vocab_size, denoiser.context_length) == (300, 96)
    prompt = denoiser.encode_prompt(" What is it? ")
    assert (prompt[0], prompt[-1]) == (0, 2)
    assert denoiser.tokenizer.decode(prompt[1:-1]) == "what is it?"


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("What does it do?", "what does it do?"),
        ("getName_of the HTTPServer", "get name of the httpserver"),
        ("__init__ of a2B", " init  of a2 b"),
        ("Caf\u00e9 \ufb01le \u4e2d 42.5 %", "caf\u00e9 file \u4e2d 42.5 %"),
        ("two  spaces\nand\ta tab", "two  spaces\nand\ta tab"),
    ],
)
def test_round_trip(tokenizer, text, back):
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == back


def test_identifiers_fall_apart_into_words():
    tokenizer = train_tokenizer(["get name of the thing and get name of it"] * 9, 400)
    assert [piece.lstrip("\u0120") for piece in tokenizer.tokenize("getName_of")] == ["get", "name", "of"]
    assert (
        tokenizer("getName_of").input_ids == tokenizer("get_name__of").input_ids == tokenizer("get name of").input_ids
    )
    assert tokenizer.tokenize("42") == ["4", "2"]
    assert len(tokenizer) < 400  # no more merges to be had
    assert set(pre_tokenizers.ByteLevel.alphabet()) <= set(tokenizer.get_vocab())  # so that no text is unknown


# ---- the batches


def encoded_with(tokenizer, **changes):
    settings = TrainingSettings.read({**SETTINGS, **changes}, "train")
    return encode(ROWS, tokenizer, settings, 3), settings


def test_corpus(tokenizer, corpus):
    assert sum(len(prompts) for prompts, _ in corpus.groups) == len(ROWS)
    lengths = [prompts.shape[1] for prompts, _ in corpus.groups]
    assert lengths == sorted(set(lengths)) and len(lengths) > 2
    for prompts, answers in corpus.groups:
        assert answers.shape == (len(prompts), 16)
        for prompt, answer in zip(prompts.tolist(), answers.tolist(), strict=True):
            (row,) = [
                row
                for row in ROWS.itertuples()
                if tokenizer.decode(prompt[1:-1]) == row.prompt.lower().replace("_", " ")
            ]
            wanted = tokenizer(row.answer).input_ids
            assert answer == (wanted + [1] * 16)[:16]
    texts = [f"{BOS}{row.prompt}{EOT}{row.answer}{EOS}" for row in ROWS.itertuples()]
    assert corpus.stream.tolist() == [id_ for ids in tokenizer(texts).input_ids for id_ in ids]
    shorter, _ = encoded_with(tokenizer, max_prompt_length=lengths[0])
    assert [prompts.shape[1] for prompts, _ in shorter.groups] == lengths[:1]


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("inputs", "targets", "masked"))


def test_draw_is_a_function_of_seed_and_step(corpus):
    settings = TrainingSettings.read(SETTINGS, "train")
    forwards = [draw(corpus, settings, 7, step) for step in range(STEPS)]
    torch.manual_seed(3)
    for step in reversed(range(STEPS)):
        torch.rand(1)
        assert same(draw(corpus, settings, 7, step), forwards[step])
        assert not same(draw(corpus, settings, 8, step), forwards[step])
    assert not any(same(forwards[step], forwards[step + 1]) for step in range(STEPS - 1))


@pytest.mark.parametrize("dropout", [0.0, 0.9])
def test_questions(tokenizer, dropout):
    corpus, settings = encoded_with(tokenizer, prompt_dropout=dropout, text_share=0.0)
    known = {
        tuple(p + a)
        for prompts, answers in corpus.groups
        for p, a in zip(prompts.tolist(), answers.tolist(), strict=True)
    }
    spans, hidden, lengths = [set(), set()], 0, set()
    for seed in range(10):
        for step in range(STEPS):
            batch = draw(corpus, settings, seed, step)
            number = int(step >= 10)
            length = int((batch.targets[0] == 2).nonzero()[0]) + 1  # up to the end of turn
            span = batch.targets.shape[1] - length
            spans[number].add(span)
            lengths.add(length)
            assert len(batch.targets) == (4, 6)[number]
            for row in batch.targets.tolist():
                assert any(tuple(row) == whole[: len(row)] for whole in known)
            covered = batch.inputs == 3
            assert torch.equal(batch.inputs, batch.targets.masked_fill(covered, 3))
            assert torch.equal(covered[:, length:], batch.masked[:, length:])
            assert batch.masked.any(1).all()
            assert not batch.masked[:, :length].any()
            assert not covered[:, [0, length - 1]].any()
            hidden += int(covered[:, :length].sum())
    assert spans == [set(range(2, 9)), set(range(6, 17))]  # all within bounds, and all of them
    assert len(lengths) == len(corpus.groups)
    assert (hidden > 0) is (dropout > 0)


def test_share_of_hidden_prompt_tokens_and_of_masks(tokenizer):
    changes = {"text_share": 0.0, "phases": [{"steps": 300, "spans": [16, 16], "batch_size": 8}]}
    corpus, settings = encoded_with(tokenizer, prompt_dropout=0.5, full_mask_share=0.25, **changes)
    batches = [draw(corpus, settings, 0, step) for step in range(300)]
    hidden = torch.cat([(batch.inputs == 3)[:, 1:-17].float().mean(1) for batch in batches])
    assert hidden.mean() == pytest.approx(0.25, abs=0.02)  # uniform from 0 to a half
    answers = torch.cat([batch.masked[:, -16:] for batch in batches])
    assert answers.float().mean() == pytest.approx(0.25 + 0.75 / 2, abs=0.03)
    # wholly masked by choice, or by chance: the mean of r^16 over a uniform r is 1/17
    assert answers.all(1).float().mean() == pytest.approx(0.25 + 0.75 / 17, abs=0.03)


def test_whole_answers_masked(tokenizer):
    corpus, settings = encoded_with(tokenizer, full_mask_share=1.0, text_share=0.0, prompt_dropout=0.0)
    for step in range(STEPS):
        batch = draw(corpus, settings, 0, step)
        length = int((batch.targets[0] == 2).nonzero()[0]) + 1
        assert batch.masked[:, length:].all()


def test_running_text(tokenizer):
    corpus, settings = encoded_with(tokenizer, text_share=1.0)
    stream = corpus.stream.unfold(0, 64, 1)
    for step in range(STEPS):
        batch = draw(corpus, settings, 0, step)
        assert batch.targets.shape == (4 if step < 10 else 6, 64)
        assert all((stream == row).all(1).any() for row in batch.targets)
        assert torch.equal(batch.inputs, batch.targets.masked_fill(batch.masked, 3))
        assert batch.masked.any(1).all()


def test_text_shorter_than_a_batch(tokenizer):
    settings = TrainingSettings.read({**SETTINGS, "text_share": 1.0}, "train")
    corpus = encode(ROWS.head(1), tokenizer, settings, 3)
    length = len(corpus.stream)
    assert length < 64
    for row in draw(corpus, settings, 0, 0).targets.tolist():
        assert row == [*corpus.stream.tolist(), *[1] * (64 - length)]


def test_share_of_running_text(tokenizer):
    corpus, settings = encoded_with(
        tokenizer, text_share=0.25, phases=[{"steps": 400, "spans": [4, 4], "batch_size": 1}]
    )
    texts = sum(draw(corpus, settings, 0, step).targets.shape[1] == 64 for step in range(400))
    assert texts == pytest.approx(100, abs=30)


def test_ratios_are_evenly_spread():
    generator = torch.Generator().manual_seed(0)
    drawn = [_ratios(5, generator).flatten() for _ in range(100)]
    for ratios in drawn:
        even = ratios.sort().values
        assert 0 <= even[0] < 0.2
        torch.testing.assert_close(even.diff(), torch.full((4,), 0.2))
    means = torch.stack(drawn).mean(0)
    assert (means - 0.5).abs().max() < 0.1  # in random order
    assert torch.stack(drawn).mean() == pytest.approx(0.5, abs=0.02)


def test_learning_rate():
    phases = [{"steps": 10, "spans": [2, 8], "batch_size": 1}, {"steps": 10, "spans": [2, 8], "batch_size": 1}]
    settings = TrainingSettings.read(
        {**SETTINGS, "learning_rate": 0.2, "warmup_steps": 4, "decay": 0.25, "phases": phases}, "train"
    )
    rates = [learning_rate(settings, step) for step in range(21)]
    assert rates == pytest.approx([0.05, 0.1, 0.15, *[0.2] * 13, 0.16, 0.12, 0.08, 0.04, 0.0])
    constant = TrainingSettings.read(
        {**SETTINGS, "learning_rate": 0.2, "warmup_steps": 0, "decay": 0.0, "phases": phases}, "train"
    )
    assert [learning_rate(constant, step) for step in range(20)] == [0.2] * 20


# ---- the network


@pytest.fixture
def network(tokenizer):
    return Network(llada_config(TrainingSettings.read(SETTINGS, "train"), len(tokenizer), 3, 1), seed=0)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_of_a_network_that_knows_nothing(network, corpus, smoothing):
    torch.nn.init.zeros_(network.lm_head.weight)
    loss = network.loss(draw(corpus, TrainingSettings.read(SETTINGS, "train"), 0, 0), smoothing)
    assert loss.item() == pytest.approx(math.log(SETTINGS["vocab_size"]), abs=1e-6)


@torch.no_grad()
def test_loss_by_hand(network, corpus):
    batch = draw(corpus, TrainingSettings.read(SETTINGS, "train"), 0, 1)
    log_probs = network.lm_head(network.backbone(input_ids=batch.inputs).last_hidden_state).double().log_softmax(-1)
    plain, smooth = [], []
    for row, position in batch.masked.nonzero().tolist():
        log_p = log_probs[row, position]
        plain.append(-log_p[batch.targets[row, position]].item())
        smooth.append(0.9 * plain[-1] - 0.1 * log_p.mean().item())
    assert network.loss(batch, 0.0).item() == pytest.approx(sum(plain) / len(plain), abs=1e-5)
    assert network.loss(batch, 0.1).item() == pytest.approx(sum(smooth) / len(smooth), abs=1e-5)


def test_what_cannot_be_seen_does_not_matter(network, corpus):
    """The loss depends on what stands behind a mask only through the targets that are scored."""
    batch = draw(corpus, TrainingSettings.read({**SETTINGS, "text_share": 0.0}, "train"), 0, 0)
    changed = torch.where(batch.masked, batch.targets, 77)
    assert network.loss(batch, 0.0) == network.loss(Batch(batch.inputs, changed, batch.masked), 0.0)


@torch.no_grad()
def mean_cross_entropy(network, corpus) -> float:
    """Over the first eight tokens of every answer, all behind masks."""
    total = 0.0
    for prompts, answers in corpus.groups:
        targets = torch.cat([prompts, answers[:, :8]], 1)
        masked = torch.zeros_like(targets, dtype=torch.bool)
        masked[:, prompts.shape[1] :] = True
        total += len(prompts) * network.loss(Batch(targets.masked_fill(masked, 3), targets, masked), 0.0).item()
    return total / len(ROWS)


def test_closed_form_start_beats_an_untouched_network(network, corpus):
    untouched = mean_cross_entropy(network, corpus)
    closed_form(network, corpus, seed=0)
    start = mean_cross_entropy(network, corpus)
    assert start < math.log(SETTINGS["vocab_size"]) - 1
    assert start < untouched - 1


def test_closed_form_start_is_a_function_of_the_seed(network, tokenizer, corpus):
    other = Network(llada_config(TrainingSettings.read(SETTINGS, "train"), len(tokenizer), 3, 1), seed=0)
    torch.manual_seed(5)
    closed_form(network, corpus, seed=0)
    torch.manual_seed(6)
    closed_form(other, corpus, seed=0)
    for name, tensor in network.tensors().items():
        assert torch.equal(tensor, other.tensors()[name]), name
