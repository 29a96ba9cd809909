"""Run `snakemake --lint` and fail on anything but the one stated exception.

The exception: rules name neither a conda environment nor a container. The whole workflow runs in one environment that
`make` sets up from constraints.txt; a container directive that nobody tests would promise what nobody knows.
"""

import re
import subprocess
import sys

EXCEPTION = "Specify a conda environment or container for each rule."


def main() -> int:
    """Print what is left of the lints; 0 when nothing is."""
    result = subprocess.run(["snakemake", "--lint"], capture_output=True, text=True)
    if "Error" in result.stderr:
        print(result.stderr, file=sys.stderr)
        return 1
    found, place = [], ""
    for line in result.stderr.splitlines():
        if line.startswith("Lints for "):
            place = line.removeprefix("Lints for ")
        match = re.match(r"\s+\* (.*):$", line)
        if match and match[1] != EXCEPTION:
            found.append(f"{place} {match[1]}")
    print("\n".join(found) or "snakemake --lint: nothing but the stated exception")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
