"""The benchmark of interruptions runs, and counts no more than a step lost."""

from __future__ import annotations

from benchmarks.interruptions.__main__ import main


def test_a_few_of_each() -> None:
    counts = main(["--interruptions", "4", "--kills", "1", "--host", "0", "0", "--seed", "3"])
    for count in counts.values():
        assert count.interrupted > 0 and count.most_lost <= 1
        assert count.runs == count.equal > 0
