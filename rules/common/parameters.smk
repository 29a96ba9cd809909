"""What the rules take of rows and settings. Nothing more, as what a rule does not take reruns nothing of it."""


def model_row(*keys):
    """Parameters taken from a model's row: only those keys, so that the others rerun nothing."""
    return lambda wildcards: {
        key: MODEL_ROWS[wildcards.model][key] for key in keys if key in MODEL_ROWS[wildcards.model]
    }


def loading(model):
    """What decides how a model is loaded, for rules that name the model otherwise than by wildcard."""
    return {key: MODEL_ROWS[model][key] for key in LOADING if key in MODEL_ROWS[model]}


def family_code(script):
    """The fingerprint of a script's code with the module of the model's family, which is imported by name."""
    return lambda wildcards: fingerprint(script, f"denoisers.{MODEL_ROWS[wildcards.model]['family']}")


def example(wildcards):
    """Row number of the prompt that a data set's top-3 figure shows."""
    return DATASET_ROWS[wildcards.dataset].get("example", PROBE["example"])


def toys():
    """Toy language -> the models of it whose strings are enumerated."""
    found = {}
    for model in LANGUAGE["toys"]:
        row = MODEL_ROWS[model]
        name = row["language"] if "language" in row else language_name(row["train"]["data"])
        found.setdefault(name, []).append(model)
    return found


def of_language(dataset):
    """Whether a data set is a language whose sentences are all known, behind no prompt."""
    return DATASET_ROWS[dataset]["kind"] in WITHOUT_PROMPT


def language_name(dataset):
    """The language that a data set is drawn from."""
    row = DATASET_ROWS.get(dataset, {})
    return row.get("language", row.get("kind"))


def adaptive(decoders):
    """Those whose number of steps depends on the predictions."""
    return [name for name in decoders if decoder_rows.is_adaptive(TABLES.decoders[name])]


def decoder_row(wildcards):
    """The row of the decoder; the reference answers have none."""
    return TABLES.decoders.get(wildcards.decoder)


def decoding(key):
    """A setting of decoding: a language's answers follow no prompt, so that many are drawn behind the empty one."""
    language = {
        **{name: LANGUAGE[name] for name in ("steps", "temperatures", "samples")},
        "prompts": 1,
        "span": None,  # the longest sentence
        "example": 0,
    }

    def value(wildcards):
        if of_language(wildcards.dataset):
            return language[key]
        return {**DECODE, "temperatures": [], "example": example(wildcards)}[key]

    return value


def decoding_curve(wildcards):
    """The information curve of a decoder whose step sizes come from it."""
    optimal = TABLES.decoders.get(wildcards.decoder, {}).get("step_sizes") == "optimal"
    return f"results/curves/{wildcards.model}/{wildcards.dataset}.parquet" if optimal else []


def curve_models(dataset):
    """Models whose curve is measured on a data set."""
    return LANGUAGE["models"] if of_language(dataset) else MASKED_MODELS


def measured_answers(wildcards):
    """How many answers a curve is measured on; of a language, sentences."""
    return CURVE["sentences"] if of_language(wildcards.dataset) else prompts_of("information_curve", wildcards.dataset)


def measured_span(wildcards):
    """Tokens of an answer at most; those of a language's longest sentence."""
    return get_language(language_name(wildcards.dataset)).length if of_language(wildcards.dataset) else CURVE["span"]


def needs_recomputing(wildcards):
    """Whether log-probabilities at reveal are worked out anew; the reference answers have none."""
    row = decoder_row(wildcards)
    return row is not None and decoder_rows.needs_recomputing(row)


def forbidden(wildcards):
    """Tokens that a decoder never draws, by name."""
    return (decoder_row(wildcards) or {}).get("forbid", [])


def judged_files(wildcards):
    """The judged answers of every model and decoder, where there is a judge."""
    return (
        expand(
            "results/coherence/{model}/{dataset}/{decoder}.judged.parquet",
            model=MASKED_MODELS,
            decoder=DECODERS_AND_REFERENCE,
            dataset=wildcards.dataset,
        )
        if DECODE["judge"]
        else []
    )


def training_data(model):
    """The data set a model was trained on, where that is known and among this run's rows."""
    data = MODEL_ROWS[model].get("train", {}).get("data")
    return data if data in DATASET_ROWS else None


def training_texts(wildcards):
    """The texts that models were trained on, where they are known."""
    return [f"results/prompts/{data}.parquet" for data in sorted({*map(training_data, MASKED_MODELS)} - {None})]


def toy_families():
    """Modules of the families of the toy languages' models."""
    return sorted({f"denoisers.{MODEL_ROWS[model]['family']}" for model in LANGUAGE["toys"]})
