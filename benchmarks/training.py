"""How fast is the training loop, and what do whole trajectories save? Beside TRL's SFT trainer, on the same rows.

    python benchmarks/training.py --repeats 3 --out .wisen-training

speed: the same token ids, masks, batches' size, precision, optimiser and weights for both; tokens that are no padding
per second, and the most memory that a process came to, each in a process of its own, by turns. TRL needs installing
(`pip install trl`); without it our half alone is measured, and the table says so. Both take a first epoch that is not
counted. packing: episodes of a conversation of `--steps` turns, sampled by a tiny backbone through the engine, as rows
per step and as whole trajectories: the tokens of both, and that they train the same tokens. Prints tables, and writes
`training.json` and `training.md`. Two minutes on a core.

It falls short: a backbone of 4 million parameters on a CPU says little about a large one on a GPU, and a page agent's
prompts are rendered afresh at each step, so that its trajectories do not pack at all (the table's last line).
"""

import argparse
import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from wisen.core.records import (
    Action,
    EpisodeEnd,
    Message,
    ModelCall,
    ModelRequest,
    Observation,
    Phase,
    Purpose,
    Role,
    Span,
    SpanKind,
    Split,
    Step,
    StepResult,
    Task,
    Trajectory,
)
from wisen.models import sprout
from wisen.models.local import LocalModel
from wisen.models.tiny import TinyShape, build_tiny
from wisen.models.tokens import Codec
from wisen.trainers.dataset import Row, decisions, merged
from wisen.trainers.loop import LoopSettings, train
from wisen.trainers.sprout.replay import lesson_row

OURS, TRL = "wisen", "trl"
SHAPE = TinyShape(vocab_size=300, hidden_size=32, layers=2, heads=2, feed_forward=64, context=4096)
TEXTS = ("Task: press the blue button, then type a name.", "Page: the button is red, or blue.")
BATCH = 8  # rows; TRL counts rows, and so do we here


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--episodes", type=int, default=6)
    parser.add_argument("--out", type=Path, default=Path(".wisen-training"))
    parser.add_argument("--one", choices=(OURS, TRL), help="measure one side, in this process")
    told = parser.parse_args()
    if told.one:
        sys.stdout.write(json.dumps(speed(told.one, lessons(told.rows))) + "\n")
        return
    told.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"speed": {OURS: [], TRL: []}}
    for _ in range(told.repeats):
        for side in (OURS, TRL):
            command = [sys.executable, __file__, "--one", side, "--rows", str(told.rows)]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode == 0:
                found["speed"][side].append(json.loads(done.stdout.splitlines()[-1]))
            elif side == OURS or "No module named 'trl'" not in done.stderr:
                sys.stderr.write(done.stderr)
                sys.exit(1)
    found["packing"] = packing(asyncio.run(conversations(told.episodes, told.steps)))
    lines = table(found, told.steps)
    (told.out / "training.json").write_text(json.dumps(found, indent=1) + "\n")
    (told.out / "training.md").write_text("\n".join(lines) + "\n")
    sys.stdout.write("\n".join(lines) + "\n")


def lessons(count: int) -> list[Row]:
    """Rows of sprout's lessons without their constraints, which TRL does not know."""
    codec, draw = Codec.load(sprout.folder()), random.Random(0)
    rows = [lesson_row(codec, draw) for _ in range(count)]
    return [Row(row.ids, row.trained, ((),) * len(row.trained), row.template_id) for row in rows]


def speed(side: str, rows: Sequence[Row]) -> dict[str, float]:
    """Of one epoch after another that is not counted."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    measure = _ours if side == OURS else _trl
    seconds, loss = measure(rows)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"tokens_per_second": sum(row.tokens for row in rows) / seconds, "peak_mib": peak, "loss": loss}


def _ours(rows: Sequence[Row]) -> tuple[float, float]:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(sprout.folder(), dtype=torch.float32)
    budget = max(row.tokens for row in rows) * BATCH
    settings = LoopSettings(learning_rate=1e-5, batch_tokens=budget)
    ticks: list[float] = []
    count = sum(row.tokens for row in rows)
    began = 0.0

    def tick(done: int, total: int, loss: float) -> None:
        nonlocal began
        if done == count:
            began = time.monotonic()
        ticks.append(loss)

    train(model, [rows, rows], settings, pad_id=0, seed=0, on_progress=tick)
    return time.monotonic() - began, ticks[-1]


def _trl(rows: Sequence[Row]) -> tuple[float, float]:
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    class Clock(TrainerCallback):
        began = 0.0

        def on_epoch_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            Clock.began = time.monotonic()  # the last epoch's stays

    labels = [[token if at in set(row.trained) else -100 for at, token in enumerate(row.ids)] for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        settings = SFTConfig(
            output_dir=folder,
            per_device_train_batch_size=BATCH,
            num_train_epochs=2,
            learning_rate=1e-5,
            lr_scheduler_type="cosine",
            warmup_steps=1,
            weight_decay=0.01,
            max_grad_norm=1.0,
            bf16=False,
            use_cpu=True,
            max_length=None,
            gradient_checkpointing=False,
            train_sampling_strategy="group_by_length",
            report_to="none",
            save_strategy="no",
            logging_steps=1,
            disable_tqdm=True,
        )
        trainer = SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(sprout.folder(), dtype=torch.float32),
            args=settings,
            processing_class=AutoTokenizer.from_pretrained(sprout.folder()),
            train_dataset=Dataset.from_dict({"input_ids": [list(row.ids) for row in rows], "labels": labels}),
            callbacks=[Clock()],
        )
        trainer.train()
        seconds = time.monotonic() - Clock.began
        losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    return seconds, float(losses[-1])


# Whole trajectories against steps.


async def conversations(episodes: int, steps: int) -> list[Trajectory]:
    """Episodes whose every prompt is the last one, its answer and what was seen then: a chat of a tiny backbone that
    says nonsense. The tokens are what matters here."""
    with tempfile.TemporaryDirectory() as folder:
        build_tiny(Path(folder) / "tiny", TEXTS * 20, SHAPE, seed=0)
        model = LocalModel.load(Path(folder) / "tiny", name="talker", threads=1)
        try:
            return [await _conversation(model, number, steps) for number in range(episodes)]
        finally:
            await model.close()


async def _conversation(model: LocalModel, number: int, steps: int) -> Trajectory:
    task = Task(id=f"talk-{number}", suite="talk", environment="talk", template_id="talk", split=Split.LEARN, seed=0)
    prompt = await model.chat_prompt([_message(f"Task {number}: press the blue button, then type a name. ")])
    made = []
    for index in range(steps):
        reply = await _answer(model, prompt, number * 100 + index)
        assert reply.tokens is not None
        seen = await model.text_prompt(f"<|user|>Page {index}: the button is {'blue' if index % 2 else 'red'}. ")
        request = ModelRequest(purpose=Purpose.ACT, messages=())
        call = ModelCall(id=f"{number}/{index}", model="talker", request=request, reply=reply)
        observation = Observation(instruction="", text="")
        made.append(
            Step(
                index=index,
                observation=observation,
                calls=(call,),
                action=Action(text="go"),
                result=StepResult(observation=observation),
            )
        )
        prompt = (*prompt, *reply.tokens.sampled_ids, *seen)
    return Trajectory(
        id=f"talk-{number}",
        run_id="training",
        task=task,
        phase=Phase.COLLECT,
        release_id="talker",
        attempt=0,
        arm="",
        instruction="",
        steps=tuple(made),
        end=EpisodeEnd.TERMINATED,
        reward=1.0,
        success=True,
    )


async def _answer(model: LocalModel, prompt: tuple[int, ...], seed: int) -> Any:
    from contextlib import aclosing

    from wisen.models.replying import written
    from wisen.models.sampling import Sampling

    generation = await model.start(prompt, Sampling(temperature=1.0, seed=seed, max_tokens=12))
    async with aclosing(generation):
        tokens = [token async for token in generation]
    return written(ModelRequest(purpose=Purpose.ACT, messages=()), prompt, (), tokens)


def _message(text: str) -> Message:
    return Message(role=Role.USER, spans=(Span(kind=SpanKind.TASK, text=text),))


def packing(trajectories: Sequence[Trajectory]) -> dict[str, float]:
    steps = [row for one in trajectories for row in decisions(one)]
    whole = [row for one in trajectories for row in merged(decisions(one))]
    trained = [sum(len(row.trained) for row in rows) for rows in (steps, whole)]
    assert trained[0] == trained[1], "packing must train the same tokens"
    tokens = [sum(row.tokens for row in rows) for rows in (steps, whole)]
    return {
        "rows_steps": len(steps),
        "rows_whole": len(whole),
        "tokens_steps": tokens[0],
        "tokens_whole": tokens[1],
        "trained": trained[0],
        "ratio": tokens[0] / tokens[1],
    }


def table(found: dict[str, Any], steps: int) -> list[str]:
    lines = ["| trainer | tokens per second (each run) | peak memory, MiB | last loss |", "| --- | --- | --- | --- |"]
    for side, runs in found["speed"].items():
        if not runs:
            lines.append(f"| {side} | not installed | | |")
            continue
        rates = ", ".join(f"{run['tokens_per_second']:,.0f}" for run in runs)
        mean = fmean(run["tokens_per_second"] for run in runs)
        peak, loss = (fmean(run[key] for run in runs) for key in ("peak_mib", "loss"))
        lines.append(f"| {side} | {mean:,.0f} ({rates}) | {peak:,.0f} | {loss:.4f} |")
    packed = found["packing"]
    return [
        *lines,
        "",
        f"| {steps}-step conversations | rows | tokens |",
        "| --- | --- | --- |",
        f"| a row per step | {packed['rows_steps']} | {packed['tokens_steps']:,} |",
        f"| whole trajectories | {packed['rows_whole']} | {packed['tokens_whole']:,} |",
        "",
        f"{packed['ratio']:.1f} times fewer tokens for the same {packed['trained']:,} trained ones. An agent whose "
        "prompts are rendered afresh at each step packs nothing: 1.0 times.",
    ]


if __name__ == "__main__":
    main()
