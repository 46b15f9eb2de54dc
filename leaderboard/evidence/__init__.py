"""How a gap is judged: statistics, cohorts, verdicts."""
