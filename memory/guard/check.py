"""The checks of one item's text, put together."""

from wisen.core.records import MemoryItem, Trust
from wisen.memory.guard.instructions import instructions_in
from wisen.memory.guard.limits import Limits, unfit
from wisen.memory.guard.secrets import redact
from wisen.memory.guard.verdict import GuardVerdict
from wisen.memory.items import identified

FIELDS = ("title", "when_to_use", "when_not", "content")
DEFAULT_LIMITS = Limits()
UNSUPPORTED = "no evidence is linked"


def check_item(item: MemoryItem, limits: Limits = DEFAULT_LIMITS) -> GuardVerdict:
    """Judge an item. Too long, empty, or without evidence (unless a person wrote it): refused. Instruction-like text:
    refused unless a person wrote it. Secrets are redacted, which is no ground for refusal."""
    clean = {field: redact(getattr(item, field)) for field in FIELDS}
    redacted = [field for field in FIELDS if clean[field] != getattr(item, field)]
    item = identified(item.model_copy(update=clean))
    reasons = [*unfit(clean, limits)]
    if item.trust is not Trust.PERSON:
        if not item.evidence:
            reasons.append(UNSUPPORTED)
        reasons += [f"{field} {what}" for field in FIELDS for what in instructions_in(clean[field])]
    ok = not reasons
    unsupported = reasons == [UNSUPPORTED]
    reasons += [f"a secret in {field} was redacted" for field in redacted]
    return GuardVerdict(ok=ok, reasons=tuple(reasons), item=item, unsupported=unsupported)
