"""The published copy of the evaluators' signed logs, and the site's own record of what it granted."""
