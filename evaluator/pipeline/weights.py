"""Weights of a system under test: found on this host, fetched, or merged from an adapter."""

import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from evaluator.backends import engines
from evaluator.backends.hardware import find_gpus
from evaluator.backends.merging import merged
from evaluator.contract import (
    AdapterModel,
    Checkpoint,
    Endpoint,
    HubModel,
    JobSpec,
    Role,
    System,
    UploadModel,
)
from evaluator.contract.hub import token_binding
from evaluator.errors import Code, error
from evaluator.pipeline.context import Context
from evaluator.pipeline.plan import find_checkpoint

Weights = Checkpoint | HubModel | UploadModel | AdapterModel


def models_of(system: Weights | Endpoint | System) -> tuple[tuple[Role, Weights], ...]:
    """Return the models of a job that run here, by role; none for an endpoint."""
    if isinstance(system, Endpoint):
        return ()
    if isinstance(system, System):
        return ("generator", system.generator), ("verifier", system.verifier)
    return (("generator", system),)


def check_system(spec: JobSpec, context: Context) -> None:
    """Raise a code of ``DECLINED`` where this evaluator lacks what the system takes."""
    if isinstance(spec.system, Endpoint):
        _check_sealed(spec.system.sealed_keys, context)
    for role, model in models_of(spec.system):
        if context.failing:
            # Our own host alone serves verifiers.
            choice = "transformers" if role == "verifier" else engines.engine_setting(os.environ)
            given = engines.given_runs(choice, on_gpu=bool(find_gpus()))
            if context.failing.issuperset(given):
                raise error(Code.ENGINE_WRONG)
        if isinstance(model, Checkpoint):
            find_checkpoint(context.checkpoints, model.name)
            continue
        for part in _parts(model):
            context.store.check(part)
            if isinstance(part, HubModel):
                _check_sealed(part.sealed_keys, context)


def _check_sealed(keys: Mapping[str, str], context: Context) -> None:
    """Raise ``key_not_sealed`` where a key is sealed to other evaluators only."""
    if keys and context.evaluator not in keys:
        raise error(Code.KEY_NOT_SEALED)


async def bring(
    system: Weights,
    context: Context,
    stack: AsyncExitStack,
    *,
    token: str = "",
) -> Path:
    """Return the folder of the weights, which stays until the stack ends.

    ``token`` opens gated repositories. Raises the codes of the store, of the intake program and of
    a merge.
    """
    if isinstance(system, Checkpoint):
        return find_checkpoint(context.checkpoints, system.name)
    folders = []
    for part in _parts(system):
        bringing = context.store.bring(part, token)
        folders.append(await stack.enter_async_context(bringing))
    if not isinstance(system, AdapterModel):
        return folders[0]
    adapter, base = folders
    return await stack.enter_async_context(merged(base, adapter, workdir=context.work))


def _parts(system: HubModel | UploadModel | AdapterModel) -> list[HubModel | UploadModel]:
    """Return what is fetched."""
    if isinstance(system, AdapterModel):
        return [system.adapter, system.base]
    return [system]


def access_token(system: Weights | Endpoint | System, context: Context) -> str:
    """Return the submitter's access token to gated repositories; "" where there is none.

    One opens all models of a system, an adapter's base too: they are on the operator's hub.
    """
    for _, model in models_of(system):
        if isinstance(model, Checkpoint):
            continue
        for part in _parts(model):
            if isinstance(part, HubModel) and part.sealed_keys:
                sealed = part.sealed_keys[context.evaluator]
                return context.vault.open_key(sealed, bound_to=token_binding(part.repo))
    return ""
