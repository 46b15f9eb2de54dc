"""A board as a page of Django's own makes it, to compare with: one table, a paginator and a template."""
