"""Bring weights here: from a hub, at a commit. A program of its own, with a network and no keys.

- ``hub`` speaks to the hub, by ``huggingface_hub``, through a transport that checks every address;
- ``selection`` decides which files of a repository are wanted;
- ``look`` reads headers and configuration of a model by range requests;
- ``store`` holds fetched models by the content of their files, up to a number of bytes;
- ``fetch`` brings a model into the store.

Nothing imports this package: the site and the evaluator start ``python -m evaluator.intake``.
"""
