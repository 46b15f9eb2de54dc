"""The search for leaks is run on a build that leaks in five ways, and has to find each one where it is."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.leaks import database, drive, surfaces
from tests.leaks.canaries import token
from tests.leaks.grading import grade_again

pytestmark = pytest.mark.timeout(600)

CONTROL = token("control")

LOGS_PROMPTS = (
    "evaluator/backends/http.py",
    "        if self._session is None:\n            raise",
    "        print(request)\n        if self._session is None:\n            raise",
)
SHOWS_LOCALS = (
    "leaderboard/settings.py",
    'DEBUG = flag(\n    "HOLDFAST_DEBUG"',
    'DEBUG = True or flag(\n    "HOLDFAST_DEBUG"',
)
KEEPS_PLAINTEXT = [
    (
        "evaluator/sealing/completions.py",
        "sealed = self._cipher(run).encrypt(nonce, plain, None)",
        "sealed = plain",
    ),
    (
        "evaluator/sealing/completions.py",
        "plain = self._cipher(run).decrypt(bytes.fromhex(parsed.nonce), ciphertext, None)",
        "plain = ciphertext",
    ),
]
REPORTS_COMPLETIONS = [
    (
        "evaluator/contract/__init__.py",
        "    outcomes: Annotated[tuple[tuple[Count",
        '    note: str = ""\n    outcomes: Annotated[tuple[tuple[Count',
    ),
    (
        "evaluator/pipeline/sink.py",
        "Graded(set=name, outcomes=tuple(outcomes), samples_right=tuple(counts))",
        "Graded(set=name, outcomes=tuple(outcomes), samples_right=tuple(counts), note=note)",
    ),
    (
        "evaluator/pipeline/sink.py",
        "outcomes: Sequence[tuple[int, Outcome]], counts: Sequence[int]\n",
        'outcomes: Sequence[tuple[int, Outcome]], counts: Sequence[int], note: str = ""\n',
    ),
    (
        "evaluator/pipeline/sink.py",
        "[(result.index, result.outcome) for result in results], counts)",
        "[(result.index, result.outcome) for result in results], counts,"
        " results[0].completion.text)",
    ),
    (
        "leaderboard/submissions/actions/recording.py",
        "    row.merge(body.outcomes, body.samples_right)\n",
        "    row.merge(body.outcomes, body.samples_right)\n"
        "    job = Outbox.objects.get(run=run, token=run.token)\n"
        '    job.payload["note"] = body.note\n'
        "    job.save()\n",
    ),
]
RESCORES_COMPLETIONS = [
    (
        "evaluator/contract/rescored.py",
        "    outcomes: Annotated[tuple[tuple[Count, Outcome, Outcome]",
        '    note: str = ""\n    outcomes: Annotated[tuple[tuple[Count, Outcome, Outcome]',
    ),
    (
        "evaluator/pipeline/rescore.py",
        "RescoredSet(name=ask.name, outcomes=triples)",
        "RescoredSet(\n        name=ask.name,\n        outcomes=triples,\n"
        '        note=" ".join(one.text for one in context.completions.read(order.run)),\n    )',
    ),
]
QUOTES_ENDPOINTS = [
    (
        "evaluator/hosts/gateway/plain.py",
        "    raise refusal(status, headers, body, question)\n",
        "    if status == 400:\n"
        "        raise Refused(Code.ENDPOINT_REJECTED, body.decode())\n"
        "    raise refusal(status, headers, body, question)\n",
    ),
    (
        "evaluator/hosts/gateway/asking.py",
        "problem = error(code)",
        'problem = error(code, refused.retry_after or "")',
    ),
    (
        "evaluator/hosts/gateway/__main__.py",
        '{"code": problem.code.value}',
        '{"code": problem.code.value, "said": problem.detail}',
    ),
    (
        "evaluator/backends/http.py",
        "return error(code) if reason is None else ItemRefused(code, reason)",
        'return error(code, data["error"].get("said", ""))',
    ),
    (
        "evaluator/pipeline/attempt.py",
        "        return failure.code\n",
        "        _SAID.append(failure.detail)\n        return failure.code\n",
    ),
    (
        "evaluator/pipeline/attempt.py",
        "_log = logging.getLogger(__name__)\n",
        "_log = logging.getLogger(__name__)\n_SAID: list[str] = []\n",
    ),
    (
        "evaluator/pipeline/attempt.py",
        "Failed(code=code)",
        'Failed(code=code, said=" ".join(_SAID))',
    ),
    (
        "evaluator/contract/__init__.py",
        'implies the party at fault."""\n\n    code: Code\n',
        'implies the party at fault."""\n\n    code: Code\n    said: str = ""\n',
    ),
    (
        "leaderboard/submissions/actions/recording.py",
        "    retry_or_fail(run, body.code)\n",
        '    retry_or_fail(run, body.code)\n    run.change(claimed=[{"said": body.said}])\n',
    ),
    (
        "leaderboard/submissions/api/runs.py",
        '"failure": explain_code(run.ended_because),',
        '"failure": (failure := explain_code(run.code)) and failure | {"advice": str(run.claimed)},',
    ),
]


TELLS_NAMES = [
    (
        "evaluator/backends/model_names.py",
        'return "sha256:" + hashlib.sha256(returned.encode("utf-8", "surrogatepass")).hexdigest()[:16]',
        "return returned",
    ),
    (
        "evaluator/contract/summary.py",
        r'Returned = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._:/@-]{0,219}\Z")]',
        "Returned = str",
    ),
]
"""What an endpoint calls itself goes into the run's record as it is."""


@pytest.fixture
def leaky(mutant: Callable[..., Path]) -> Path:
    """The build with all these faults: each shows on a surface of its own."""
    source = mutant(*LOGS_PROMPTS)
    for file, passage, replacement in (
        SHOWS_LOCALS,
        *KEEPS_PLAINTEXT,
        *REPORTS_COMPLETIONS,
        *QUOTES_ENDPOINTS,
        *TELLS_NAMES,
    ):
        text = (source / file).read_text()
        assert text.count(passage) == 1, f"{file} has changed: mend this mutant"
        (source / file).write_text(text.replace(passage, replacement))
    return source


@pytest.mark.slow
def test_each_leak_is_found_on_its_surface(begin: Callable[..., drive.Used], leaky: Path) -> None:
    used = begin(source=leaky)
    drive.open_the_doors(used)
    for mode in ("echo", "400"):
        used.wait(used.submit(mode), lambda state: state["final"])
    told = str(used.house.run(used.runs["400"])["failure"]).encode()
    used.page("no such page", used.author, "GET", f"/no/such/{used.address.text}", status=404)
    named = str(used.house.run(used.runs["echo"])["record"]["returned"]).encode()
    place = used.house.place
    seen = {
        "prompts logged": place.log("evaluator").read_bytes(),
        "completions reported": b"\n".join(used.wiretap.heard),
        "completions stored": database.dump(place.database_url, "custom"),
        "completions kept": b"".join(
            file.read_bytes() for file in (place.folder / "evaluator").rglob("*.sealed")
        ),
        "an endpoint quoted": told,
        "an endpoint's own name": named,
        "a visitor quoted": b"".join(used.pages.values()),
    }
    found = {
        name: surfaces.scan(
            surfaces.blob(name, partial(bytes, content), CONTROL), used.secrets, []
        )[0]
        for name, content in seen.items()
    }
    assert [name for name, one in found.items() if not one.leaks] == []


@pytest.mark.slow
def test_a_leak_in_what_is_graded_again_is_found(
    begin: Callable[..., drive.Used], mutant: Callable[..., Path]
) -> None:
    source = mutant(*RESCORES_COMPLETIONS[0])
    file, passage, replacement = RESCORES_COMPLETIONS[1]
    text = (source / file).read_text()
    assert text.count(passage) == 1, f"{file} has changed: mend this mutant"
    (source / file).write_text(text.replace(passage, replacement))
    used = begin(source=source)
    drive.open_the_doors(used)
    used.wait(used.submit("echo"), lambda state: state["state"] == "ranked")

    def leaks() -> bool:
        blob = surfaces.blob("reports", partial(bytes, b"\n".join(used.wiretap.heard)), CONTROL)
        return bool(surfaces.scan(blob, used.secrets, [])[0].leaks)

    assert not leaks()
    grade_again(used)
    assert leaks()
