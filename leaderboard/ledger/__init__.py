"""Published copy of the evaluators' signed logs, and the site's own grants."""
