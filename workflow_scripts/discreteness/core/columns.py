"""Every column of every Parquet table, defined once: its type and what it means. Information is in nats."""

from typing import NamedTuple

import pyarrow as pa


class Column(NamedTuple):
    """Type and one-line meaning of a column.

    variant: of a number by position whose mean over prompts is a statistic (`collapse.MEANS`): `all` tokens,
    `without_eos`, or neither ("").
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


# probe: positions; `probing` computes them, and the table has them in this order
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
    "answer_token_id": _whole("the reference answer's token, padded with the end-of-sequence token"),
    "answer_token": _text("that token's text"),
    "answer_logprob": _real("log-probability of that token, nats"),
    "positional_logprob": _real("its log-probability under the positional unigram of the other answers, nats"),
    "kl_unigram": _mean("KL from the unigram distribution of the reference answers with padding, nats"),
    "kl_unigram_without_eos": _mean(
        "KL from their unigram without special tokens, both renormalised, nats", "without_eos"
    ),
    "js_next": _mean("Jensen-Shannon divergence from the next position's distribution, nats; NaN at the last", ""),
    "js_far": _mean("the same from the position half a span farther on, nats; NaN where there is none", ""),
}

COLUMNS: dict[str, Column] = {
    # prompts
    "prompt_id": _text("data set name and row number; the key of every random draw"),
    "row": _whole("row number in the source"),
    "prompt": _text("what the user asks"),
    "answer": _text("the reference answer"),
    "source": _text("where the row was taken from"),
    **POSITIONS,
    # probe: tokens
    "rank": _whole("1 is the most probable token"),
    "token_id": _whole("id in the model's vocabulary"),
    "token": _text("the token's text, a leading space kept"),
    "probability": _real("predicted probability"),
    "token_class": _text("content, function, punctuation, number or special"),
    # probe: prompt information
    "left_out": _whole("prompt group left out (delete-one-group jackknife); -1 keeps all"),
    "prompt_information": _real("I(prompt; token) at this position: mean KL from the mean prediction, nats"),
    "prompts": _whole("number of prompts"),
    # decodings
    "sample": _whole("number of the answer to the same prompt"),
    "steps": _whole("decoding steps asked for; policies with a number of their own take at most as many"),
    "temperature": _real("temperature of the token draw"),
    "text": _text("the answer up to its end, special tokens left out"),
    "token_ids": _wholes("the whole span as decoded, end tokens included"),
    "revealed_at": _wholes("step at which each token took its place; -1 for a mask that is left"),
    "logprob_at_reveal": _reals("log-probability of each token then, before any temperature, nats"),
    "forward_passes": _whole("forward passes that the answer took part in"),
    # rescored: one row a token
    "step": _whole("step at which the token took its place"),
    "step_size": _whole("tokens that took their place at that step"),
    "regret_weight": _real("one over the token's chance of being scored again for regret; NaN where it was not"),
    "regret": _real("log-probability given what was visible - the same given the step's other tokens too, nats"),
    "leave_one_out_weight": _real("one over the token's chance of being scored given all others; NaN where it was not"),
    "leave_one_out_logprob": _real("log-probability given all other tokens of the finished answer, nats"),
    # curves: one row a masked token of a state
    "padding": Column(pa.bool_(), "whether the answer was filled up to the span with end tokens, which then count too"),
    "replicate": _whole("number of the random order in which the answer's tokens became visible"),
    "visible": _whole("k, answer tokens shown"),
    "span": _whole("L, answer tokens shown and masked together"),
    "weight": _whole("values of k that the state stands for"),
    "distance_to_visible": _whole("positions to the nearest visible token; the prompt's end, at -1, is visible"),
    "unigram_logprob": _real("log-probability of the token under the unigram of the reference answers, nats"),
    # judged: one row an answer
    "judge_tokens": _whole("tokens of the answer under the judge's tokenizer"),
    "judge_nll": _real("their negative log-probability under the judge, nats"),
    "perplexity": _real("exp of the mean of that per token"),
    "judge_entropy": _real("unigram entropy of the answer's judge tokens, nats"),
}
