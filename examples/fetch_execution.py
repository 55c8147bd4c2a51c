"""Fetch an execution's tables, require that each is proven, and leave a receipt.

Start a portal with `packhorse serve --demo`, sign in with `packhorse login demo`, then run this file.
"""

from packhorse import Session
from packhorse.model import ProofLevel
from packhorse.receipts import write_manifests

with Session() as session:
    outcome = session.get("demo:executions/456", "results/", include=["*.tsv"], require=ProofLevel.MD5, receipt=True)
    for file in outcome.placed:
        print(f"{file.target}  {file.size:,} bytes  {file.proof.level}")
    outcome.raise_for_failures()
    print(*write_manifests(outcome.destination, outcome, ["sha256"]))
