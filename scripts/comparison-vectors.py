#!/usr/bin/env python3
"""Writes crates/model/src/comparison/statistic_vectors.json: p-values of exact tests as scipy computes them.

    python3 -m venv venv && venv/bin/pip install scipy==1.17.1
    venv/bin/python scripts/comparison-vectors.py

The file is the same at every run with this version. `statistic_test.rs` compares ours with it to 1e-8.
"""

import itertools
import json
import pathlib

import scipy
from scipy.stats import binomtest, fisher_exact

TARGET = pathlib.Path(__file__).parent.parent / "crates/model/src/comparison/statistic_vectors.json"


def fisher(passed_before, of_before, passed_after, of_after):
    table = [[passed_before, of_before - passed_before], [passed_after, of_after - passed_after]]
    return float(fisher_exact(table).pvalue)


def main():
    tables = [
        (a, n, b, m)
        for n, m in itertools.product((1, 3, 4, 5, 10), repeat=2)
        for a in range(n + 1)
        for b in range(m + 1)
    ]
    tables += [(18, 20, 2, 20), (50, 100, 70, 100), (0, 50, 50, 50), (97, 100, 400, 500), (700, 1000, 740, 1000)]
    pairs = [(up, down) for up in range(0, 13) for down in range(0, 13)]
    pairs += [(40, 60), (100, 0), (250, 180), (5000, 5150), (60000, 61000), (0, 1000)]
    document = {
        "source": f"scipy {scipy.__version__}",
        "fisher_exact": [[*table, fisher(*table)] for table in tables],
        "sign_test": [[up, down, float(binomtest(up, up + down).pvalue) if up + down else 1.0] for up, down in pairs],
    }
    # One vector a line.
    lines = ["{", f'"source": {json.dumps(document["source"])},']
    for at, name in enumerate(("fisher_exact", "sign_test")):
        rows = ",\n".join(json.dumps(row) for row in document[name])
        lines.append(f'"{name}": [\n{rows}\n]{"," if at == 0 else ""}')
    TARGET.write_text("\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
