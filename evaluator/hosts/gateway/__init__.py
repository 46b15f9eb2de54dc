"""The gateway to remote endpoints: the only program that learns an API key, and the only one that calls out."""
