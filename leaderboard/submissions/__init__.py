"""Models, submissions and runs: from a form to outcomes."""
