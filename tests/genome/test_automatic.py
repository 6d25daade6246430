"""The layout that a budget carries."""

from __future__ import annotations

import pytest

from evomerge.genome import AUTO, GenomeSettings, choose, few_for
from evomerge.genome.automatic import FEW, PER_GENE
from tests.genome.spaces import A, B, space


def genes(settings: GenomeSettings) -> int:
    """Genes of two experts of six layers."""
    return space(models=(A, B), **vars(settings)).n_var


def wanted(depth: str) -> float:
    return dict(PER_GENE)[depth]


def test_thresholds_go_from_fine_to_coarse() -> None:
    """The finest layout wants most candidates for each of its genes, and the coarsest is always there."""
    needs = [count for _, count in PER_GENE]
    assert needs == sorted(needs, reverse=True)
    assert needs[-1] == 0.0


def test_the_finest_layout_that_the_budget_carries_is_chosen() -> None:
    """Two experts and six layers: 18 genes per layer with embeddings, norm and head of their own, 8, 4 and 2."""
    counted = {"layer": 18, "smooth": 8, "linear": 4, "model": 2}
    for depth, count in counted.items():
        enough = max(1, int(-(-wanted(depth) * count // 1)))
        assert choose(GenomeSettings(depth=AUTO), enough, genes).settings.depth == depth
        finer = [name for name, _ in PER_GENE][: [name for name, _ in PER_GENE].index(depth)]
        assert choose(GenomeSettings(depth=AUTO), enough, genes).genes == count, finer
    assert choose(GenomeSettings(depth=AUTO), int(wanted("layer") * 18) - 1, genes).settings.depth != "layer"


def test_coarse_layouts_take_the_ends_along_unless_the_user_says_otherwise() -> None:
    chosen = choose(GenomeSettings(depth=AUTO), 1, genes)
    assert (chosen.settings.depth, chosen.settings.own_groups, chosen.settings.ends) == ("model", (), "nearest")
    own = choose(GenomeSettings(depth=AUTO, own_groups=("head",)), 1, genes)
    assert own.settings == GenomeSettings(depth="model", own_groups=("head",))
    assert own.genes == 4


def test_a_layout_that_the_layers_are_too_few_for_is_left_out() -> None:
    names = ["model.layers.0.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight"]

    def few_layers(settings: GenomeSettings) -> int:
        return space(models=(A, B), names=names, **vars(settings)).n_var

    # A curve of four control values needs four layers; a line needs two.
    found = [choose(GenomeSettings(depth=AUTO), count, few_layers).settings.depth for count in range(1, 400)]
    assert set(found) <= {"layer", "linear", "model"}
    assert found[-1] == "layer"


def test_what_is_wrong_with_every_layout_is_said() -> None:
    with pytest.raises(ValueError, match="names the coefficient 'wieght'"):
        choose(GenomeSettings(depth=AUTO, shared=("wieght",)), 100, genes)


def test_few_candidates_for_many_genes_are_warned_of() -> None:
    assert few_for(10, int(FEW * 10)) is None
    said = few_for(10, int(FEW * 10) - 1)
    assert said is not None
    assert f"10 genes for {int(FEW * 10) - 1} candidates" in said
    assert (
        f"write genome=auto, which chooses a layout of fewer genes where there is one, or evaluations={FEW * 10:g}"
        in said
    )
    said = few_for(10, int(FEW * 10) - 1, automatic=True)
    assert said is not None
    assert f"what a gene does; write evaluations={FEW * 10:g} or more" in said
