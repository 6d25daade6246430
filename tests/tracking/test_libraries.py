"""Trackers of the libraries keep the contract; what they hold is read back with the libraries' own readers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from evomerge import tracking
from evomerge.contracts.tracker import CONFIG, TrackerContract, entries, tracked
from evomerge.tracking import STEP, TrackedRun

Curves = Mapping[str, list[tuple[int, float]]]


def with_library(name: str) -> pytest.MarkDecorator:
    spec = tracking.load(name)
    return pytest.mark.skipif(not spec.installed(), reason=f"{spec.library} is not installed: {spec.install}")


@with_library("tensorboard")
class TestTensorBoard(TrackerContract):
    """TensorBoard's own reader."""

    spec = tracking.load("tensorboard")

    def curves(self, run: TrackedRun) -> Curves:
        accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
        read = accumulator.EventAccumulator(str(run.folder), size_guidance={accumulator.SCALARS: 0})
        read.Reload()
        return {tag: sorted((e.step, e.value) for e in read.Scalars(tag)) for tag in read.Tags()["scalars"]}

    def test_configuration_and_report_are_texts(self, tmp_path: Path) -> None:
        accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
        run = tracked(tmp_path)
        (tmp_path / "report.md").write_text("# A report\n")
        for _ in range(2):
            tracker = self.opened(run)
            tracker.conclude(0, {}, [tmp_path / "report.md"])
            tracker.close()
        read = accumulator.EventAccumulator(str(run.folder)).Reload()
        texts = {tag: read.Tensors(tag) for tag in read.Tags()["tensors"]}
        assert {tag: len(found) for tag, found in texts.items()} == {
            "configuration/text_summary": 1,
            "report/text_summary": 1,
        }
        (held,) = texts["configuration/text_summary"][0].tensor_proto.string_val
        assert b"| genome.depth | blocks |" in held

    def test_an_entry_that_was_cut_in_two_is_there_once(self, tmp_path: Path) -> None:
        run = tracked(tmp_path)
        tracker = self.opened(run)
        tracker.log(list(entries(0, 3)))
        tracker.close()
        (file,) = run.folder.glob("*.tfevents.*")
        file.write_bytes(file.read_bytes()[:-20])  # into the number of the last step, which is written last
        tracker = self.opened(run)
        assert tracker.last() == 1
        tracker.log(list(entries(2, 4)))
        tracker.close()
        self.assert_whole(run, 4)


@with_library("wandb")
class TestWeightsAndBiases(TrackerContract):
    """The library has no reader in Python; its own classes read the records of its logs."""

    spec = tracking.load("wandb")

    @pytest.fixture(autouse=True)
    def alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Processes that are killed have a service of the library's own, which ends with them, as searches do."""
        monkeypatch.delenv("WANDB_SERVICE", raising=False)

    def curves(self, run: TrackedRun) -> Curves:
        found: dict[str, list[tuple[int, float]]] = {}
        for record in records(run):
            if record.WhichOneof("record_type") != "history":
                continue
            values = numbers(record.history.item)
            for name, value in values.items():
                found.setdefault(name, []).append((int(values[STEP]), value))
        return {name: sorted(points) for name, points in found.items()}

    def concluded(self, run: TrackedRun) -> Mapping[str, list[float]]:
        """A summary has one value per name, the last that was said."""
        found: dict[str, list[float]] = {}
        for record in records(run):
            if record.WhichOneof("record_type") == "summary":
                found |= {name: [value] for name, value in numbers(record.summary.update).items()}
        return found

    def test_sessions_are_one_run_with_configuration_and_report(self, tmp_path: Path) -> None:
        run = tracked(tmp_path)
        (tmp_path / "report.md").write_text("# A report\n")
        for _ in range(2):
            tracker = self.opened(run)
            tracker.conclude(0, {}, [tmp_path / "report.md"])
            tracker.close()
        kinds = [(record.WhichOneof("record_type"), record) for record in records(run)]
        runs = [record.run for kind, record in kinds if kind == "run"]
        assert {one.run_id for one in runs} == {run.id}
        assert set(CONFIG) <= {item.key for item in runs[0].config.update}
        artefacts = [record.request.log_artifact.artifact for kind, record in kinds if kind == "request"]
        artefacts += [record.artifact for kind, record in kinds if kind == "artifact"]
        assert f"report-{run.id}" in {artefact.name for artefact in artefacts}


def numbers(items: Iterable[Any]) -> dict[str, float]:
    """Name to value of a record's items, without those that the library adds."""
    named = {item.key or "/".join(item.nested_key): item.value_json for item in items}
    return {name: float(text) for name, text in named.items() if not name.startswith("_")}


def records(run: TrackedRun) -> list[Any]:
    from evomerge.tracking.wandb import _logged

    return [record for path in sorted(run.folder.rglob("*.wandb")) for record in _logged(path)]


@with_library("mlflow")
class TestMLflow(TrackerContract):
    """MLflow's client."""

    spec = tracking.load("mlflow")

    def curves(self, run: TrackedRun) -> Curves:
        client, found = self.client(run), self.found(run)
        names = found.data.metrics
        return {name: [(m.step, m.value) for m in client.get_metric_history(found.info.run_id, name)] for name in names}

    def client(self, run: TrackedRun):  # noqa: ANN201 - a class of a library that may be missing
        from mlflow.tracking import MlflowClient

        return MlflowClient(tracking_uri=f"sqlite:///{run.folder}/mlflow.db")

    def found(self, run: TrackedRun):  # noqa: ANN201
        client = self.client(run)
        (one,) = client.search_runs([client.get_experiment_by_name("evomerge").experiment_id])
        return one

    def test_sessions_are_one_run_with_configuration_and_report(self, tmp_path: Path) -> None:
        run = tracked(tmp_path)
        (tmp_path / "report.md").write_text("# A report\n")
        for seed in (3, 4):
            changed = TrackedRun(run.id, run.name, run.folder, {**CONFIG, "seed": seed})
            tracker = self.opened(changed)
            tracker.conclude(0, {}, [tmp_path / "report.md"])
            tracker.close()
        one = self.found(run)
        assert one.data.params == {name: str(value) for name, value in CONFIG.items()}
        assert one.data.tags["now.seed"] == "4"
        assert (one.info.status, one.info.run_name) == ("FINISHED", "a run")
        assert [file.path for file in self.client(run).list_artifacts(one.info.run_id, "report")] == [
            "report/report.md"
        ]
