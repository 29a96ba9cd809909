"""The marginal trap on real text: how parallel decoding changes answers where no joint distribution is known.

Pure functions of decoded answers and a denoiser. A *decodings* table has one row per answer, as `decode` writes it:
prompt_id, sample, token_ids, revealed_at (the step of each token), logprob_at_reveal (nats, temperature 1).
"""
