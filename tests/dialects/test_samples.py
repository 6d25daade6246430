"""Per-item files of other tools: Inspect's logs in both forms, lm-eval's samples with several filters."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evomerge.dialects.samples.inspect_logs import read_archive, read_log
from evomerge.dialects.samples.lm_eval import read_samples
from evomerge.errors import InputError
from evomerge.evaluation.samples import DOCUMENT, SAMPLE

Change = Callable[[list[dict[str, Any]]], Any]


def log(grades: str, epochs: int = 1, **scores: Any) -> dict[str, Any]:
    """A log of Inspect's as its JSON has it, without what nobody reads here."""
    samples = [
        {
            "id": n, "epoch": epoch, "input": f"question {n}", "target": "A", "choices": ["x", "y"],
            "metadata": {"passage": n // 2},
            "output": {"model": "m", "choices": [{"message": {}, "stop_reason": "max_tokens" if n == 0 else "stop"}]},
            "scores": {"match": {"value": grade, "answer": "x"}} | scores,
        }
        for epoch in range(1, epochs + 1)
        for n, grade in enumerate(grades)
    ]  # fmt: skip
    return {"version": 2, "status": "success", "eval": {"task": "quiz", "model": "m"}, "samples": samples}


def test_an_inspect_log_has_grades_lengths_and_metadata() -> None:
    found = read_log("log", log("CIPN", parts={"value": {"style": 0.5, "said": "yes"}}, flag={"value": True}))
    assert [sample.metrics["match"] for sample in found.samples] == [1.0, 0.0, 0.5, 0.0]
    assert found.samples[0].metrics | {"match": 1.0} == {
        "match": 1.0, "parts.style": 0.5, "parts.said": 1.0, "flag": 1.0,
    }  # fmt: skip
    assert [sample.truncated for sample in found.samples] == [True, False, False, False]
    assert found.tasks == ("quiz",)
    assert found.samples[3].fields["passage"] == 1
    assert len({sample.keys[SAMPLE] for sample in found.samples}) == 4
    assert found.samples[0].keys == read_log("other", log("IIII")).samples[0].keys


def test_epochs_count_with_their_mean() -> None:
    data = log("CIC", epochs=2)
    data["samples"][3]["scores"]["match"]["value"] = "I"
    found = read_log("log", data)
    assert [sample.metrics["match"] for sample in found.samples] == [0.5, 0.0, 1.0]
    assert "up to 2 times" in found.warnings[0]


def test_an_archive_says_the_same_as_json(tmp_path: Path) -> None:
    data = log("CICC")
    path = tmp_path / "log.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps({name: data[name] for name in ("version", "status", "eval")}))
        for sample in data["samples"]:
            archive.writestr(f"samples/{sample['id']}_epoch_1.json", json.dumps(sample))
    assert read_archive("log", path) == read_log("log", data)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match="no log of Inspect's, or a damaged one"):
        read_archive("log", path)


def test_an_archive_that_this_python_cannot_unpack_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """Inspect packs with Zstandard (method 93), which Python's zipfile knows from 3.14 on."""
    path, data = tmp_path / "log.eval", log("CICC")
    method = getattr(zipfile, "ZIP_ZSTANDARD", zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("header.json", json.dumps({"eval": data["eval"]}))
        for sample in data["samples"]:
            archive.writestr(f"samples/{sample['id']}_epoch_1.json", json.dumps(sample))
    if method != zipfile.ZIP_DEFLATED:
        assert read_archive("log", path).samples == read_log("log", data).samples
        return
    packed = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):  # of a file, and of its entry in the directory
        for at in (match.start() + place for match in re.finditer(signature, packed)):
            packed[at : at + 2] = (93).to_bytes(2, "little")
    path.write_bytes(packed)
    with pytest.raises(InputError, match=r"inspect log convert my.eval --to json --output-dir FOLDER"):
        read_archive("my.eval", path)


@pytest.mark.parametrize("header", [{}, {"eval": "quiz"}, ["eval"], {"status": "started"}])
def test_an_archive_without_an_evaluation_is_refused(tmp_path: Path, header: Any) -> None:
    with zipfile.ZipFile(tmp_path / "log.eval", "w") as archive:
        archive.writestr("header.json", json.dumps(header))
    with pytest.raises(InputError, match="no log of Inspect's, or a damaged one"):
        read_archive("log", tmp_path / "log.eval")


def test_messages_of_a_conversation_are_the_same_whatever_their_ids(tmp_path: Path) -> None:
    logs = [log("CI"), log("II")]
    for data, ids in zip(logs, ("xy", "zw"), strict=True):
        for n, sample in enumerate(data["samples"]):
            sample["input"] = [{"id": ids[n], "role": "user", "content": f"question {n}", "source": "input"}]
    first, second = (read_log("log", data) for data in logs)
    assert [sample.keys for sample in first.samples] == [sample.keys for sample in second.samples]
    logs[1]["samples"][1]["input"][0]["content"] = "another"
    assert first.samples[1].keys != read_log("log", logs[1]).samples[1].keys


def test_failed_samples_are_left_out_and_told() -> None:
    data = log("CIPN") | {"status": "error"}
    data["samples"][1] |= {"scores": None, "error": {"message": "timed out"}}
    found = read_log("log", data)
    assert [sample.metrics["match"] for sample in found.samples] == [1.0, 0.5, 0.0]
    assert "the run ended with the status 'error'" in found.warnings[0]
    assert "1 of 4 samples failed and are left out" in found.warnings[1]
    for sample in data["samples"]:
        sample |= {"scores": {}, "error": {"message": "timed out"}}
    with pytest.raises(InputError, match=r"samples failed \(4\); the first said: timed out"):
        read_log("log", data)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda samples: samples[1].pop("scores"), "sample 2: it has no scores; score the log"),
        (lambda samples: samples.append(samples[0]), "sample 5: it is there twice, first as sample 1"),
        (lambda samples: samples.clear(), "holds no samples"),
        (lambda samples: samples.insert(0, 7), "sample 1: it has no scores"),
    ],
)
def test_damaged_logs_are_refused(change: Change, said: str) -> None:
    data = log("CICC")
    change(data["samples"])
    with pytest.raises(InputError, match=said):
        read_log("log", data)


def line(n: int, chain: str, value: float, **others: Any) -> dict[str, Any]:
    """A generated answer under one filter, as lm-eval logs it."""
    settings = {"until": ["\n"], "max_gen_toks": 64, "do_sample": False}
    return {
        "doc_id": n, "doc": {"q": f"q{n}"}, "target": "4", "filter": chain, "metrics": ["exact_match"],
        "arguments": {"gen_args_0": {"arg_0": f"q{n}", "arg_1": settings}}, "resps": [["4"]], "doc_hash": f"h{n}",
        "prompt_hash": f"p{n}", "exact_match": value,
    } | others  # fmt: skip


def write(folder: Path, rows: list[dict[str, Any]], name: str = "samples_gsm_2026-01-02T03-04-05.1.jsonl") -> Path:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder / name


def test_filters_are_metrics_of_one_document(tmp_path: Path) -> None:
    rows = [line(n, chain, float(n % 2 == k)) for k, chain in enumerate(("strict", "flexible")) for n in range(3)]
    found = read_samples("it", [write(tmp_path, rows)])
    assert [dict(sample.metrics) for sample in found.samples] == [
        {"exact_match,strict": float(n % 2 == 0), "exact_match,flexible": float(n % 2 == 1)} for n in range(3)
    ]
    assert found.tasks == ("gsm",)
    assert found.generated == {"gsm": (64,)}
    assert found.samples[1].keys == {DOCUMENT: "h1"}
    assert (found.samples[1].prompt, found.samples[1].truncated) == ("p1", None)


def test_equal_documents_at_other_places_are_no_duplicates(tmp_path: Path) -> None:
    rows = [line(0, "none", 1.0), line(1, "none", 0.0, doc_hash="h0")]
    assert len(read_samples("it", [write(tmp_path, rows)]).samples) == 2
    with pytest.raises(InputError, match="document 0 is there twice, first on line 1"):
        read_samples("it", [write(tmp_path, [rows[0], rows[0]])])
    with pytest.raises(InputError, match="line 2: doc_id 0 is another document"):
        read_samples("it", [write(tmp_path, [rows[0], line(0, "other", 1.0, doc_hash="h9")])])


def test_lines_of_older_versions_are_read(tmp_path: Path) -> None:
    """Without filter, metrics and hash of the document, which is then taken from the document itself."""
    old = line(0, "none", 1.0)
    for name in ("filter", "metrics", "doc_hash", "prompt_hash"):
        del old[name]
    found = read_samples("it", [write(tmp_path, [old], "renamed.jsonl")])
    (sample,) = found.samples
    assert (sample.task, dict(sample.metrics)) == ("", {"exact_match": 1.0})
    assert len(sample.keys[DOCUMENT]) == 64


def test_one_list_of_samples_is_read_too(tmp_path: Path) -> None:
    """As versions before 0.4.3 wrote it, over many lines."""
    rows = [line(n, "none", float(n)) for n in range(3)]
    path = write(tmp_path, rows)
    expected = read_samples("it", [path])
    path.write_text(json.dumps(rows, indent=2))
    assert read_samples("it", [path]) == expected


def test_many_damaged_lines_are_told_in_short(tmp_path: Path) -> None:
    path = write(tmp_path, [line(0, "none", 1.0)])
    path.write_bytes(path.read_bytes() + b"\xff\n{\n" * 3 + b"[" * 5000 + b"\n" + b'"text"\n')
    with pytest.raises(InputError) as caught:
        read_samples("it", [path])
    assert len(caught.value.problems) == 4
    assert "line 2: it is not UTF-8" in caught.value.problems[0]
    assert "5 more of its lines are no better" in caught.value.problems[3]
    with pytest.raises(InputError, match="is no file"):
        read_samples("it", [tmp_path / "absent.jsonl"])
