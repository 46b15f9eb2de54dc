"""Authoring of a private twin, as of GSM1k: briefs, second solve, audit, checks and selection."""
