"""Other runners on the same prompts. Each file is started by its own interpreter and imports
nothing of ours."""
