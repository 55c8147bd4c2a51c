"""A replayed ImmPort: ELISA rows made once, then sent as fast as a socket takes them. It measures clients, no server.

``python -m benchmarks.replayed_rows ROWS`` prints its port and serves ``/data/query/result/elisa`` in the layout of the
service (JSON pretty-printed, a member a line; TSV with ``format=tsv``) until its standard input ends. Values differ
from row to row as real ones do: few arms and analytes, many subjects and samples, a third of the members null.
"""

from __future__ import annotations

import http.server
import json
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

from packhorse.wire.immport.models import MODELS

__all__ = ["elisa_rows", "main"]

MODEL = MODELS["VElisaResult"]
BLOCK = 2000
BLOCKS = 25


def elisa_rows(count: int, seed: int = 1) -> Iterator[dict[str, str | None]]:
    """Rows by member; numbers as their text."""
    draw = random.Random(seed)
    fixed = {
        "ageEvent": "Age at enrollment",
        "ageUnit": "Years",
        "biosampleType": "Serum",
        "clinical": "Y",
        "measurementTechnique": "ELISA",
        "species": "Homo sapiens",
        "studyAccession": "SDY2",
        "studyTitle": "A synthetic study of antibodies in healthy adults before and after an immunisation",
        "studyTimeCollectedUnit": "Days",
        "studyTimeT0Event": "Time of initial vaccine administration",
        "unitPreferred": "ng/ml",
        "unitReported": "ng/ml",
    }
    for index in range(count):
        value = f"{draw.random() * 1000:.3f}"
        subject = index // 12
        yield {
            **dict.fromkeys(MODEL.names),
            **fixed,
            "resultId": str(89390 + index),
            "analyteAccession": f"ANA{draw.randrange(40)}",
            "analytePreferred": f"Analyte {draw.randrange(40)}",
            "analyteReported": f"analyte-{draw.randrange(40)}",
            "armAccession": f"ARM{draw.randrange(4) + 230}",
            "armName": draw.choice(("Healthy controls", "Vaccinated", "Placebo", "Booster")),
            "biosampleAccession": f"BS{476749 + index // 3}",
            "ethnicity": draw.choice(("Not Hispanic or Latino", "Hispanic or Latino", "Not Specified")),
            "experimentAccession": "EXP8311",
            "expsampleAccession": f"ES{474813 + index}",
            "gender": draw.choice(("Female", "Male")),
            "maxSubjectAge": f"{draw.randrange(18, 80)}.00",
            "minSubjectAge": f"{draw.randrange(18, 80)}.00",
            "plannedVisitAccession": f"PV{1518 + index % 6}",
            "race": draw.choice(("White", "Asian", "Black or African American")),
            "studyTimeCollected": f"{draw.choice((0, 7, 28))}.00",
            "subjectAccession": f"SUB{106751 + subject}",
            "valuePreferred": value,
            "valueReported": value,
        }


def _json(row: dict[str, str | None]) -> str:
    plain = {member.name for member in MODEL.members if member.kind in ("integer", "number")}
    members = (
        f'  "{name}" : {value if value is not None and name in plain else json.dumps(value)}'
        for name, value in row.items()
    )
    return "{\n" + ",\n".join(members) + "\n}"


class _Answers:
    """The same blocks over and over, until the rows are enough."""

    def __init__(self, rows: int) -> None:
        made = list(elisa_rows(min(rows, BLOCK * BLOCKS)))
        blocks = [made[start : start + BLOCK] for start in range(0, len(made), BLOCK)]
        self.json = [", ".join(map(_json, block)).encode() for block in blocks]
        self.tsv = ["".join("\t".join(v or "" for v in row.values()) + "\n" for row in b).encode() for b in blocks]
        self.times = max(1, rows // len(made))
        self.rows = self.times * len(made)

    def pieces(self, tsv: bool) -> Iterator[bytes]:
        if tsv:
            yield ("\t".join(MODEL.names) + "\n").encode()
            for _ in range(self.times):
                yield from self.tsv
            return
        yield b"[ "
        for turn in range(self.times):
            for index, block in enumerate(self.json):
                yield b", " if turn or index else b""
                yield block
        yield b" ]"

    def size(self, tsv: bool) -> int:
        return sum(map(len, self.pieces(tsv)))


def main() -> None:
    """Serve until standard input ends."""
    answers = _Answers(int(sys.argv[1]))

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 0

        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            tsv = parse_qs(asked.query).get("format") == ["tsv"]
            if not asked.path.endswith("/result/elisa"):
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/tab-separated-values" if tsv else "application/json")
            self.send_header("Content-Length", str(answers.size(tsv)))
            self.end_headers()
            with suppress(BrokenPipeError, ConnectionResetError):
                for piece in answers.pieces(tsv):
                    self.wfile.write(piece)

        def log_message(self, *_: object) -> None:
            """Silence."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(json.dumps({"port": server.server_port, "rows": answers.rows}), flush=True)
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main()
