"""Course of one evaluation: from a job to reported outcomes."""
