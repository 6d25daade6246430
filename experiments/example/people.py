"""People as judges: a Python objective that asks a person which of two texts is better, on a page of this machine.

Copy this file, put ``prompts.json`` beside it, a list of ``[prompt, text to compare with]``, and start both:

    python people.py 8765
    evomerge search ... functions=[people.py:preferred] objectives=[python.preferred,t1.acc]

``preferred`` is the share of prompts at which the candidate's text was chosen. Nobody sees which text is whose. A
choice is kept in ``choices``, so nobody is asked twice, and a search that goes on, or another one, finds it there.
"""

from __future__ import annotations

import hashlib
import html
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

HERE = Path(__file__).parent
QUESTIONS, CHOICES = HERE / "questions", HERE / "choices"
BUTTON = '<button name="choice" value="{}-{}">{}</button>'


def preferred(model: Any, tokenizer: Any) -> float:
    """Share of prompts at which people chose the model's text; half of one where both texts are the same."""
    wins = []
    for prompt, other in json.loads((HERE / "prompts.json").read_text(encoding="utf-8")):
        given = tokenizer(prompt, return_tensors="pt").to(model.device)
        tokens = model.generate(**given, max_new_tokens=24, do_sample=False)[0, given["input_ids"].shape[1] :]
        text = tokenizer.decode(tokens, skip_special_tokens=True)
        wins.append(0.5 if text == other else float(chosen(prompt, sorted([text, other])) == text))
    return sum(wins) / len(wins)


def chosen(prompt: str, texts: list[str]) -> str:
    """The text that a person prefers; waits until somebody has said so."""
    key = hashlib.sha256(json.dumps([prompt, texts]).encode()).hexdigest()[:24]
    texts = texts[:: 1 if int(key, 16) % 2 else -1]  # on either side by chance, the same one in every session
    keep(QUESTIONS / key, [prompt, *texts])
    while not (CHOICES / key).exists():
        time.sleep(0.02)
    return texts[int((CHOICES / key).read_text(encoding="utf-8"))]


def keep(path: Path, value: Any) -> None:
    """Writes a file in one step, as others look at it meanwhile."""
    path.parent.mkdir(exist_ok=True)
    draft = path.with_name(f".{path.name}.{time.time_ns()}")
    draft.write_text(json.dumps(value), encoding="utf-8")
    draft.replace(path)


class Page(BaseHTTPRequestHandler):
    """The first pair that nobody has judged, with a button below each text."""

    def do_GET(self) -> None:
        """Shows it."""
        keys = sorted(path.name for path in QUESTIONS.glob("[!.]*") if not (CHOICES / path.name).exists())
        body = '<meta http-equiv="refresh" content="2"><p>Nothing to judge just now.</p>'
        if keys:
            prompt, *texts = map(html.escape, json.loads((QUESTIONS / keys[0]).read_text(encoding="utf-8")))
            cells = (f"<td><pre>{text}</pre>{BUTTON.format(keys[0], i, 'better')}" for i, text in enumerate(texts))
            body = f'<form method="post"><h1>{prompt}</h1><table><tr>{"".join(cells)}</table></form>'
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(f"<!doctype html><title>{len(keys)} to judge</title>{body}".encode())

    def do_POST(self) -> None:
        """Keeps a choice and shows the next pair."""
        sent = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        key, _, side = sent["choice"][0].partition("-")
        if (QUESTIONS / Path(key).name).exists() and side in ("0", "1"):
            keep(CHOICES / Path(key).name, int(side))
        self.send_response(303)
        self.send_header("Location", "/")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Page) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
