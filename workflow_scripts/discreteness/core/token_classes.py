"""The class of a token: content or function word, punctuation, number, special token."""

CLASSES = ("content", "function", "punctuation", "number", "special")

# English function words: determiners, pronouns, prepositions, conjunctions, auxiliaries, particles.
FUNCTION_WORDS = frozenset(
    """
    a an the this that these those each every either neither some any no all both half several much many more most few
    fewer less least enough such what which whose another other others
    i me my mine myself you your yours yourself yourselves he him his himself she her hers herself it its itself we us
    our ours ourselves they them their theirs themselves one ones oneself who whom whoever something anything nothing
    everything someone anyone everyone nobody none
    about above across after against along among around as at before behind below beneath beside besides between beyond
    by despite down during except for from in inside into like near of off on onto out outside over past per since
    through throughout till to toward towards under until up upon via with within without
    and but or nor so yet if unless although though because while whereas whether than once when whenever where wherever
    be am is are was were been being have has had having do does did doing done will would shall should can could may
    might must ought need
    not n't 's 're 've 'll 'd 'm there here then thus hence therefore however also too very just only even still again
    already how why
    """.split()
)


def token_class(text: str, special: bool) -> str:
    """Class of a token from its text as the tokenizer decodes it.

    A piece of a word that is not a function word counts as content, whether or not it begins the word; white space
    counts as punctuation; a token with any letter is a word; digits without letters are a number.
    """
    if special:
        return "special"
    word = text.strip().lower()
    if word in FUNCTION_WORDS:
        return "function"
    if any(character.isalpha() for character in word):
        return "content"
    if any(character.isdigit() for character in word):
        return "number"
    return "punctuation"


def vocabulary(denoiser) -> tuple[list[str], list[str]]:
    """Text and class of each of the V tokens of a denoiser's vocabulary.

    The text is what the token adds after another one: with its leading space; a piece of a multi-byte character is the
    replacement character. The text of a special token is its name.
    """
    special = set(denoiser.special_ids)
    tokenizer = denoiser.tokenizer
    texts = []
    for id_ in range(denoiser.vocab_size):
        if id_ in special:
            texts.append(tokenizer.convert_ids_to_tokens(id_) if id_ < len(tokenizer) else f"<unused {id_}>")
        else:
            texts.append(_text(tokenizer, id_))
    texts = [text if text is not None else f"<unused {id_}>" for id_, text in enumerate(texts)]
    return texts, [token_class(text, id_ in special) for id_, text in enumerate(texts)]


def _text(tokenizer, id_: int) -> str:
    text = tokenizer.decode([id_])
    # SentencePiece-like decoders strip the space before a word; the piece itself still has it
    piece = tokenizer.convert_ids_to_tokens(id_)
    return " " + text if piece and piece[0] in "▁Ġ" and not text.startswith(" ") else text
