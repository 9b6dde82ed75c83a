"""Models whose machine is on a graph: from the recipe to training, saving, export and pictures."""

import dataclasses
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import config, data, export, graphs, models, plots, priors, samplers, storage, training
from dvae_tf.models.centering import apply_centered
from dvae_tf.models.systems import graph_of
from support import graph_reference, reference, tiny

RING = [(i, (i + 1) % 6) for i in range(6)] + [(0, 2), (1, 4)]


@pytest.fixture
def ring(tmp_path):
    """A file of edges, with what the format allows."""
    path = tmp_path / "ring.txt"
    lines = ["# a ring and two chords", "", *(f"{i} {j}  # an edge" for i, j in RING[:4])]
    path.write_text("\n".join([*lines, *(f"{i}, {j}" for i, j in RING[4:])]))
    return str(path)


def _images():
    rng = np.random.default_rng(0)
    splits = (rng.integers(0, 2, (size, tiny.NUM_PIXELS)).astype(np.float32) for size in (40, 20, 20))
    return data.from_arrays(*splits, name="tiny", image_shape=(2, 3))


def test_graphs_of_recipes(ring):
    assert graph_of(tiny.recipe("tiny-2")) is None
    found = graph_of(tiny.recipe("tiny-2", graph=ring))
    assert found == graphs.from_edges(6, RING)
    for family in ("chimera", "pegasus", "zephyr"):
        recipe = tiny.recipe("tiny-2", graph=family)
        assert graph_of(recipe) == graphs.fitted(family, 6)
        assert config.Recipe.from_json(recipe.to_json()) == recipe
    older = {name: value for name, value in tiny.recipe("tiny-2").to_json().items() if name != "graph"}
    assert config.Recipe.from_json(older).graph == "bipartite"
    cell = config.recipe("binarized_mnist", "2-layer-nonlin", "gumbolt", 1)
    assert cell.published is not None
    assert dataclasses.replace(cell, graph="pegasus").published is None


def test_refusals(tmp_path):
    for baseline in ("dvaepp_directed", "concrete", "gumbel_softmax"):
        with pytest.raises(ValueError, match=f"graph: expected bipartite for {baseline}"):
            tiny.recipe("tiny-2", baseline=baseline, graph="chimera")
    with pytest.raises(ValueError, match="graph: expected one of bipartite, chimera"):
        tiny.recipe("tiny-2", graph="")
    with pytest.raises(FileNotFoundError, match="graph: expected a file of edges"):
        graph_of(tiny.recipe("tiny-2", graph=str(tmp_path / "none.txt")))
    for text, message in {
        "0 1\n0 x": "line 2",
        "0 1 2": "line 1",
        "0 6": "units from 0 to 5",
        "1 1": "loop",
        "0 1\n1 0": "each edge once",
        "-1 2": "line 1",
    }.items():
        (tmp_path / "wrong.txt").write_text(text)
        with pytest.raises(ValueError, match=f"graph: .*{message}"):
            graph_of(tiny.recipe("tiny-2", graph=str(tmp_path / "wrong.txt")))


@pytest.mark.slow
def test_a_run_is_resumed_measured_saved_and_exported(ring, tmp_path):
    """GumBolt by the best schedule, with a centered machine and a Rao-Blackwellized negative phase."""
    recipe = tiny.recipe(
        "tiny-2",
        baseline="gumbolt",
        graph=ring,
        schedule="best",
        num_train_iter=20,
        num_validations=2,
        train_batchsize=10,
        eval_iw_samples=10,
        batch_norm_batches=2,
    )
    images = _images()
    result = training.train(recipe, images, tmp_path / "run", verbose=False)
    assert (result.graph, result.log_partition_method) == (ring, "exact")
    assert training.train(recipe, images, tmp_path / "run", verbose=False) == result
    model = models.load(tmp_path / "run")
    assert model.prior.graph == graphs.from_edges(6, RING)
    assert np.any(np.asarray(model.prior.graph_couplings))
    model.save(tmp_path / "model.keras")
    same = keras.saving.load_model(tmp_path / "model.keras")
    for one, other in zip(model.variables, same.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    folder = export.save(model, tmp_path / "export", num_importance_samples=10, num_sweeps=5)
    sampled = tf.saved_model.load(str(folder)).signatures["sample"](
        num_samples=tf.constant(4), seed=tf.constant([1, 2])
    )
    np.testing.assert_array_equal(sampled["code"], model.sample(4, (1, 2), 5).z)
    pictures = plots.report_pictures(model, images)
    assert pictures["machine"].startswith(b"\x89PNG")


def test_a_file_of_other_edges_is_refused(ring, tmp_path):
    """As many edges, so that the weights would fit."""
    recipe = tiny.recipe(
        "tiny-2", baseline="gumbolt", graph=ring, num_train_iter=2, num_validations=1, train_batchsize=10
    )
    images = _images()
    # A part that is None is none of one's own.
    result = training.train(recipe, images, tmp_path / "run", prior=None, verbose=False)
    models.load(tmp_path / "run")
    lines = pathlib.Path(ring).read_text().splitlines()
    pathlib.Path(ring).write_text("\n".join([*lines[:-1], "2, 5"]))
    with pytest.raises(storage.StorageError, match="graph: expected the edges and colors that"):
        models.load(tmp_path / "run")
    with pytest.raises(ValueError, match="log_dir: .* graph: expected the edges"):
        training.check_run(recipe, images, tmp_path / "run")
    further = dataclasses.replace(recipe, init_from=str(tmp_path / "run"))
    with pytest.raises(ValueError, match="init_from: graph: expected the edges"):
        training.train(further, images, tmp_path / "further", verbose=False)
    # A finished run gives its result back without the file; a folder from before digests were kept loads.
    pathlib.Path(ring).unlink()
    assert training.train(recipe, images, tmp_path / "run", verbose=False) == result
    with pytest.raises(FileNotFoundError, match="graph: expected a file of edges"):
        training.check_run(recipe, images, tmp_path / "new")
    pathlib.Path(ring).write_text("\n".join(lines))
    training.check_run(recipe, images, tmp_path / "run")
    inputs = storage.read_json(tmp_path / "run" / "inputs.json")
    assert len(inputs.pop("graph")) == 64
    storage.write_json(tmp_path / "run" / "inputs.json", inputs)
    models.load(tmp_path / "run")
    training.check_run(recipe, images, tmp_path / "run")


@pytest.mark.slow
def test_an_own_prior_on_a_graph(tmp_path):
    """It is a part, described in the inputs; the recipe's graph is not looked at."""
    images = _images()
    recipe = tiny.recipe(
        "tiny-2", baseline="gumbolt", num_train_iter=2, num_validations=1, train_batchsize=10
    )

    def prior():
        return priors.GumBoltPrior(graph=graphs.from_edges(6, RING), sampler=samplers.PersistentGibbs(10, 2))

    training.train(recipe, images, tmp_path / "run", prior=prior(), verbose=False)
    inputs = storage.read_json(tmp_path / "run" / "inputs.json")
    assert inputs["graph"] is None
    assert set(inputs["parts"]) == {"prior"}
    assert models.load(tmp_path / "run", prior=prior()).prior.graph.num_edges == len(RING)
    with pytest.raises(ValueError, match="own prior"):
        models.load(tmp_path / "run")


# One of each KL term and prior, and an estimator on bits; GumBolt is trained above.
SYSTEMS = ("dvae_spike_exp", "dvaepp_power", "dvaes_gi", "dvaes_power", "rebar")


@pytest.mark.slow
@pytest.mark.parametrize("baseline", SYSTEMS)
def test_systems_train_on_a_graph(baseline, ring):
    """One step moves every parameter, and the bound is finite."""
    struct = tiny.struct_of(baseline)
    model = tiny.rough_model(
        struct, k=2, baseline=baseline, graph=ring, train_batchsize=6, kl_warmup_fraction=0.0
    )
    model.compile()
    before = [np.array(each) for each in model.trainable_variables]
    x = tf.constant(np.random.default_rng(1).integers(0, 2, (6, tiny.NUM_PIXELS)), tf.float32)
    report = tf.function(model.update, jit_compile=True)(x)
    assert all(np.isfinite(each) for each in report)
    for one, other in zip(before, model.trainable_variables, strict=True):
        assert np.any(one != np.asarray(other)), other.path
    assert np.isfinite(model.log_likelihood(x, 10, (1, 2))).all()


def test_a_centered_step_is_one_in_centered_parameters():
    """The energies after steps differ from those of centered parameters by a constant; plain steps do not."""
    graph = graphs.from_edges(6, RING)

    def prior():
        made = models.systems.priors.BoltzmannPrior(graph=graph)
        for variable, value in zip(made.parameters, graph_reference.parameters(graph, seed=1), strict=True):
            variable.assign(value.astype(np.float32))
        return made

    centered, plain = prior(), prior()
    biases, couplings = (np.asarray(each, np.float64) for each in centered.parameters)
    ends = graph_reference.coupling_matrix(graph, couplings).sum(1)
    shadow = [
        keras.Variable((biases + ends / 2).astype(np.float32)),
        keras.Variable(couplings.astype(np.float32)),
    ]
    optimizers = [keras.optimizers.Adam(0.1) for _ in range(3)]
    for optimizer, variables in zip(optimizers, (centered.parameters, plain.parameters, shadow), strict=True):
        optimizer.build(list(variables))
    first, second = graph.edges.T
    for step in range(5):
        z = np.random.default_rng(step).integers(0, 2, (2, 7, 6)).astype(np.float64)

        def gradients(center, z=z):
            means = z.mean(1)
            products = ((z[..., first] - center) * (z[..., second] - center)).mean(1)
            return [tf.constant(each[0] - each[1], tf.float32) for each in (means, products)]

        apply_centered(optimizers[0], gradients(0.0), list(centered.parameters), centered)
        optimizers[1].apply(gradients(0.0), list(plain.parameters))
        optimizers[2].apply(gradients(0.5), shadow)
    z = reference.binary_states(6)
    a, w = (np.asarray(each, np.float64) for each in shadow)
    expected = -z @ a - ((z[:, first] - 0.5) * (z[:, second] - 0.5)) @ w
    found, other = (
        graph_reference.energy(graph, *(np.asarray(each, np.float64) for each in made.parameters), z)
        - expected
        for made in (centered, plain)
    )
    np.testing.assert_allclose(found, found.mean(), atol=2e-5)
    assert np.ptp(other) > 0.05


def test_a_random_graph_by_name():
    recipe = config.recipe("digits", "2-layer-small", "gumbolt", k=1, graph="random-150")
    num_units = recipe.structure.num_units
    assert graph_of(recipe) == graphs.random_bipartite(num_units // 2, num_units // 2, 150)
    too_many = dataclasses.replace(recipe, graph="random-999999999")
    with pytest.raises(ValueError, match="num_edges: expected at most"):
        graph_of(too_many)
