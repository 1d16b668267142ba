"""What schemathesis does not know: ids that exist. Two of three calls get them in place of made-up ones.

Promises the same choice for the same seed and order; what a call tests besides ids is left as it is.
"""

import itertools
import json
import os
import random
from typing import Any

import schemathesis

IDS: dict[str, list[str]] = json.loads(os.environ["STARLING_IDS"])
CALLS = itertools.count()
RANDOM = random.Random(1)
# What a path's `{id}` is, by its beginning.
PATHS = {
    "/v1/conversations/": "conversation",
    "/v1/messages/": "message",
    "/v1/users/": "user",
    "/v1/org/users/": "user",
    "/v1/org/reports/": "report",
}
FIELDS = {
    "conversation_id": "conversation",
    "message_id": "message",
    "reply_to_id": "message",
    "thread_root_id": "message",
    "user_id": "user",
    "sender_id": "user",
    "user_ids": "user",
    "participant_ids": "user",
    "ids": "notification",
}


def _known(value: Any, name: str) -> Any:
    """The same with ids that exist, where it has ids."""
    if isinstance(value, dict):
        return {key: _known(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_known(inner, name) for inner in value]
    if name in FIELDS and isinstance(value, str):
        return RANDOM.choice(IDS[FIELDS[name]])
    return value


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    path = case.operation.path
    # Nobody disables who is to be heard next: this one always gets the ids of others.
    if next(CALLS) % 3 == 0 and path != "/v1/org/users/{id}":
        return
    kind = next((kind for begin, kind in PATHS.items() if path.startswith(begin)), None)
    if kind and "id" in (case.path_parameters or {}):
        case.path_parameters["id"] = RANDOM.choice(IDS[kind])
    if "user_id" in (case.path_parameters or {}):
        case.path_parameters["user_id"] = RANDOM.choice(IDS["user"])
    if isinstance(case.body, dict):
        case.body = _known(case.body, "")
    if isinstance(case.query, dict) and path != "/v1/presence":
        case.query = _known(case.query, "")
