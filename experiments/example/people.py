"""People as judges: a Python objective that asks which of two texts is better, on a page of this machine.

Copy this file, put ``prompts.json`` beside it, a list of ``[prompt, text to compare with]``, and start both:

    python people.py 8765
    evomerge search ... functions=[people.py:preferred] objectives=[python.preferred,t1.acc]
"""

import html
import json
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIServer, make_server

HERE = Path(__file__).parent
NOTHING = '<meta http-equiv="refresh" content="2;url=/">Nothing to judge just now.'
BUTTON = '<pre>{}</pre><button name="{}" value="{}">This one is better</button>'


def pairs(statement: str, *values: Any) -> list[Any]:
    """Runs SQL on the pairs of texts and what was chosen of them, which are kept."""
    with closing(sqlite3.connect(HERE / "choices.db", isolation_level=None)) as file:
        file.execute("CREATE TABLE IF NOT EXISTS pairs (prompt, one, other, better, UNIQUE (prompt, one, other))")
        return file.execute(statement, values).fetchall()


def preferred(model: Any, tokenizer: Any) -> float:
    """Share of prompts at which people chose the model's text; half of one where both texts are the same."""
    wins = []
    for prompt, other in json.loads((HERE / "prompts.json").read_text(encoding="utf-8")):
        given = tokenizer(prompt, return_tensors="pt").to(model.device)
        tokens = model.generate(**given, max_new_tokens=24, do_sample=False)[0, given["input_ids"].shape[1] :]
        text = tokenizer.decode(tokens, skip_special_tokens=True)
        wins.append(0.5 if text == other else float(chosen(prompt, *sorted([text, other])) == text))
    return sum(wins) / len(wins)


def chosen(*pair: str) -> str:
    """The text that a person prefers; waits until somebody has said so. Nobody is asked twice."""
    pairs("INSERT OR IGNORE INTO pairs VALUES (?, ?, ?, NULL)", *pair)
    while (better := pairs("SELECT better FROM pairs WHERE (prompt, one, other) = (?, ?, ?)", *pair)[0][0]) is None:
        time.sleep(0.1)
    return pair[1 + better]


def page(request: Any, start: Any) -> list[bytes]:
    """Keeps a choice and shows the first pair that nobody has judged; nothing says which text is whose."""
    sent = request["wsgi.input"].read(int(request["CONTENT_LENGTH"] or 0)).decode()
    for key, (side, *_) in parse_qs(sent).items():
        pairs("UPDATE pairs SET better = ? WHERE rowid = ? AND better IS NULL", int(side == "1"), key)
    shown = [NOTHING]
    for key, prompt, *texts in pairs("SELECT rowid, prompt, one, other FROM pairs WHERE better IS NULL LIMIT 1"):
        buttons = [BUTTON.format(html.escape(text), key, side) for side, text in enumerate(texts)]
        shown = ['<form method="post">', f"<h1>{html.escape(prompt)}</h1>", *buttons[:: 1 if key % 2 else -1]]
    start("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [line.encode() for line in ("<!doctype html>", *shown)]


class Server(ThreadingMixIn, WSGIServer):
    """A server that a browser's idle connections do not hold up, and whose end they do not."""

    daemon_threads = True


if __name__ == "__main__":
    with make_server("127.0.0.1", int(sys.argv[1]), page, server_class=Server) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
