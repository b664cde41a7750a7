"""python3 -m unittest discover -s deploy/bench"""

import unittest

from stats import noise, paired_ratio
from workloads import WORKLOADS, chosen


class Stats(unittest.TestCase):
    def test_pairs_are_kept_together(self) -> None:
        # The machine slows down from round to round: the ratio of each pair is 2, and the interval must not see the drift.
        ratio = paired_ratio([2.0, 4.0, 8.0, 16.0, 32.0], [1.0, 2.0, 4.0, 8.0, 16.0])
        self.assertEqual((ratio.median, ratio.low, ratio.high), (2.0, 2.0, 2.0))

    def test_the_interval_contains_the_median_and_reaches_to_the_outliers(self) -> None:
        ratio = paired_ratio([1.9, 2.0, 2.1, 2.2, 9.0], [1.0] * 5)
        self.assertEqual(ratio.median, 2.1)
        self.assertEqual((ratio.low, ratio.high), (1.9, 9.0))

    def test_what_is_no_pair_is_refused(self) -> None:
        for pairs in [([1.0], [1.0, 2.0]), ([], [])]:
            with self.assertRaises(ValueError):
                paired_ratio(*pairs)

    def test_noise_is_the_worst_pair_in_either_direction(self) -> None:
        self.assertAlmostEqual(noise([1.0, 1.0, 2.0], [1.02, 0.9, 2.0]), 0.1)


class Workloads(unittest.TestCase):
    def test_an_id_or_the_beginning_of_ids(self) -> None:
        self.assertEqual([w.id for w in chosen("W1")], ["W1-200", "W1-2K"])
        self.assertEqual([w.id for w in chosen("W7")], ["W7"])
        for unknown in ["", "W", "W1-", "w1"]:
            self.assertEqual(chosen(unknown), [], unknown)
        for id in WORKLOADS:
            self.assertEqual([w.id for w in chosen(id)], [id])


if __name__ == "__main__":
    unittest.main()
