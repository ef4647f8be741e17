"""The computing core under every local model: one forward pass holds pieces of many requests.

Why not transformers' own continuous batching: it samples for itself and masks causally, so that it can neither score a
tree of options over a cached prefix nor promise that an answer does not depend on what else is in its batch.
"""

CHUNK = 16
"""Prompt tokens that are read as one piece. Pieces begin at multiples of it, so that a prefix is computed in the same
shapes whether or not a part of it was in the cache."""
