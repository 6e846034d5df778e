"""A load of one's own making on a running service, with locust. On loopback, or a service that is yours to load.

    jointcoder serve --no-model
    locust -f benchmarks/load/locustfile.py --host http://127.0.0.1:8417 --users 50 --run-time 2m --headless

Where the service has accounts, JOINTCODER_LOAD_KEY holds an API key of an account with the roles coder and service.
"""

from __future__ import annotations

import os
import random
import uuid

from locust import HttpUser, between, task

WORDS = (
    "heart failure",
    "diabetes",
    "pneumonia",
    "fracture",
    "hypertension",
    "sepsis",
    "appendectomy",
    "肺炎",
    "高血压",
)
NOTE = "Discharge diagnosis:\n1. Congestive heart failure\n2. Type 2 diabetes\n"


class Coder(HttpUser):
    """Looks at the worklist, types codes."""

    weight = 9
    wait_time = between(0.5, 2)

    def on_start(self) -> None:
        if key := os.environ.get("JOINTCODER_LOAD_KEY"):
            self.client.headers["Authorization"] = f"Bearer {key}"

    @task(6)
    def search(self) -> None:
        word = random.choice(WORDS)
        text = word[: random.randint(2, len(word))]
        self.client.get("/v1/codes", params={"q": text}, name="/v1/codes?q=")

    @task(3)
    def worklist(self) -> None:
        self.client.get("/v1/encounters")

    @task(1)
    def check(self) -> None:
        self.client.post("/v1/check", json={"codes": ["I50.9", "E11.9", "I10"]})


class Hospital(Coder):
    """Hands in jobs; a full queue (429) is an answer, not a failure."""

    weight = 1
    wait_time = between(2, 5)

    @task(10)
    def submit(self) -> None:
        body = [{"id": uuid.uuid4().hex, "text": NOTE} for _ in range(5)]
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        with self.client.post("/v1/jobs", json=body, headers=headers, catch_response=True) as answer:
            if answer.status_code in (202, 429):
                answer.success()
