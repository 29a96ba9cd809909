"""The marginal trap on real text: what parallel decoding does to an answer where no joint distribution is known.

Pure functions of decoded answers and a denoiser. A *decodings* table has a row per answer, as `decode` writes it:
prompt_id, sample, token_ids, revealed_at (the step of each token), logprob_at_reveal (nats, temperature 1).
"""
