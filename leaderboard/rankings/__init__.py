"""The ranking of one pair of sets: computed once into a snapshot, then only read."""
