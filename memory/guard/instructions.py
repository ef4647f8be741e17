"""Text that speaks to the model rather than of the task. Patterns: they catch the plain cases and no more."""

import re

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


def instructions_in(text: str) -> tuple[str, ...]:
    """What the text does that advice does not, in words; nothing for honest advice."""
    return tuple(what for what, pattern in _INSTRUCTIONS.items() if pattern.search(text))
