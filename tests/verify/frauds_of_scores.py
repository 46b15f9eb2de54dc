"""More of what a dishonest operator may do: to runs, to what they came to, and to the rows of the board."""

from tests.verify.frauds import fraud, index_of, row_of
from tests.verify.world import World, run_id


@fraud("row_without_closing")
def dropped_run(world: World) -> None:
    world.lines = [line for line in world.lines if line.get("run") != run_id(1)]


@fraud("form_not_exposed")
def dropped_exposure(world: World) -> None:
    del world.lines[index_of(world, "exposure", 1)]


@fraud("tally_differs")
def score_and_tally_better_than_the_closing(world: World) -> None:
    world.lies[run_id(2)] = {"right": 5, "truncated": 0}
    row_of(world, 2)["private"].update(right=5, truncated=0, accuracy=1.0)


@fraud("tally_differs")
def tally_of_another_line(world: World) -> None:
    world.lies[run_id(2)] = {"line": "0b" * 32}


@fraud("run_withheld")
def run_that_missed_the_close(world: World) -> None:
    world.rows.remove(row_of(world, 2))
    world.runs[1].update(state="graded", model=None, queued_at=None)
    row_of(world, 1)["judged"] = {"closed": "2026-06-02"}


@fraud("run_withheld")
def withheld_run(world: World) -> None:
    world.rows.remove(row_of(world, 2))


@fraud("run_withheld")
def disowned_run(world: World) -> None:
    world.rows.remove(row_of(world, 2))
    world.runs[:] = [run for run in world.runs if run["id"] != run_id(2)]


@fraud("run_withheld")
def run_that_never_ends(world: World) -> None:
    world.rows.remove(row_of(world, 2))
    world.runs[1].update(state="running", model=None, queued_at=None)


@fraud("run_withheld")
def older_and_better_run(world: World) -> None:
    world.rows.remove(row_of(world, 1))
    world.lines[index_of(world, "closing", 4)] |= {"right": 17, "wrong": 1}
    world.row(4, "alpha", "T0", (16, 1, 0, 0))


@fraud("run_gone", later=True)
def forgotten_run(world: World) -> None:
    del world.runs[-1]


@fraud("score_differs")
def better_score_than_on_the_log(world: World) -> None:
    row_of(world, 2)["private"].update(right=5, truncated=0, accuracy=1.0)


@fraud("form_differs")
def smaller_n_on_the_board(world: World) -> None:
    row_of(world, 2)["private"].update(n=4, truncated=0, accuracy=1.0)


@fraud("score_changed", later=True)
def score_mended_afterwards(world: World) -> None:
    row_of(world, 1)["private"].update(right=15, wrong=1, accuracy=15 / 17)


@fraud("row_twice")
def duplicated_run(world: World) -> None:
    world.row(4, "alpha", "T0", (9, 8, 0, 0))


@fraud("attempt_closed")
def closed_again_and_better(world: World) -> None:
    world.lines.append(world.close(2, (5, 1, 0, 0, 0)))


@fraud("closing_unexposed")
def closing_over_items_never_shown(world: World) -> None:
    world.lines.append(world.close(5, (12, 0, 0, 0, 0)))


@fraud("row_unknown")
def retracted_run_on_the_board(world: World) -> None:
    world.runs[0]["retracted"] = True


@fraud("tier_differs")
def other_tier_on_the_board(world: World) -> None:
    row_of(world, 2)["tier"] = "T0"


@fraud("row_stale")
def board_that_ignores_a_notice(world: World) -> None:
    row_of(world, 2).update(version=0)
    row_of(world, 2)["private"].update(n=6, wrong=1, accuracy=4 / 6)


def scored_by_four_samples(world: World, run: int, right: int) -> dict[str, int]:
    """Let the log commit to ``right`` of all samples of a run, and its row state them."""
    world.lines[index_of(world, "closing", run)] |= {"samples": 4, "samples_right": right}
    private: dict[str, int] = row_of(world, run)["private"]
    private |= {"samples": 4, "samples_right": right}
    private["accuracy"] = right / (4 * private["n"])  # type: ignore[assignment]
    return private


@fraud("score_differs")
def better_mean_than_on_the_log(world: World) -> None:
    private = scored_by_four_samples(world, 2, 13)
    private |= {"samples_right": 14, "accuracy": 14 / (4 * private["n"])}  # type: ignore[dict-item]


@fraud("score_differs")
def fewer_samples_than_on_the_log(world: World) -> None:
    private = scored_by_four_samples(world, 2, 9)
    private |= {"samples": 2, "accuracy": 9 / (2 * private["n"])}  # type: ignore[dict-item]


@fraud("score_differs")
def mean_of_samples_that_were_never_drawn(world: World) -> None:
    private = row_of(world, 2)["private"]
    n = private["n"]
    private |= {"samples": 4, "samples_right": 4 * n, "accuracy": 1.0}
