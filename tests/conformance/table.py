"""The table of the suite: a case for every name that the registry finds, or the reason why there is none."""

from conformance.cases import BOTH as BOTH
from conformance.distributions import DISTRIBUTIONS
from conformance.functions import FUNCTIONS
from conformance.objects import OBJECTS

CASES = FUNCTIONS | DISTRIBUTIONS | OBJECTS

# Reason -> names.
_REASONS = {
    "an abstract class or a protocol: its subclasses are cases": """
        models.Likelihood models.recipe_training.RecipeTraining
        networks.convolutional.Convolutional networks.grid_network.OnGrid priors.Prior
        graphs.Form priors.boltzmann.MachineDistribution
        priors.relaxed_machine.RelaxedMachine samplers.Sampler samplers.SamplerState
        smoothing.Family smoothing.Relaxation smoothing.RelaxedBinary smoothing.Smoothing
        smoothing.SymmetricFamily""",
    "a tuple of tensors that cases take or return": """
        estimators.BoundParts estimators.RelaxedBound graphs.Moments local.LocalSample
        models.BinaryCode models.LocalCode models.LocalSamples models.RelaxedBound models.ReplicaUpdate
        models.Samples models.StepReport
        objectives.LikelihoodEstimate partition.AnnealedChains partition.BothSides partition.Criterion
        partition.LogPartition partition.LogRatio partition.TemperedLadders posterior.PosteriorSample
        samplers.ExternalInfo samplers.ExternalState
        rbm.Ising rbm.Machine rbm.RBM rbm.exact.Moments graphs.GraphMachine samplers.GraphPopulationState
        samplers.AnnealedPopulations samplers.Mixing samplers.ParallelTemperingInfo
        samplers.ParallelTemperingState samplers.PersistentGibbsInfo samplers.PersistentGibbsState
        samplers.PopulationAnnealingInfo samplers.PopulationAnnealingState""",
    "checks and constants that distributions share; tested by tests/test_support.py": """
        support.as_count support.as_count_tensor support.as_number support.as_parameter
        support.as_scalar support.at_least_float32 support.bit_assertions support.check_kind
        support.floating_dtype support.in_dtype support.inside_unit_interval
        support.line_onto support.number_assertions support.outside support.support_assertions""",
    "imitations of a GPU; tested by tests/test_products.py": (
        "products.are_rounded products.in_parts products.unrounded"
    ),
    "rearranges replicas, whose number is static; tested by samplers/test_parallel_tempering.py": (
        "samplers.merge_ladders"
    ),
    "plain numbers of a graph; tested by tests/graphs/": """
        graphs.Graph graphs.check_graph graphs.bipartite graphs.chimera graphs.elimination.min_fill
        graphs.elimination.min_fill_order graphs.elimination.width
        graphs.enumeration.num_enumerated graphs.fitted graphs.from_edges graphs.from_networkx graphs.layout
        graphs.MachineOfBQM graphs.from_bqm graphs.states_of graphs.to_bqm
        graphs.pegasus graphs.random_bipartite graphs.read_edges graphs.zephyr""",
    "an error; tested by samplers/test_external.py": "samplers.SamplerError",
    "numbers of states on the host; tested by samplers/test_inverse_temperature.py": (
        "samplers.BetaEstimate samplers.estimate_beta"
    ),
    "plain numbers and names": """
        config.Betas config.DatasetFacts config.Recipe config.Structure config.System config.recipe
        config.BASELINES config.BETA config.DATASETS config.ESTIMATORS config.EstimatorFacts config.GRAPHS
        config.Change config.ImageShape config.as_image_shape config.changes_of config.fields_of
        config.check_estimator config.PUBLISHED config.PublishedNLL config.SAMPLERS
        config.SCHEDULES config.LIKELIHOODS config.LikelihoodFacts config.STRUCTURES config.SYSTEMS
        evaluation.CodeUse evaluation.Evaluation evaluation.ImageNLL evaluation.PairedDifference
        evaluation.bits_per_dim models.PRETRAINED networks.grid_of numerics.Tag
        numerics.check_precision numerics.in_xla numerics.integer_seed""",
    "adds to the tables of parts; tested by models/test_parts.py": """
        config.register_system models.PriorParts models.register_estimator models.register_likelihood
        models.register_prior
        models.register_relaxation models.register_sampler""",
    "combines results of `DVAE.replica_update`; tested by reliability/test_replicas.py": "models.combine",
    "files and arrays of data": """
        data.DataError data.Images data.batch_indices data.binarize_once data.check data.from_arrays
        data.likely_shape data.load data.read_array storage.ArchiveError storage.NpzFile storage.read_npy
        storage.read_npz""",
    "files of a run, and what they say": """
        export.save export.signatures models.load models.load_weights models.save_weights
        models.start_from models.weights_file
        runs.BEST_FILE runs.CONFIG_FILE runs.IMAGE_NLL_FILE runs.INPUTS_FILE runs.RESULT_FILE
        runs.WEIGHTS_FILE runs.Checkpoint runs.History runs.Inputs runs.Result runs.RunFolder
        runs.config_differences runs.file_in runs.read_history runs.read_image_nll runs.read_inputs
        runs.read_recipe runs.read_result runs.write_inputs runs.write_result
        storage.DamagedFileError storage.StorageError storage.as_path
        storage.assign_variables storage.check_variables storage.read_arrays storage.read_json
        storage.sealed storage.variable_arrays storage.write_arrays storage.write_bytes storage.write_json
        training.readable_seconds training.result_of""",
    "pictures": """
        plots.curves_png plots.energies_png plots.figure_png plots.graph_png
        plots.interleave plots.learning_curve_png plots.machine_png plots.own_style plots.pixels_png
        plots.race_png plots.report_pictures plots.run_pictures plots.sheet_png
        plots.tile plots.titled_sheet_png plots.usage_png""",
    "loops of the host over batches; what they call is a case (models.DVAE)": """
        evaluation.active_units evaluation.code_use evaluation.evaluate evaluation.image_nll
        evaluation.paired_difference
        training.ProgressBar training.TrainingError training.TrainingLoop training.check_run
        training.compiled_loop
        training.train training.Interrupted training.STEPS_PER_CALL training.TrainingWarning""",
}
NOT_TENSOR_CODE = {name: reason for reason, names in _REASONS.items() for name in names.split()}
