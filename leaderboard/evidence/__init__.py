"""Evidence of overfitting: statistics, cohorts and verdicts."""
