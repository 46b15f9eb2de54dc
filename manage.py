#!/usr/bin/env python
"""Django's command line for the site."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "leaderboard.settings")
    os.environ.setdefault(
        "HOLDFAST_PROGRAM", "migration" if sys.argv[1:2] == ["migrate"] else "command"
    )
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
