"""The sample report made hostile, and made empty."""

from wisen.core.records import RunReport

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
