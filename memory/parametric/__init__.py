"""Parametric case retrieval (Memento; Zhou et al. 2025, arXiv 2508.16153): a small head over frozen embeddings learns
from outcomes which case helps in which state. Cosine goes on ranking until the head has beaten it.

labels: what the randomised hold-out says case by case. head: the two layers. training, softq: how they are fitted.
proof: whether they beat cosine on what they have not seen. files: how they are kept. refit: all of it, every 200
outcomes. ranker: recall by it.
"""

if __name__ != "wisen.memory.parametric":
    raise ImportError("import this package as 'wisen.memory.parametric', not as 'memory.parametric'")
