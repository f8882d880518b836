"""Comparing what models made of the same rows: intervals, tests, and sentences that say what may be concluded."""
