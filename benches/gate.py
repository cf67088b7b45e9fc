#!/usr/bin/env python3
"""Holds what `make bench` printed against benches/expected.toml, and exits 1 where a figure does not hold.

    benches/gate.py PRINTED.md [EXPECTED.toml]

A figure is a cell of a table: the row is known by what its first cells say, the column by its heading.
"""

import os
import re
import sys
import tomllib

HERE = os.path.dirname(os.path.abspath(__file__))


def tables(text):
    """Each table as its headings and rows, all cells as text."""
    table = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            table.append([cell.strip() for cell in line.strip().strip("|").split("|")])
        elif table:
            yield table[0], [row for row in table[1:] if not all(re.fullmatch(":?-+:?", cell) for cell in row)]
            table = []


def cells(text, row, column):
    """What stands in such cells; `row` is the first cells of a row, with | between them."""
    names = [name.strip() for name in row.split("|")]
    for headings, rows in tables(text):
        if column in headings:
            for found in rows:
                if found[: len(names)] == names:
                    yield found[headings.index(column)]


def number(cell):
    found = re.fullmatch(r"(?:1 : )?([\d,]+(?:\.\d+)?)", cell)
    return float(found[1].replace(",", "")) if found else cell


def faults(text, expected):
    for figure in expected:
        row, column = figure["row"], figure["column"]
        found = [number(cell) for cell in cells(text, row, column)]
        if not found:
            yield f"{row}, {column}: is not printed"
        for value in found:
            least, most, exactly = (figure.get(name) for name in ["at_least", "at_most", "is"])
            if exactly is not None and value != exactly:
                yield f"{row}, {column}: is {value}, expected {exactly}"
            elif exactly is None and not isinstance(value, float):
                yield f"{row}, {column}: is {value}, expected a number"
            elif least is not None and value < least:
                yield f"{row}, {column}: is {value:g}, expected at least {least:g}"
            elif most is not None and value > most:
                yield f"{row}, {column}: is {value:g}, expected at most {most:g}"


def main():
    with open(sys.argv[1]) as file:
        text = file.read()
    with open(sys.argv[2] if len(sys.argv) > 2 else f"{HERE}/expected.toml", "rb") as file:
        expected = tomllib.load(file)["figure"]
    found = list(faults(text, expected))
    for fault in found:
        print(f"gate: {fault}", file=sys.stderr)
    print(f"gate: {len(expected)} figures expected, {len(found)} do not hold", file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
