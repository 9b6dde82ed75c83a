"""The papers' tables: published test negative log-likelihoods, cell by cell.

DVAE# paper, Table 1 (1,000,000 iterations, 1000 states, 40 sweeps), and GumBolt paper, Tables 1 and 2
(1,000,000 iterations, 200 sweeps).
"""

from typing import NamedTuple


class PublishedNLL(NamedTuple):
    """A cell of a paper's table: test NLL in nats, mean and standard deviation over five runs."""

    mean: float
    standard_deviation: float | None


# DVAE# paper, Table 1, whose columns these are; each line is a structure, K, and the cells.
_TABLE_1_COLUMNS = (
    "dvae_spike_exp",
    "dvaepp_exp",
    "dvaepp_power",
    "dvaes_gi",
    "dvaes_gauss",
    "dvaes_exp",
    "dvaes_unexp",
    "dvaes_power",
)
_TABLE_1 = {
    "binarized_mnist": """
1-layer-lin 1 89.00±0.09 90.43±0.06 89.12±0.05 92.14±0.12 91.33±0.13 90.55±0.11 89.57±0.08 89.35±0.06
1-layer-lin 5 89.15±0.12 90.13±0.03 89.09±0.05 91.32±0.09 90.15±0.04 89.62±0.08 88.56±0.04 88.25±0.03
1-layer-lin 25 89.20±0.13 89.92±0.07 89.04±0.07 91.18±0.21 89.55±0.10 89.27±0.09 88.02±0.04 87.67±0.07
1-layer-nonlin 1 85.48±0.06 85.13±0.06 85.05±0.02 86.23±0.05 86.24±0.05 85.37±0.05 85.19±0.05 84.93±0.02
1-layer-nonlin 5 85.29±0.03 85.13±0.09 85.29±0.10 84.99±0.03 84.91±0.07 84.83±0.03 84.47±0.02 84.21±0.02
1-layer-nonlin 25 85.92±0.10 86.14±0.18 85.59±0.10 84.36±0.04 84.30±0.04 84.69±0.08 84.22±0.01 83.93±0.06
2-layer-nonlin 1 83.97±0.04 84.15±0.07 83.62±0.04 84.30±0.05 84.35±0.04 83.96±0.06 83.54±0.06 83.37±0.02
2-layer-nonlin 5 83.74±0.03 84.85±0.13 83.57±0.07 83.68±0.02 83.61±0.04 83.70±0.04 83.33±0.04 82.99±0.04
2-layer-nonlin 25 84.19±0.21 85.49±0.12 83.58±0.15 83.39±0.04 83.26±0.04 83.76±0.04 83.30±0.04 82.85±0.03
4-layer-nonlin 1 84.38±0.03 84.63±0.11 83.44±0.05 84.59±0.06 84.81±0.19 84.06±0.06 83.52±0.06 83.18±0.05
4-layer-nonlin 5 83.93±0.07 85.41±0.09 83.17±0.09 83.89±0.09 84.20±0.15 84.15±0.05 83.41±0.04 82.95±0.07
4-layer-nonlin 25 84.12±0.07 85.42±0.07 83.20±0.08 83.52±0.06 83.80±0.04 84.22±0.13 83.39±0.04 82.82±0.02
""",
    "omniglot": """
1-layer-lin 1 105.11±0.11 106.71±0.08 105.45±0.08 110.81±0.32 106.81±0.07 107.21±0.14 105.89±0.06 105.47±0.09
1-layer-lin 5 104.68±0.21 106.83±0.09 105.34±0.05 112.26±0.70 106.16±0.11 106.86±0.10 104.94±0.05 104.42±0.09
1-layer-lin 25 104.38±0.15 106.85±0.07 105.38±0.14 111.92±0.30 105.75±0.10 106.88±0.09 104.49±0.07 103.98±0.05
1-layer-nonlin 1 102.95±0.07 101.84±0.08 101.88±0.06 103.50±0.06 102.74±0.08 102.23±0.08 101.86±0.06 101.70±0.01
1-layer-nonlin 5 102.45±0.08 102.13±0.11 101.67±0.07 102.15±0.04 102.00±0.09 101.59±0.06 101.22±0.05 101.00±0.02
1-layer-nonlin 25 102.74±0.05 102.66±0.09 101.80±0.15 101.42±0.04 101.60±0.09 101.48±0.04 100.93±0.07 100.60±0.05
2-layer-nonlin 1 103.10±0.31 101.34±0.04 100.42±0.03 102.07±0.16 102.84±0.23 100.38±0.09 99.84±0.06 99.75±0.05
2-layer-nonlin 5 100.88±0.13 100.55±0.09 99.51±0.05 100.85±0.02 101.43±0.11 99.93±0.07 99.57±0.06 99.24±0.05
2-layer-nonlin 25 100.55±0.08 100.31±0.15 99.49±0.07 100.20±0.02 100.45±0.08 100.10±0.28 99.59±0.16 98.93±0.05
4-layer-nonlin 1 104.63±0.47 101.58±0.22 100.42±0.08 102.91±0.25 103.43±0.10 100.85±0.12 99.92±0.11 99.65±0.09
4-layer-nonlin 5 101.77±0.20 101.01±0.09 99.52±0.09 101.79±0.25 101.82±0.13 100.32±0.19 99.61±0.07 99.13±0.10
4-layer-nonlin 25 100.89±0.13 100.37±0.09 99.43±0.14 100.73±0.08 100.97±0.21 99.92±0.30 99.36±0.09 98.88±0.09
""",
}

# GumBolt paper, Tables 1 and 2; "the standard deviations in all cases are less than 0.15".
_GUMBOLT_TABLES = {
    # (dataset, struct): GumBolt at K = 1, 5, 20; GumBolt-nW at K = 20.
    ("binarized_mnist", "1-layer-lin"): (88.88, 88.18, 87.45, 99.94),
    ("binarized_mnist", "1-layer-nonlin"): (84.86, 84.31, 83.87, 93.50),
    ("binarized_mnist", "2-layer-lin"): (85.42, 84.65, 84.46, None),
    ("binarized_mnist", "2-layer-nonlin"): (83.28, 83.01, 82.75, 88.01),
    ("omniglot", "1-layer-lin"): (105.00, 103.99, 103.69, 112.21),
    ("omniglot", "1-layer-nonlin"): (101.61, 101.02, 100.68, 107.221),
    ("omniglot", "2-layer-lin"): (100.62, 99.38, 99.36, None),
    ("omniglot", "2-layer-nonlin"): (99.82, 99.32, 98.81, 105.01),
}


def _published_figures() -> dict[tuple[str, str, str, int], PublishedNLL]:
    """(dataset, struct, baseline, K) -> nats."""
    figures = {}
    for dataset, text in _TABLE_1.items():
        for line in text.split("\n")[1:-1]:
            struct, k, *row = line.split()
            for baseline, cell in zip(_TABLE_1_COLUMNS, row, strict=True):
                mean, deviation = cell.split("±")
                figures[dataset, struct, baseline, int(k)] = PublishedNLL(float(mean), float(deviation))
    cells = (("gumbolt", 1), ("gumbolt", 5), ("gumbolt", 20), ("gumbolt_nw", 20))
    for (dataset, struct), means in _GUMBOLT_TABLES.items():
        for (baseline, samples), known in zip(cells, means, strict=True):
            if known is not None:
                figures[dataset, struct, baseline, samples] = PublishedNLL(known, None)
    return figures


PUBLISHED = _published_figures()
