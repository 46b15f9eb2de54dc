"""The ranking of what we ran, and its pages."""
