"""The sample report made otherwise: hostile, empty, without a promotion, and of runs that only gather memory."""

from wisen.core.records import Author, Interval, ItemCredit, ModelReply, RunReport, Showcase, ToolCall

HOSTILE = "</style></script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}\x1b[31m\u202eevil"


def hostile(report: RunReport, bad: str) -> RunReport:
    """The report with every foreign text replaced."""
    step = report.showcases[0].trajectory.steps[0]
    call = step.calls[0]
    request = call.request.model_copy(update={"options": (bad, *call.request.options[1:])})
    step = step.model_copy(
        update={
            "observation": step.observation.model_copy(update={"text": bad, "instruction": bad}),
            "action": step.action.model_copy(update={"text": bad}),
            "calls": (call.model_copy(update={"request": request}),),
        }
    )
    trajectory = report.showcases[0].trajectory.model_copy(update={"steps": (step,), "instruction": bad, "error": bad})
    credit = report.best_items[0]
    item = credit.item.model_copy(update={"title": bad, "content": bad, "when_to_use": bad, "evidence": (bad,)})
    arm = report.arms[0]
    return report.model_copy(
        update={
            "title": bad,
            "command": bad,
            "settings": {bad: bad},
            "leakage_guard": bad,
            "arms": (arm.model_copy(update={"label": bad, "families": {bad: 0.5}}), *report.arms[1:]),
            "best_items": (credit.model_copy(update={"item": item}),),
            "showcases": (report.showcases[0].model_copy(update={"trajectory": trajectory, "why": bad}),),
            "release_names": {"rel-1": bad},
        }
    )


def empty(report: RunReport) -> RunReport:
    nothing = ("arms", "curve", "gates", "best_items", "worst_items", "showcases")
    return report.model_copy(update={"bank_size": 0, **dict.fromkeys(nothing, ())})


def nothing_promoted(report: RunReport) -> RunReport:
    """The run ends with the release that it began with: arms that differ only by what was promoted are the same."""
    first = next(arm for arm in report.arms if arm.name == "untrained")
    same = Interval(mean=0.0, low=0.0, high=0.0)
    arms = []
    for arm in report.arms:
        played = {"success": first.success, "mean_steps": first.mean_steps, "families": first.families}
        if arm.name == "random":
            arms.append(arm.model_copy(update={"versus": Interval(mean=0.02, low=-0.08, high=0.11)}))
        elif arm.name == "release":
            arms.append(arm.model_copy(update=played | {"label": "release r0 (untrained model, empty memory)"}))
        else:
            arms.append(arm.model_copy(update=played | {"versus": same}))
    _, unsure, worse = report.gates
    gates = tuple(
        gate.model_copy(update={"id": f"gate-{use}", "use": use, "candidate_id": f"rel-{use}", "incumbent_id": "rel-0"})
        for use, gate in enumerate((unsure, worse, worse), start=1)
    )
    curve = tuple(
        point.model_copy(update={"promoted": False, "incumbent": report.curve[0].incumbent}) for point in report.curve
    )
    return report.model_copy(update={"arms": tuple(arms), "gates": gates, "curve": curve, "release_name": "r0"})


def memory_only(report: RunReport) -> RunReport:
    """A run with a remote model: no training, cycle 2 brought nothing new, answers are words and tool calls."""
    model = "openai/gpt-5-mini"
    random, untrained, _, _, release = report.arms
    arms = (
        random,
        untrained.model_copy(update={"name": "model", "label": f"{model}, no memory"}),
        release.model_copy(update={"label": f"release r1 ({model} + memory)"}),
    )
    first, idle, last = (point.model_copy(update={"rows": 0, "tokens": 0}) for point in report.curve)
    promote, _, keep = report.gates
    return report.model_copy(
        update={
            "arms": arms,
            "curve": (first, idle.model_copy(update={"candidate": idle.incumbent}), last),
            "gates": (promote, keep.model_copy(update={"use": 2})),
            "settings": {"seed": 7, "model": model, "trainer": "", "suite": "miniwob"},
            "command": f"wisen evolve --model {model} --seed 7",
            "showcases": tuple(_in_words(shown, model) for shown in report.showcases),
            "best_items": tuple(_written_by(credit, model) for credit in report.best_items),
            "worst_items": tuple(_written_by(credit, model) for credit in report.worst_items),
        }
    )


def nothing_tried(report: RunReport) -> RunReport:
    """No cycle brought anything new, the environment lists no actions: two arms, no gate, an empty bank."""
    report = memory_only(report)
    _, model, release = report.arms
    same = Interval(mean=0.0, low=0.0, high=0.0)
    played = {"success": model.success, "mean_steps": model.mean_steps, "families": model.families}
    label = release.label.replace("r1", "r0")
    curve = tuple(
        point.model_copy(update={"incumbent": report.curve[0].incumbent, "candidate": report.curve[0].incumbent})
        for point in report.curve
    )
    return empty(report).model_copy(
        update={
            "arms": (model.model_copy(update={"versus": same}), release.model_copy(update=played | {"label": label})),
            "curve": tuple(point.model_copy(update={"promoted": False, "items": 0}) for point in curve),
            "release_name": "r0",
            "showcases": report.showcases[1:2],
        }
    )


def _written_by(credit: ItemCredit, model: str) -> ItemCredit:
    author = Author(distiller="reasoningbank", model=model, prompt_version="1")
    return credit.model_copy(update={"item": credit.item.model_copy(update={"author": author})})


def _in_words(shown: Showcase, model: str) -> Showcase:
    """The trajectory as a model plays it that reports no probabilities, in an environment without pictures: the odd
    steps are tool calls."""
    steps = []
    for step in shown.trajectory.steps:
        call = step.calls[0]
        reply = ModelReply(text=f"The next thing to do is clear.\n\n{call.reply.text}")
        if step.index % 2:
            reply = ModelReply(text="", tool_calls=(ToolCall(name="act", arguments={"action": call.reply.text}),))
        asked = call.request.model_copy(update={"options": ()})
        said = call.model_copy(update={"model": model, "request": asked, "reply": reply})
        seen = step.observation.model_copy(update={"artifacts": ()})
        steps.append(step.model_copy(update={"calls": (said,), "observation": seen}))
    trajectory = shown.trajectory.model_copy(update={"steps": tuple(steps), "final": None})
    return shown.model_copy(update={"trajectory": trajectory, "why": "Picked at random."})
