"""Forms of dates in the maintainers' console, which Django finds by ``FORMAT_MODULE_PATH``."""
