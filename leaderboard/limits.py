"""Settings that bound what one submitter may have: official runs and practice."""

from leaderboard.environment import number

__all__ = [
    "DECLARED_PER_COHORT",
    "DECLARED_PER_SEASON",
    "PRACTICE_DAYS",
    "PRACTICE_PER_DAY",
    "PRACTICE_SECONDS",
    "PRACTICE_UNFINISHED",
    "QUOTA_DAYS",
    "QUOTA_RUNS",
    "RESERVING_SECONDS",
    "RUNS_AT_ONCE",
    "UNFINISHED_RUNS",
]

DECLARED_PER_COHORT = int(
    number(
        "HOLDFAST_DECLARED_PER_COHORT",
        1,
        least=1,
        about="Runs of self-declared endpoints, by party and cohort.",
    )
)
DECLARED_PER_SEASON = int(
    number(
        "HOLDFAST_DECLARED_PER_SEASON",
        8,
        least=1,
        about="Runs of self-declared endpoints, by party and season.",
    )
)
QUOTA_RUNS = int(
    number(
        "HOLDFAST_QUOTA_RUNS",
        3,
        least=0,
        about="Official runs that an organisation has on a benchmark in the days of "
        "`HOLDFAST_QUOTA_DAYS`; maintainers set others in the console or by `manage.py set_quota`.",
    )
)
QUOTA_DAYS = int(
    number("HOLDFAST_QUOTA_DAYS", 30, least=1, about="For how many days an official run counts.")
)
UNFINISHED_RUNS = int(
    number(
        "HOLDFAST_UNFINISHED_RUNS",
        10,
        least=1,
        about="Runs that one organisation has in the queue or under way at a time.",
    )
)
RUNS_AT_ONCE = int(
    number(
        "HOLDFAST_RUNS_AT_ONCE",
        0,
        least=0,
        about="Official runs of one organisation that evaluators have at the same time, "
        "the one ahead of each included; 0 is no bound.",
    )
)
RESERVING_SECONDS = number(
    "HOLDFAST_RESERVING_SECONDS",
    900,
    least=0,
    about="How long before its next attempt a run that few evaluators can do reserves one of them; "
    "0 is never.",
)
PRACTICE_PER_DAY = int(
    number(
        "HOLDFAST_PRACTICE_PER_DAY",
        20,
        least=0,
        about="Practice runs that one organisation may submit in 24 hours.",
    )
)
PRACTICE_UNFINISHED = int(
    number(
        "HOLDFAST_PRACTICE_UNFINISHED",
        2,
        least=1,
        about="Practice runs that one organisation has in the queue or under way at a time.",
    )
)
PRACTICE_SECONDS = number(
    "HOLDFAST_PRACTICE_SECONDS",
    1800,
    least=1,
    about="How long one attempt at a practice run may take.",
)
PRACTICE_DAYS = number(
    "HOLDFAST_PRACTICE_DAYS",
    14,
    least=0.001,
    about="How long the prompts and answers of practice runs are stored.",
)
