"""`python -m discreteness.summary TABLE…`: a frequency-collapse table at a few positions, as Markdown."""

import argparse
from pathlib import Path

import pandas as pd

from discreteness.core.command_line import entry_point
from discreteness.core.errors import InputError
from discreteness.core.io import read_csv

POSITIONS = (0, 1, 2, 3, 4, 8, 16, 32, 64, 96)
COLUMNS = ("model", "dataset", "position", "statistic", "variant", "token_class", "value", "low", "high", "prompts")
ROWS = {
    "prompt information, nats": ("prompt_information", "", ""),
    "usable information, nats": ("usable_information", "", ""),
    "reference token is the most probable": ("answer_top1", "", ""),
    "distinct most probable tokens": ("distinct_top1", "", ""),
    "most probable token: content word": ("class_share", "all", "content"),
    "most probable token: function word": ("class_share", "all", "function"),
    "most probable token: punctuation": ("class_share", "all", "punctuation"),
    "most probable token: EOS": ("class_share", "all", "special"),
}


def read(path: Path) -> pd.DataFrame:
    """A frequency-collapse table that has rows; InputError as `io.read_csv`."""
    table = read_csv(path, COLUMNS)
    if table.empty:
        raise InputError(f"{path}: no rows below the header")
    return table


def summarise(table: pd.DataFrame) -> str:
    """Markdown with one section per model: value and 95 % interval of the main statistics at POSITIONS."""
    sections = []
    for (model, dataset, prompts), rows in table.groupby(["model", "dataset", "prompts"], sort=False):
        shown = [position for position in POSITIONS if position in set(rows["position"])]
        lines = [
            f"{model} on {dataset}, {prompts} prompt{'s' * (prompts != 1)}\n",
            "| position | " + " | ".join(map(str, shown)) + " |",
            "|---" * (len(shown) + 1) + "|",
        ]
        for title, (statistic, variant, token_class) in ROWS.items():
            chosen = rows[(rows["statistic"] == statistic) & (rows["variant"] == variant)]
            chosen = chosen[chosen["token_class"] == token_class].set_index("position")
            cells = [_cell(chosen.loc[position]) if position in chosen.index else "–" for position in shown]
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
        sections.append("\n".join(lines))
    return "\n\n".join(sections)


def _cell(row: pd.Series) -> str:
    """Value and interval, or – without a value; a whole number without an interval has no decimals."""
    if pd.isna(row["value"]):
        return "–"
    if pd.isna(row["low"]):
        return f"{row['value']:.2f}".removesuffix(".00")
    return f"{row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f})"


@entry_point()
def main() -> None:
    """Print the summary of every table named on the command line, once all have been read."""
    parser = argparse.ArgumentParser(prog="python -m discreteness.summary", description=__doc__)
    parser.add_argument("tables", nargs="+", type=Path, metavar="TABLE", help="results/tables/frequency_collapse_*.csv")
    for table in [read(path) for path in parser.parse_args().tables]:
        print(summarise(table))


if __name__ == "__main__":
    main()
