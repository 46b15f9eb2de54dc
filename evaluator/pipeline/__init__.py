"""From a plan to reported outcomes: which items, in what order, asked how, and where the outcomes go."""
