"""British English, the language of the settings."""
