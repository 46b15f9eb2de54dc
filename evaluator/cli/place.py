"""``place``: on how many GPUs and hosts a checkpoint fits, and how it is started there.

An evaluator starts what fits one host by itself. A larger model is started by its maintainers, with
vLLM on Ray, and listed as an endpoint (``docs/operations.md``).
"""

import argparse
from pathlib import Path
from shlex import quote

from evaluator.artefacts.placement import GIB, Gpu, place, place_across
from evaluator.artefacts.sizes import MAX_CONTEXT
from evaluator.backends.inspection import read_loading
from evaluator.cli.options import JSON_OPTION, Commands
from evaluator.cli.show import show
from evaluator.errors import EvaluatorError

MOST = 64
"""GPUs of a host, and hosts."""


def add_commands(commands: Commands) -> None:
    """Add the command."""
    command = commands.add_parser("place", parents=[JSON_OPTION])
    command.add_argument("checkpoint", type=Path, help="folder of its files")
    counts = range(1, MOST + 1)
    command.add_argument(
        "--gpus", type=int, choices=counts, metavar="N", required=True, help="GPUs of a host"
    )
    command.add_argument("--memory", type=int, required=True, help="GiB of each GPU")
    command.add_argument(
        "--hosts", type=int, choices=counts, metavar="N", default=1, help="hosts (%(default)s)"
    )
    command.set_defaults(handler=place_command)


def place_command(args: argparse.Namespace) -> int:
    """Print the plan. Returns 0; raises ENGINE_OOM where the checkpoint does not fit."""
    loading = read_loading(args.checkpoint)
    sizes = loading.sizes
    total = args.memory * GIB
    gpus = [Gpu(total, total)] * args.gpus
    try:
        placement = place(sizes, gpus, memory=0)
    except EvaluatorError:
        across = place_across(sizes, gpus, most=args.hosts)
    else:
        plan = {
            "hosts": 1,
            "gpus": placement.gpus,
            "GiB": round(placement.need / GIB, 1),
            "started by": "the evaluator",
        }
        return show(args, plan)
    # A command for the first host, one for the others and two after them.
    api = "chat" if loading.chat else "completions"
    folder = args.checkpoint.resolve()
    context = min(sizes.context, MAX_CONTEXT)
    name = quote(folder.name)
    serve = (
        f"vllm serve {quote(str(folder))} --served-model-name {name} --max-model-len {context}"
        f" --tensor-parallel-size {across.gpus} --pipeline-parallel-size {across.hosts}"
        " --distributed-executor-backend ray"
    )
    plan = {
        "hosts": across.hosts,
        "gpus": across.gpus,
        "GiB": round(across.need / GIB, 1),
        "started by": "its maintainers",
        "first host": "ray start --head --port 6379",
        "other hosts": "ray start --address FIRST:6379",
        "then, first": serve,
        "on the site": "python manage.py register_endpoint http://FIRST:8000/v1"
        f" --model {name} --api {api}",
    }
    return show(args, plan)
