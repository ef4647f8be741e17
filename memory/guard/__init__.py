"""What an item must pass before it may be recalled, one check per file.

Text that came from an environment is hostile until shown otherwise: a page may try to write instructions into memory,
a trajectory may carry a secret, and a success may be forged. `check_item` looks at one item's text alone;
`consensus` holds what an item advises against what related items do, `lessons` keeps what was set aside so, and
`review` runs both over a bank.
"""

if __name__ != "wisen.memory.guard":
    raise ImportError("import this package as 'wisen.memory.guard', not as 'memory.guard'")

from wisen.memory.guard.check import check_item
from wisen.memory.guard.limits import Limits
from wisen.memory.guard.secrets import REDACTED, redact
from wisen.memory.guard.verdict import Doubt, GuardVerdict

__all__ = ["REDACTED", "Doubt", "GuardVerdict", "Limits", "check_item", "redact"]
