"""Gateway to remote endpoints: the only program that has an API key, and that calls out."""
