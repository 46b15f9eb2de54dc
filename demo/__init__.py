"""The demonstration: its word problems, its tiny models and what serves them."""
