"""What an item must pass before it may be recalled: pure checks of its text.

Text that came from an environment is hostile until shown otherwise: a page may try to write instructions into memory,
and a trajectory may carry a secret. The checks are patterns, so they catch the plain cases and no more.
"""

import re
from dataclasses import dataclass

from wisen.core.records import MemoryItem, Trust
from wisen.memory.items import identified

REDACTED = "[redacted]"
FIELDS = ("title", "when_to_use", "when_not", "content")


@dataclass(frozen=True)
class Limits:
    """Longest texts, in characters."""

    title: int = 200
    when_to_use: int = 2000
    when_not: int = 1000
    content: int = 6000


@dataclass(frozen=True)
class GuardVerdict:
    """`ok`: the item may go to probation. `item`: its text without secrets, under the id of that text. `reasons`: why
    it was refused, or what was redacted."""

    ok: bool
    reasons: tuple[str, ...]
    item: MemoryItem


_FLAGS = re.IGNORECASE | re.DOTALL

_INSTRUCTIONS = {
    "asks to ignore instructions": re.compile(
        r"\b(ignore|disregard|forget|override|bypass)\b[^.\n]{0,40}"
        r"\b(previous|prior|above|earlier|preceding|system|developer|original|your|all|any)\b[^.\n]{0,30}"
        r"\b(instruct\w*|prompts?|rules?|guidelines?|directions?|commands?)\b",
        _FLAGS,
    ),
    "claims to be new instructions": re.compile(
        r"\b(new|updated|revised)\s+(system\s+)?(instructions?|system\s+prompt)\s*:", _FLAGS
    ),
    "speaks as the system": re.compile(r"^\s*#*\s*(system|developer)\s*(prompt|message)?\s*:", _FLAGS | re.MULTILINE),
    "carries chat markup": re.compile(
        r"<\|[a-z_ ]{2,30}\|>|\[/?INST\]|<</?SYS>>|</?(system|assistant)(_prompt)?>", _FLAGS
    ),
    "assigns a role": re.compile(
        r"\byou\s+are\s+now\b|\bfrom\s+now\s+on,?\s+you\b|\bpretend\s+(to\s+be|you\s+are)\b", _FLAGS
    ),
    "asks to reveal a prompt or a secret": re.compile(
        r"\b(reveal|print|repeat|leak|exfiltrate|send)\b[^.\n]{0,40}"
        r"\b(system\s+prompt|your\s+(prompt|instructions)|credentials|secrets|api\s+keys?)\b",
        _FLAGS,
    ),
    "asks to hide something": re.compile(
        r"\b(do\s+not|don't|never)\s+(tell|inform|mention\s+(this|it)\s+to|alert)\s+(the\s+)?(user|person|operator)\b",
        _FLAGS,
    ),
}

# A placeholder such as <1> is no secret: a workflow names its variables where the values were.
_SECRETS = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    re.compile(r"\b(sk|pk|rk)-[A-Za-z0-9_-]{16,}"),
    re.compile(r"\b(ghp|gho|ghs|ghu|ghr)_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bglpat-[A-Za-z0-9_-]{16,}"),
    re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(r"\bAIza[0-9A-Za-z_-]{30,}"),
    re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5,}"),
    re.compile(r"(?<=\bbearer )[A-Za-z0-9._~+/-]{12,}=*", re.IGNORECASE),
    re.compile(r"(?<=://)[^\s/:@]+:[^\s/@]+(?=@)"),
)
_NAMED_SECRET = re.compile(
    r"(\b(?:api[_-]?key|access[_-]?key|secret[_-]?key|client[_-]?secret|auth[_-]?token|secret|token|password|passwd)"
    r"[\"']?\s*[:=]\s*[\"']?)(?!<\d+>|\[redacted\])([^\s\"'<>;,)]{8,})",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """The text with what looks like a key, a token or a password replaced by `[redacted]`."""
    for pattern in _SECRETS:
        text = pattern.sub(REDACTED, text)
    return _NAMED_SECRET.sub(lambda match: match[1] + REDACTED, text)


def check_item(item: MemoryItem, limits: Limits = Limits()) -> GuardVerdict:
    """Judge an item. Too long, empty, or without evidence (unless a person wrote it): refused. Instruction-like text:
    refused unless a person wrote it. Secrets are redacted, which is no ground for refusal."""
    reasons: list[str] = []
    clean = {field: redact(getattr(item, field)) for field in FIELDS}
    redacted = [field for field in FIELDS if clean[field] != getattr(item, field)]
    item = identified(item.model_copy(update=clean))
    for field in FIELDS:
        size, limit = len(clean[field]), getattr(limits, field)
        if size > limit:
            reasons.append(f"{field} has {size} characters, more than {limit}")
    if not item.content.strip():
        reasons.append("content is empty")
    if item.trust is not Trust.PERSON:
        if not item.evidence:
            reasons.append("no evidence is linked")
        for field in FIELDS:
            reasons += [f"{field} {what}" for what, pattern in _INSTRUCTIONS.items() if pattern.search(clean[field])]
    ok = not reasons
    reasons += [f"a secret in {field} was redacted" for field in redacted]
    return GuardVerdict(ok=ok, reasons=tuple(reasons), item=item)
