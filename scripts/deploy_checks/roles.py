"""What all deployments have in common: a process of `starling` with a command and an environment.

The binary itself is the judge: it refuses unknown commands, unknown settings and bad values.
"""

import json

from report import Problem, run, starling

NODES = ("serve", "gateway", "api")


def check_process(command: list[str], environment: dict[str, str]) -> dict[str, str]:
    """Refuses a command or an environment that the binary refuses; gives the settings in force, by variable."""
    if not command:
        raise Problem("names no command: say which role it has")
    env = {"PATH": "/usr/bin:/bin", **environment}
    run(starling(), *command, "--help", env=env)
    answer = json.loads(run(starling(), "config", "--json", env=env))
    if answer["mode"] != "cluster":
        raise Problem(f"runs in {answer['mode']} mode: DATABASE_URL and REDIS_URL are missing")
    settings = {setting["env"]: setting["value"] for setting in answer["settings"]}
    if command[0] in NODES:
        for variable in ("STARLING_LISTEN", "STARLING_ADMIN_LISTEN"):
            if not (settings[variable] or "").startswith("0.0.0.0:"):
                raise Problem(f"{variable} is {settings[variable]!r}: out of a container only 0.0.0.0 is reached")
    return settings


def seconds(duration: str) -> float:
    """`30s`, `1500ms`, `2m` in seconds."""
    for unit, factor in (("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600)):
        number = duration.removesuffix(unit)
        if number != duration and number.isdigit():
            return int(number) * factor
    raise Problem(f"{duration!r} is not a duration")
