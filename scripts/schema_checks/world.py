"""Two people with something of everything: so that checks meet conversations, messages and reports, not only 404.

Promises ids that answer, one list for each name that a path, a query or a body may use.
"""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field

import requests
from server import SECRET

TIMEOUT = 20
# Of each kind so many: some are deleted on the way.
MANY = 8


@dataclass
class Person:
    """Somebody with a token of another system, as an app would sign it."""

    name: str
    token: str
    id: str = ""
    ids: dict[str, list[str]] = field(default_factory=dict)


def _token(claims: dict) -> str:
    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    signed = part(b'{"alg":"HS256","typ":"JWT"}') + "." + part(json.dumps(claims).encode())
    return signed + "." + part(hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).digest())


def _call(url: str, person: Person, line: str, body: dict | None = None) -> dict:
    method, path = line.split(" ")
    headers = {"Authorization": f"Bearer {person.token}"}
    answer = requests.request(method, f"{url}/v1/{path}", json=body, headers=headers, timeout=TIMEOUT)
    if not answer.ok:
        raise SystemExit(f"{line} answered {answer.status_code}: {answer.text}")
    return answer.json() if answer.content else {}


def _person(url: str, name: str, **claims: str) -> Person:
    wanted = {"sub": name, "preferred_username": name, "name": name, "exp": int(time.time()) + 3600, **claims}
    person = Person(name, _token(wanted))
    person.id = _call(url, person, "GET me")["id"]
    return person


def make(url: str) -> list[Person]:
    """An admin of the org and a member of it, with what they share."""
    admin, member = _person(url, "ann", role="admin"), _person(url, "ben")
    others = [_person(url, f"other{number}") for number in range(MANY)]
    conversations, messages, reports = [], [], []
    for number in range(MANY):
        kind = "public" if number % 4 == 3 else "group"
        invited = [] if kind == "public" else [member.id, *(other.id for other in others)]
        wanted = {"kind": kind, "title": f"talk {number}", "participant_ids": invited}
        group = _call(url, admin, "POST conversations", wanted)["id"]
        if kind == "public":
            _call(url, member, f"POST conversations/{group}/join")
        conversations.append(group)
        direct = {"kind": "direct", "participant_ids": [others[number].id]}
        conversations.append(_call(url, member if number % 2 else admin, "POST conversations", direct)["id"])
        for sender, text in ((admin, "hello @ben, see you on sunday"), (member, "sunday it is")):
            sent = _call(url, sender, f"POST conversations/{group}/messages", {"content": text})
            messages.append(sent["id"])
            answer = {"content": "a reply", "reply_to_id": sent["id"], "thread_root_id": sent["id"]}
            _call(url, admin, f"POST conversations/{group}/messages", answer)
            _call(url, member, f"PUT messages/{sent['id']}/reactions/%F0%9F%91%8D")
        _call(url, admin, f"PUT messages/{messages[-1]}/pin")
        _call(url, admin, f"PATCH messages/{messages[-2]}", {"content": "hello @ben, see you on monday"})
        report = {"user_id": others[number].id, "reason": "spam", "comment": "again"}
        reports.append(_call(url, member, "POST reports", report)["id"])
    _call(url, member, f"PUT users/{others[0].id}/block")
    _call(url, admin, "POST announcements", {"title": "News", "content": "On Sunday.", "url": "https://example.com"})
    for person in (admin, member):
        seen = _call(url, person, "GET notifications")["items"]
        person.ids = {
            "conversation": conversations,
            "message": messages,
            "report": reports,
            "user": [other.id for other in others],
            "notification": [notification["id"] for notification in seen] or [messages[0]],
        }
    return [admin, member]


def still_there(url: str, people: list[Person]) -> None:
    """Whatever was sent, everybody's list and conversation answer as before."""
    for person in people:
        _call(url, person, "GET conversations?limit=100")
        _call(url, person, "GET notifications")
        _call(url, person, "GET unread")
