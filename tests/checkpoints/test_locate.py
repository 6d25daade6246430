"""Folders and hub ids: what is found, and what is said when it is not."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from evomerge.checkpoints import locate
from evomerge.errors import InputError
from tests.apart import Apart


def test_absolute_relative_and_home(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert locate(str(llama), offline=True) == llama
    monkeypatch.chdir(llama.parent)
    assert locate("base", offline=True).resolve() == llama.resolve()
    assert locate("./base/", offline=True).resolve() == llama.resolve()
    monkeypatch.setenv("HOME", str(llama.parent))
    assert locate("~/base", offline=True) == llama


@pytest.mark.parametrize(
    "source",
    ["./none", "/none/at/all", "~/none", "~nobody-of-this-name/none", "not a name", "a/b/c", "a\0b", "x" * 300],
)
def test_paths_that_lead_nowhere(source: str) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        locate(source, offline=True)


@pytest.mark.parametrize("source", ["a/b/c", "some--one/model", "someone/model.git", "-x/y"])
@pytest.mark.parametrize("offline", [True, False])
def test_what_can_be_no_hub_id_is_not_looked_for_there(source: str, offline: bool) -> None:
    with pytest.raises(InputError, match="is no hub id either: .*" + source):
        locate(source, offline=offline)


def test_a_file_is_not_a_checkpoint(llama: Path) -> None:
    with pytest.raises(InputError, match="name the folder"):
        locate(str(llama / "config.json"), offline=True)


def test_a_folder_has_no_revision(llama: Path) -> None:
    with pytest.raises(InputError, match="belongs to a hub id"):
        locate(str(llama), "main", offline=True)


def test_offline_hub_id_that_is_not_cached() -> None:
    with pytest.raises(InputError) as caught:
        locate("someone/some-model", "v2", offline=True)
    message = str(caught.value)
    assert "someone/some-model" in message
    assert "'v2'" in message
    assert "offline is set" in message
    assert "hf download" in message


def test_cached_snapshot_is_found_offline(bare: Apart, llama: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "hub" / "models--someone--tiny" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    for path in llama.iterdir():
        (snapshot / path.name).symlink_to(path)
    reference = snapshot.parent.parent / "refs" / "main"
    reference.parent.mkdir()
    reference.write_text("0" * 40)
    code = "from evomerge.checkpoints import locate; print(locate('someone/tiny', offline=True))"
    printed, said = bare.start(code, err=True, HF_HUB_CACHE=str(tmp_path / "hub")).communicate()
    assert printed.strip() == str(snapshot), said


def test_unreachable_hub_is_asked_once(bare: Apart, tmp_path: Path) -> None:
    """A listener that hangs up on every connection counts how often the hub is asked."""
    connections = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connections.append(connection.recv(4096))
                connection.close()

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        code = (
            "from evomerge.checkpoints import locate\n"
            "from evomerge.errors import InputError\n"
            "try:\n    locate('someone/some-model', offline=False)\n"
            "except InputError as error:\n    print(error)\n"
        )
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        settings = {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "HF_HUB_CACHE": str(tmp_path)}
        printed, said = bare.start(code, err=True, NO_PROXY="127.0.0.1", **settings).communicate()
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)
    assert "the hub could not be reached" in printed, said
    # The hub library may ask for a list of programs of its own; the model is asked for once.
    assert sum(b"some-model" in request for request in connections) == 1
