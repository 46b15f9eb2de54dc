"""The public facts of each pair of sets: protocol, counts, commitment, state of its release."""
