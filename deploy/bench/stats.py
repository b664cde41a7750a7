"""The few statistics that a result needs."""

import random
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Ratio:
    """How many times cheaper; `low` and `high` bound it with 95 %. What may be claimed is `low`."""
    median: float
    low: float
    high: float


def paired_ratio(other: list[float], ours: list[float], resamples: int = 10_000) -> Ratio:
    """Median of other / ours, round by round, with a percentile bootstrap over the rounds. The same rounds give the same interval."""
    if not ours or len(other) != len(ours):
        raise ValueError(f"{len(other)} and {len(ours)} values are no pairs")
    ratios = [theirs / mine for theirs, mine in zip(other, ours)]
    chance = random.Random(1)
    medians = sorted(median(chance.choices(ratios, k=len(ratios))) for _ in range(resamples))
    return Ratio(median(ratios), medians[int(0.025 * resamples)], medians[int(0.975 * resamples) - 1])


def noise(first: list[float], again: list[float]) -> float:
    """The A/A noise: the largest difference between two runs of the same thing in one round, as a share."""
    return max(abs(b / a - 1) for a, b in zip(first, again, strict=True))
