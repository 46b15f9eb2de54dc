"""Making a private twin by hand, as GSM1k was made: briefs, a blind second solve, an audit, checks, a selection."""
