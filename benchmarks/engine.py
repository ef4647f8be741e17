"""How fast the local engine serves agents, beside plain transformers: the same requests, the same weights.

    python benchmarks/engine.py --out DIR [--device cuda] [--models small large] [--episodes 16] [--steps 8]

Concurrent episodes take steps, and each step's prompt is the last one, the reply to it, and what happened then: it
grows from 200 to 900 tokens. A reply is 16 tokens at temperature 0. Weights are random, of two sizes: 8 M parameters
(the shape of the small backbone) and 100 M.

  one by one     one `generate` call per step, in sequence
  batched        transformers' `generate` over all episodes' prompts of a step at once; no prefix is reused
  continuous     transformers' continuous batching (`generate_batch`), where it runs
  engine         ours: all episodes at once, each its own pace

The first fixes the prompts; all others get the same ones, and their replies are compared with its token for token.
Where one differs, the gap between the two best tokens there says whether it was a near tie. Then the same steps as a
choice among twelve actions: `rows` is one padded batch of prompt + option per step, `engine` one pass over the tree of
all options.
Times are wall time; CPU seconds stand beside them, since a busy machine stretches only the former.
"""

import argparse
import asyncio
import json
import logging
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from wisen.models.constraint import OneOf
from wisen.models.local import LocalModel
from wisen.models.quiet import quiet_transformers
from wisen.models.sampling import Sampling
from wisen.models.tiny import TinyShape, build_tiny

SHAPES = {
    "tiny": TinyShape(),  # to try the script out
    "small": TinyShape(
        vocab_size=4096, hidden_size=256, layers=6, heads=4, feed_forward=1024, context=1024, initializer_range=0.02
    ),
    "large": TinyShape(
        vocab_size=4096, hidden_size=768, layers=12, heads=12, feed_forward=2432, context=1024, initializer_range=0.02
    ),
}
FIRST, LAST, NEW, OPTIONS = 200, 900, 16, 12
PARTS = [f"{a}{b}{c}" for a in "bdfgklmnprstvz" for b in "aeiou" for c in ("l", "n", "r", "s")]
WORDS = [first + last for first in PARTS for last in PARTS[::16]]
Ids = tuple[int, ...]


@dataclass
class Arm:
    """What one way of serving did. gaps: for each reply that differs, the gap in log-probability between the two best
    tokens where it first does."""

    model: str
    task: str
    arm: str
    steps: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    same: int = 0
    compared: int = 0
    gaps: list[float] = field(default_factory=list)
    note: str = ""

    @property
    def rate(self) -> float:
        return self.steps / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Work:
    """prompts[episode][step], and the replies that the first arm gave."""

    prompts: list[list[Ids]]
    replies: list[list[Ids]]
    options: list[str]


class Bench:
    def __init__(self, folder: Path, name: str, asked: argparse.Namespace) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        self.name, self.asked, self.folder = name, asked, folder
        torch.set_num_threads(asked.threads)
        dtype = getattr(torch, asked.dtype)
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(asked.device).eval()
        self.model.generation_config.do_sample = False
        self.vocabulary = int(self.model.config.vocab_size)
        self.torch = torch

    def run(self) -> list[Arm]:
        draw = random.Random(0)
        first, work = self._one_by_one(draw)
        arms = [first, self._batched(work), asyncio.run(self._engine(work))]
        if not self.asked.no_continuous:
            arms.append(self._continuous(work))
        rows, chosen = self._rows(work)
        arms += [rows, asyncio.run(self._choices(work, chosen))]
        return arms

    def _lengths(self, step: int) -> int:
        steps = self.asked.steps
        return self.asked.first + (self.asked.last - self.asked.first) * step // max(1, steps - 1)

    def _one_by_one(self, draw: random.Random) -> tuple[Arm, Work]:
        """Makes the prompts as it goes: what follows a reply is drawn by a seed."""
        arm = Arm(self.name, "text", "one by one")
        common = self._noise(draw, self.asked.first // 3)
        prompts: list[list[Ids]] = []
        replies: list[list[Ids]] = []
        self._generate([common])  # warm
        for _ in range(self.asked.episodes):
            prompt = common + self._noise(draw, draw.randrange(16))
            prompts.append([])
            replies.append([])
            for step in range(self.asked.steps):
                prompt += self._noise(draw, self._lengths(step) - len(prompt))
                with self._timed(arm, 1):
                    (reply,) = self._generate([prompt])
                prompts[-1].append(prompt)
                replies[-1].append(reply)
                prompt += reply
        options = [" ".join(["click", *draw.choices(WORDS, k=3)]) for _ in range(OPTIONS)]
        arm.same = arm.compared = arm.steps
        return arm, Work(prompts, replies, options)

    def _batched(self, work: Work) -> Arm:
        arm = Arm(self.name, "text", "batched")
        for step in range(self.asked.steps):
            with self._timed(arm, self.asked.episodes):
                found = self._generate([episode[step] for episode in work.prompts])
            self._compare(arm, work, [(number, step, reply) for number, reply in enumerate(found)])
        return arm

    def _continuous(self, work: Work) -> Arm:
        arm = Arm(self.name, "text", "continuous")
        logging.disable(logging.CRITICAL)
        try:
            for step in range(self.asked.steps):
                prompts = [list(episode[step]) for episode in work.prompts]
                with self._timed(arm, self.asked.episodes):
                    found = self.model.generate_batch(prompts, max_new_tokens=NEW, warmup=False)
                replies = [tuple(each.generated_tokens) for each in found.values()]
                if len(replies) != len(prompts) or not all(replies):
                    raise RuntimeError("it gave no replies")
                ordered = [(int(str(key).rpartition("_")[2]), value) for key, value in found.items()]
                self._compare(
                    arm,
                    work,
                    [(place, step, tuple(each.generated_tokens)) for place, (_, each) in enumerate(sorted(ordered))],
                )
        except Exception as error:  # a foreign engine that may not run on this device: that is a result
            arm.note = f"does not run here: {type(error).__name__}: {' '.join(str(error).split())[:120]}"
        finally:
            logging.disable(logging.NOTSET)
        return arm

    async def _engine(self, work: Work) -> Arm:
        arm = Arm(self.name, "text", "engine")
        model = self._served()

        async def play(number: int) -> list[tuple[int, int, Ids]]:
            found = []
            for step, prompt in enumerate(work.prompts[number]):
                generation = await model.start(prompt, Sampling(temperature=0, max_tokens=NEW))
                reply = tuple([token.token.id async for token in generation])
                found.append((number, step, reply))
            return found

        replies = await self._all(arm, model, play, len(work.prompts))
        self._compare(arm, work, replies)
        hits, misses = model.engine.prefix_tokens
        arm.note = f"{hits / (hits + misses):.0%} of prompt tokens from the cache"
        await model.close()
        return arm

    def _rows(self, work: Work) -> tuple[Arm, dict[tuple[int, int], int]]:
        arm = Arm(self.name, "choice", "rows")
        tokenizer = self._tokenizer()
        options = [tuple(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in work.options]
        options = [(*ids, tokenizer.eos_token_id) for ids in options]
        chosen = {}
        for step, prompt in enumerate(work.prompts[0]):  # it takes long, and one episode's steps are like another's
            with self._timed(arm, 1):
                chosen[0, step] = self._best(prompt, options)
        arm.same = arm.compared = arm.steps
        return arm, chosen

    async def _choices(self, work: Work, chosen: dict[tuple[int, int], int]) -> Arm:
        arm = Arm(self.name, "choice", "engine")
        model = self._served()

        async def play(number: int) -> list[tuple[int, int, int]]:
            found = []
            for step, prompt in enumerate(work.prompts[number]):
                scores = await model.score(prompt, work.options)
                best = max(range(len(scores)), key=lambda index: scores[index].logprob)
                found.append((number, step, best))
                expected = chosen.get((number, step))
                arm.compared += expected is not None
                arm.same += best == expected
                if expected is not None and best != expected:
                    arm.gaps.append(scores[best].logprob - scores[expected].logprob)
            return found

        await self._all(arm, model, play, len(work.prompts))
        await model.close()
        return arm

    async def _all(
        self, arm: Arm, model: LocalModel, play: Callable[[int], Awaitable[list[Any]]], episodes: int
    ) -> list[Any]:
        generation = await model.start([5] * 20, Sampling(temperature=0, max_tokens=2), OneOf(options=("a", "b")))
        _ = [token async for token in generation]  # warm
        with self._timed(arm, episodes * self.asked.steps):
            found = await asyncio.gather(*(play(number) for number in range(episodes)))
        return [each for episode in found for each in episode]

    def _generate(self, prompts: Sequence[Ids]) -> list[Ids]:
        torch = self.torch
        longest = max(map(len, prompts))
        ids = torch.tensor([[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts])
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        out = self.model.generate(
            ids.to(self.asked.device),
            attention_mask=mask.to(self.asked.device),
            max_new_tokens=NEW,
            do_sample=False,
        )
        end = self.model.generation_config.eos_token_id
        replies = [tuple(row[longest:].tolist()) for row in out]
        return [reply[: reply.index(end) + 1] if end in reply else reply for reply in replies]

    def _best(self, prompt: Ids, options: Sequence[Ids]) -> int:
        """One batch of prompt + option, as scoring without a cache is done."""
        torch = self.torch
        longest = max(map(len, options))
        ids = torch.tensor([[*prompt, *option, *[0] * (longest - len(option))] for option in options])
        with torch.inference_mode():
            logits = self.model(ids.to(self.asked.device), logits_to_keep=longest + 1, use_cache=False).logits.float()
            logprobs = logits.log_softmax(-1).cpu()
        scores = [
            sum(float(logprobs[row, depth, token]) for depth, token in enumerate(option))
            for row, option in enumerate(options)
        ]
        return max(range(len(scores)), key=scores.__getitem__)

    def _compare(self, arm: Arm, work: Work, replies: Sequence[tuple[int, int, Ids]]) -> None:
        arm.compared += len(replies)
        for number, step, reply in replies:
            expected = work.replies[number][step]
            if reply == expected:
                arm.same += 1
                continue
            pairs = zip(reply, expected, strict=False)
            at = next((place for place, (mine, theirs) in enumerate(pairs) if mine != theirs), -1)
            arm.gaps.append(self._gap(work.prompts[number][step] + expected[:at]) if at >= 0 else float("inf"))

    def _gap(self, ids: Ids) -> float:
        with self.torch.inference_mode():
            logits = self.model(self.torch.tensor([ids]).to(self.asked.device), logits_to_keep=1).logits[0, -1].float()
        best = logits.log_softmax(-1).topk(2).values
        return float(best[0] - best[1])

    def _noise(self, draw: random.Random, count: int) -> Ids:
        return tuple(draw.randrange(20, self.vocabulary) for _ in range(count))

    def _served(self) -> LocalModel:
        return LocalModel.load(
            self.folder,
            name=self.name,
            device=self.asked.device,
            dtype=self.asked.dtype,
            threads=self.asked.threads,
            max_running=self.asked.episodes,
        )

    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.folder)

    def _timed(self, arm: Arm, steps: int) -> "_Timed":
        return _Timed(arm, steps, self.torch if self.asked.device.startswith("cuda") else None)


class _Timed:
    def __init__(self, arm: Arm, steps: int, cuda: Any) -> None:
        self._arm, self._steps, self._cuda = arm, steps, cuda

    def __enter__(self) -> None:
        self._settle()
        self._begun, self._cpu = time.perf_counter(), time.process_time()

    def __exit__(self, *error: object) -> None:
        self._settle()
        self._arm.seconds += time.perf_counter() - self._begun
        self._arm.cpu_seconds += time.process_time() - self._cpu
        self._arm.steps += self._steps

    def _settle(self) -> None:
        if self._cuda is not None:
            self._cuda.cuda.synchronize()


def table(arms: Sequence[Arm]) -> str:
    """Markdown: one line per arm; the factor is against the first of the same model and task."""
    lines = [
        "| model | task | arm | steps/s | times | CPU s/step | same replies | largest gap where not | note |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    first: dict[tuple[str, str], Arm] = {}
    for arm in arms:
        base = first.setdefault((arm.model, arm.task), arm)
        if arm.note.startswith("does not run"):
            lines.append(f"| {arm.model} | {arm.task} | {arm.arm} | | | | | | {arm.note} |")
            continue
        gap = f"{max(arm.gaps):.1e}" if arm.gaps else ""
        cells = (
            arm.model,
            arm.task,
            arm.arm,
            f"{arm.rate:.2f}",
            f"{arm.rate / base.rate:.1f}",
            f"{arm.cpu_seconds / arm.steps:.3f}",
            f"{arm.same} of {arm.compared}",
            gap,
            arm.note,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", nargs="+", choices=list(SHAPES), default=["small", "large"])
    parser.add_argument("--episodes", type=int, default=16)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--first", type=int, default=FIRST, help="tokens of the first prompt")
    parser.add_argument("--last", type=int, default=LAST, help="tokens of the last prompt")
    parser.add_argument("--no-continuous", action="store_true", help="leave out transformers' continuous batching")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args(arguments)

    import torch

    quiet_transformers()
    out = sys.stdout
    if asked.device.startswith("cuda") and not torch.cuda.is_available():
        out.write("there is no GPU here: run this on a machine that has one, or leave --device out\n")
        return 2
    arms: list[Arm] = []
    work = Path(tempfile.mkdtemp())
    try:
        for name in asked.models:
            draw = random.Random(1)
            texts = [" ".join(["click", *draw.choices(WORDS, k=60)]) for _ in range(1000)]
            shape = SHAPES[name].model_copy(update={"context": max(1024, asked.last + 64)})
            size = build_tiny(work / name, texts, shape, seed=1)
            out.write(f"{name}: {size:,} parameters\n")
            out.flush()
            arms += Bench(work / name, name, asked).run()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    asked.out.mkdir(parents=True, exist_ok=True)
    where = torch.cuda.get_device_name(0) if asked.device.startswith("cuda") else f"CPU, {asked.threads} threads"
    head = (
        f"{asked.episodes} episodes of {asked.steps} steps, prompts of {asked.first} to {asked.last} tokens, "
        f"{NEW} new ones a step; {where}, {asked.dtype}, torch {torch.__version__}"
    )
    (asked.out / "engine.md").write_text(f"{head}\n\n{table(arms)}\n")
    (asked.out / "engine.json").write_text(
        json.dumps(
            {"settings": {**vars(asked), "out": ""}, "where": where, "arms": [asdict(arm) for arm in arms]}, indent=1
        )
    )
    out.write(f"{head}\n\n{table(arms)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
