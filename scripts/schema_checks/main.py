"""Runs schemathesis against a private embedded server, as an admin of the org and as a plain user.

Promises an exit code other than 0 when any answer is outside the document, and that the server ends with this program.
`--seed N` repeats a run; the seed is printed by schemathesis.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import server
import world

HERE = Path(__file__).resolve().parent
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
PHASES = "examples,coverage,fuzzing"
# One person's run takes a minute and a half on two busy cores. What hangs is ended, and is a failure.
SECONDS = 600
EXAMPLES = 20


def check(url: str, person: world.Person, seed: str | None, folder: str) -> bool:
    print(f"== as {person.name}", flush=True)
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/v1/openapi.json"]
    command += ["--checks", CHECKS, "--phases", PHASES, "--max-examples", str(EXAMPLES), "--workers", "1"]
    command += ["--header", f"Authorization: Bearer {person.token}", "--request-timeout", "20", "--no-color"]
    command += ["--generation-database", "none", "--suppress-health-check", "all", "--warnings", "off"]
    command += ["--continue-on-failure", "--output-sanitize", "false"] + (["--seed", seed] if seed else [])
    env = {**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE), "STARLING_IDS": json.dumps(person.ids)}
    try:
        return subprocess.run(command, env=env, cwd=folder, timeout=SECONDS, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        print(f"not done within {SECONDS} s", file=sys.stderr)
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed")
    seed = parser.parse_args().seed
    binary = Path(os.environ.get("STARLING_BIN", "target/debug/starling")).resolve()
    with tempfile.TemporaryDirectory(prefix="starling-schema-") as folder, server.running(binary, folder) as url:
        people = world.make(url)
        passed = [check(url, person, seed, folder) for person in people]
        world.still_there(url, people)
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
