"""Pages about models, runs and sealed sets: one module a page, or a few that share their parts."""
