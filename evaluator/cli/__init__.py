"""Commands of the engine, from writing a twin to releasing it, and those that talk to a site.

``COMMANDS`` lists them by the module that holds them, with the line that ``--help`` prints. Such a
module offers ``add_commands(subparsers)``. Each of its commands sets ``handler``, a function from
the parsed arguments to an exit code, and may take ``--json``. A handler raises ``EvaluatorError``
or ``CommandFailed``; this module turns that into an exit code, the sentence on standard error and,
with ``--json``, one object as the last line of standard output.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

from evaluator.cli.failures import INTERRUPTED, CommandFailed, report
from evaluator.errors import EvaluatorError

PROGRAM = "holdfast"
COMMANDS: Mapping[str, Mapping[str, str]] = {
    "account": {
        "login": "store a token for a site, so that the commands below may use it",
        "logout": "forget the token of a site",
    },
    "submit": {
        "submit": "submit a model on the hub, or an endpoint, to a site",
    },
    "hub": {
        "preflight": "read a model's headers and configuration on a hub, fetching no weights",
        "architectures": "print the architectures that the installed engines load, as JSON",
    },
    "runs": {
        "status": "state of a run; without one, of the site's evaluators",
        "watch": "follow a run to its end, and state what to do next",
        "cancel": "cancel a run",
        "runs": "list your runs on a site",
    },
    "board": {"board": "print the ranking of a pair: scores, gaps, evidence"},
    "run": {
        "run": "evaluate a model on a public set; resumes after a kill",
        "protocols": "list the published protocols",
    },
    "grade": {
        "grade": "grade a file of responses",
        "graders": "list the published graders",
    },
    "gap": {"gap": "gap between a public and a private score, with its evidence"},
    "compare": {"compare": "two runs or models on the same items: a parent and its child"},
    "distil": {"distil": "self-training file from the sampled paths of a run, as LMSI makes it"},
    "execute": {"execute": "execute a file of programs in the sandbox"},
    "rescore": {"rescore": "grade a run's stored completions of a sealed set again"},
    "loglik": {"loglik": "log-likelihood per character of the texts of public sets"},
    "harness": {
        "harness": "a task of lm-evaluation-harness on local files, never sealed ones",
    },
    "authoring": {
        "brief": "give authors their tasks, or collect what they wrote",
        "check": "check new items against a public set, before sealing",
        "select": "second solve and audit as sheets, and the selection",
    },
    "check_tests": {
        "check-tests": "check that unit tests tell right programs from wrong ones, before sealing",
    },
    "import_set": {
        "import-set": "make a set from a file in HumanEval's, MBPP's or MATH's form",
    },
    "overlap": {
        "overlap": "find the items of a set in a corpus, also where they were rewritten",
    },
    "keys": {
        "keygen": "make keys in a new folder",
        "cosign": "add a witness's cosignature to a set's tree head",
        "enrol": "wrap a set's key for another evaluator",
    },
    "sealing": {
        "seal": "encrypt a set and commit to it",
        "inspect": "say what a set is, sealed or not, without opening it",
        "verify": "check every file of a sealed set, and that keys open it",
    },
    "notices": {"notice": "retire a block, an item or a whole sealed set, signed"},
    "releasing": {
        "sign": "sign the release of a set, as the first of its maintainers",
        "countersign": "add another maintainer's signature to a statement",
        "release": "open a set for good, once enough maintainers have signed",
    },
    "place": {"place": "say on how many GPUs and hosts a checkpoint fits, and how to start it"},
    "doctor": {"doctor": "say what is wrong with this evaluator's host, and what to do"},
    "settings": {"settings": "list the environment variables that the evaluator reads"},
}


def build_parser(command: str = "", *, program: str = PROGRAM) -> argparse.ArgumentParser:
    """Return the parser of one command, and of its neighbours; for no known one, of every command
    without its options.

    Only the module of the command is loaded: some are started often, and a site's commands need
    none of the engine.
    """
    parser = argparse.ArgumentParser(
        prog=program,
        description="Evaluate, grade and seal sets of items; submit models to a site and follow"
        " their runs.",
        epilog="Exit codes: 0 done, 1 a run ended without a result, 2 refused, 3 the site is away"
        " or busy, 4 not signed in, 130 interrupted.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module, summaries in COMMANDS.items():
        if command in summaries:
            # Imported here so that importing one module of the package loads no other.
            import_module(f"evaluator.cli.{module}").add_commands(commands)
            commands.choices[command].description = summaries[command]
            return parser
    for summaries in COMMANDS.values():
        for name, summary in summaries.items():
            commands.add_parser(name, help=summary)
    return parser


def main(argv: Sequence[str], *, program: str = PROGRAM) -> int:
    """Run one command. Returns its exit code, one of those in ``failures``."""
    command = argv[0] if argv else ""
    parser = build_parser(command, program=program)
    args = parser.parse_args(argv)
    try:
        return int(args.handler(args) or 0)
    except (EvaluatorError, CommandFailed) as failure:
        return report(args, failure)
    except KeyboardInterrupt:
        print("interrupted; what was graded is stored", file=sys.stderr)
        return INTERRUPTED
