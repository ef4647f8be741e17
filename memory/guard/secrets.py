"""Keys, tokens and passwords in a text."""

import re

REDACTED = "[redacted]"

# A placeholder such as <1> or {password} is no secret: a workflow names its variables where the values were.
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
    r"[\"']?\s*[:=]\s*[\"']?)(?!<\d+>|\{[a-z_]\w*\}(?![^\s\"'<>;,)])|\[redacted\])([^\s\"'<>;,)]{8,})",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """The text with what looks like a key, a token or a password replaced by `[redacted]`."""
    for pattern in _SECRETS:
        text = pattern.sub(REDACTED, text)
    return _NAMED_SECRET.sub(lambda match: match[1] + REDACTED, text)
