"""What the processes that sample and weigh get of the server's environment: nothing that looks like a secret."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SECRET = re.compile(
    r"(?:^|_)(?:TOKENS?|SECRETS?|PASSWORDS?|PASSWD|PASSPHRASE|PASS|CREDENTIALS?|COOKIES?|DSN|AUTH|PAT)(?:$|_)"
    r"|(?:^|_)(?:API|ACCESS|PRIVATE|AUTH)?KEYS?(?:_ID|_BASE)?$"
    r"|_PWD$|^(?:AWS|AZURE|GCP|GOOGLE_APPLICATION)_|^SSH_(?:AUTH_SOCK|AGENT_PID|ASKPASS)$"
)
"""Names of variables, in capitals, that hold tokens, passwords and keys. TOKENIZERS_PARALLELISM and PWD are none."""
_SIGNED_IN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s@]+@", re.IGNORECASE)
"""An address with a user's name or password in it, as proxies and databases have them."""


def looks_secret(name: str, value: str = "") -> bool:
    """Whether a variable of this name, or one with such a value, is nobody else's business."""
    return bool(_SECRET.search(name.upper()) or _SIGNED_IN.search(value))


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without tokens, passwords and keys. Sampling asks no hub and no cloud."""
    return {name: value for name, value in environment.items() if not looks_secret(name, value)}
