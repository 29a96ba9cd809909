"""Every column of every Parquet table, defined once: its type and what it means. Information is in nats."""

from typing import NamedTuple

import pyarrow as pa


class Column(NamedTuple):
    """Type and one-line meaning of a column.

    variant: only for a number per position whose mean over prompts is a statistic of `frequency_collapse`
    (`collapse.MEANS`); the statistic's variant: `all` tokens, `without_eos`, or neither ("").
    """

    type: pa.DataType
    comment: str
    variant: str | None = None


def _text(comment: str) -> Column:
    return Column(pa.string(), comment)


def _whole(comment: str) -> Column:
    return Column(pa.int32(), comment)


def _wholes(comment: str) -> Column:
    return Column(pa.list_(pa.int32()), comment)


def _reals(comment: str) -> Column:
    return Column(pa.list_(pa.float32()), comment)


def _real(comment: str) -> Column:
    return Column(pa.float32(), comment)


def _mean(comment: str, variant: str = "all") -> Column:
    return Column(pa.float32(), comment, variant)


# probe: positions; `probing` computes these columns, and the table has them in this order
POSITIONS: dict[str, Column] = {
    "position": _whole("distance from the prompt's end, in tokens; the first mask is 0"),
    "entropy": _mean("entropy of the predicted distribution, nats"),
    "entropy_without_eos": _mean("the same after removing special tokens and renormalising, nats", "without_eos"),
    "top1_probability": _mean("probability of the most probable token"),
    "top1_probability_without_eos": _mean("the same after removing special tokens and renormalising", "without_eos"),
    "eos_probability": _mean("total probability of the tokens that end or pad an answer"),
    "top1_token_id": _whole("most probable token"),
    "top1_class": _text("class of the most probable token"),
    "top1_class_without_eos": _text("class of the most probable token that is not special"),
    "answer_token_id": _whole("the reference answer's token; EOS after the answer's end"),
    "answer_token": _text("that token's text"),
    "answer_logprob": _real("log-probability of that token, nats"),
    "positional_logprob": _real("its log-probability under the positional unigram of the other answers, nats"),
    "kl_unigram": _mean("KL from the unigram distribution of the reference answers with padding, nats"),
    "kl_unigram_without_eos": _mean(
        "KL from their unigram without special tokens, both renormalised, nats", "without_eos"
    ),
    "js_next": _mean("Jensen-Shannon divergence from the next position's distribution, nats; NaN at the last", ""),
    "js_far": _mean("the same from the distribution half a span later, nats; NaN where there is none", ""),
}

COLUMNS: dict[str, Column] = {
    # prompts
    "prompt_id": _text("data set name and row number; the key of every random draw"),
    "row": _whole("row number in the source"),
    "prompt": _text("the user's message"),
    "answer": _text("the reference answer"),
    "source": _text("where the row was taken from"),
    **POSITIONS,
    # probe: tokens
    "rank": _whole("1 is the most probable token"),
    "token_id": _whole("id in the model's vocabulary"),
    "token": _text("the token's text, with its leading space"),
    "probability": _real("predicted probability"),
    "token_class": _text("content, function, punctuation, number or special"),
    # probe: prompt information
    "left_out": _whole("prompt group left out (delete-one-group jackknife); -1: none"),
    "prompt_information": _real("I(prompt; token) at this position: mean KL from the mean prediction, nats"),
    "prompts": _whole("number of prompts"),
    # decodings
    "sample": _whole("number of the answer among those to the same prompt"),
    "steps": _whole("configured decoding steps; policies with an adaptive number of steps take at most as many"),
    "temperature": _real("temperature of the token draw"),
    "text": _text("the answer up to its EOS, without special tokens"),
    "token_ids": _wholes("the whole span as decoded, with its EOS tokens"),
    "revealed_at": _wholes("step at which each token was revealed; -1 for a remaining mask"),
    "logprob_at_reveal": _reals("log-probability of each token at that step, before the temperature is applied, nats"),
    "forward_passes": _whole("number of forward passes for this answer"),
    # rescored: one row per token
    "step": _whole("step at which the token was revealed"),
    "step_size": _whole("number of tokens revealed at that step"),
    "regret_weight": _real("inverse probability that the token is rescored for regret; NaN where it was not"),
    "regret": _real("log-probability given the visible tokens, minus that given also the step's other tokens, nats"),
    "leave_one_out_weight": _real(
        "inverse probability that the token is scored given all others; NaN where it was not"
    ),
    "leave_one_out_logprob": _real("log-probability given all other tokens of the finished answer, nats"),
    # curves: one row per masked token of a state
    "padding": Column(pa.bool_(), "whether the answer was padded to the span with EOS tokens, which then count too"),
    "replicate": _whole("number of the random order in which the answer's tokens became visible"),
    "visible": _whole("k, number of visible answer tokens"),
    "span": _whole("L, number of answer tokens, visible and masked together"),
    "weight": _whole("number of values of k that the state represents"),
    "distance_to_visible": _whole("positions to the nearest visible token; the prompt's end, at -1, is visible"),
    "unigram_logprob": _real("log-probability of the token under the unigram of the reference answers, nats"),
    # judged: one row per answer
    "judge_tokens": _whole("number of tokens of the answer under the judge's tokenizer"),
    "judge_nll": _real("their negative log-probability under the judge, nats"),
    "perplexity": _real("exp of the mean negative log-probability per token"),
    "judge_entropy": _real("unigram entropy of the answer's judge tokens, nats"),
}
