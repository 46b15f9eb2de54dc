"""Bring weights here: from a hub at a commit, or from the site that they were uploaded to.

A program of its own, with a network and no keys.

- ``connections`` opens connections to checked addresses;
- ``hub`` speaks to the hub, by ``huggingface_hub``, ``site`` to the site;
- ``headers`` reads headers and configuration of a model by range requests, ``look`` gives its
  facts, also of one in a folder, and ``adapters`` those of an adapter with its base;
- ``store`` holds fetched models by the content of their files, up to a number of bytes;
- ``fetch`` brings a model into the store.

Nothing imports this package: the site and the evaluator start ``python -m evaluator.intake``.
"""
