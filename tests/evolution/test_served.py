"""A policy on a server of its own plays, and what it sampled is in the store, ready to be trained on."""

from pathlib import Path

import pytest

from tests.support.levers import LeverSuite
from tests.support.serving import TOKEN, served
from tests.support.talker import build_talker
from wisen.core.records import Note, ProgressEvent
from wisen.core.settings import load
from wisen.core.store import Store
from wisen.core.workspace import Workspace
from wisen.environments import registry
from wisen.evolution.play import play
from wisen.evolution.settings import RunSettings
from wisen.models.local import LocalModel
from wisen.trainers.dataset import step_rows

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("tokens", [True, False])
async def test_what_a_served_policy_sampled_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokens: bool
) -> None:
    monkeypatch.setattr(registry, "create", lambda name, **options: LeverSuite(**options))
    monkeypatch.setenv("HOSTED_VLLM_API_KEY", TOKEN)
    events: list[ProgressEvent] = []
    talker = LocalModel.load(build_talker(tmp_path / "weights", context=2048), name="base", threads=1)
    with served({"base": talker}) as address:
        remote = {"api_base": address, "tokens": tokens, "leave_out": (), "max_tokens": 12}
        settings = load(
            RunSettings,
            overrides={"model": "hosted_vllm/base", "suite": "levers", "remote": remote, "episode": {"max_steps": 2}},
        )
        await play(settings, Workspace(tmp_path / "ws"), on_event=events.append)
    with Store.open(Workspace(tmp_path / "ws").store_url) as store:
        played = store.trajectories()
    calls = [call for one in played for step in one.steps for call in step.calls]
    assert calls and not any(one.error for one in played)
    rows = step_rows(played, keep=lambda _: True)
    assert len(rows) == (len(calls) if tokens else 0)
    for row, call in zip(rows, calls, strict=False):
        assert call.reply.tokens
        assert row.ids == call.reply.tokens.prompt_ids + call.reply.tokens.sampled_ids
        assert len(row.trained) == call.reply.usage.completion_tokens
    read = sum(call.reply.usage.prompt_tokens for call in calls)
    (note,) = [event.text for event in events if isinstance(event, Note)]
    assert note.startswith(f"hosted_vllm/base: {len(calls)} answers, {read:,} tokens read and ")
    assert "no known price" in note
