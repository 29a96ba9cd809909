"""`python -m discreteness.summary TABLE…`: a frequency-collapse table at a few positions, as Markdown."""

import sys

import pandas as pd

POSITIONS = (0, 1, 2, 3, 4, 8, 16, 32, 64, 96)
ROWS = {
    "prompt information, nats": ("prompt_information", "", ""),
    "usable information, nats": ("usable_information", "", ""),
    "reference token is the first choice": ("answer_top1", "", ""),
    "different first choices": ("distinct_top1", "", ""),
    "first choice: content word": ("class_share", "all", "content"),
    "first choice: function word": ("class_share", "all", "function"),
    "first choice: punctuation": ("class_share", "all", "punctuation"),
    "first choice: end of sequence": ("class_share", "all", "special"),
}


def summarise(table: pd.DataFrame) -> str:
    """Markdown with a section for each model: value and 95 % interval of the main statistics at POSITIONS."""
    parts = []
    for (model, dataset, prompts), mine in table.groupby(["model", "dataset", "prompts"], sort=False):
        shown = [position for position in POSITIONS if position in set(mine["position"])]
        lines = [
            f"{model} on {dataset}, {prompts} prompts\n",
            "| position | " + " | ".join(map(str, shown)) + " |",
            "|---" * (len(shown) + 1) + "|",
        ]
        for title, (statistic, variant, token_class) in ROWS.items():
            chosen = mine[(mine["statistic"] == statistic) & (mine["variant"] == variant)]
            chosen = chosen[chosen["token_class"] == token_class].set_index("position")
            lines.append(f"| {title} | " + " | ".join(_cell(chosen.loc[position]) for position in shown) + " |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _cell(row: pd.Series) -> str:
    if pd.isna(row["low"]):
        return f"{row['value']:.0f}"
    return f"{row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f})"


def main() -> None:
    """Print the summary of every table named on the command line."""
    for path in sys.argv[1:]:
        table = pd.read_csv(path, keep_default_na=False)
        for column in ("position", "value", "low", "high"):
            table[column] = pd.to_numeric(table[column], errors="coerce")
        print(summarise(table))


if __name__ == "__main__":
    main()
