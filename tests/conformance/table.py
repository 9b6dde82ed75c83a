"""The table of the suite: every name that the registry finds, as a case or with the reason why not."""

from conformance.cases import BOTH as BOTH
from conformance.functions import FUNCTIONS
from conformance.laws import LAWS
from conformance.objects import OBJECTS

CASES = FUNCTIONS | LAWS | OBJECTS

# Reason -> names.
_REASONS = {
    "an abstract class or a protocol: its subclasses are cases": """
        priors.Prior priors.relaxed_machine.RelaxedMachine samplers.Sampler samplers.SamplerState
        smoothing.Family smoothing.Relaxation smoothing.RelaxedBinary smoothing.Smoothing
        smoothing.SymmetricFamily""",
    "a tuple of tensors that cases take or give": """
        models.BinaryCode models.Samples models.Share models.StepReport objectives.LikelihoodEstimate
        partition.AISEstimate partition.BridgeEstimate partition.Estimate partition.LogRatio
        partition.PopulationEstimate posterior.PosteriorSample rbm.Ising rbm.RBM rbm.exact.Moments
        samplers.Annealed samplers.Mixing samplers.ParallelTemperingInfo samplers.ParallelTemperingState
        samplers.PersistentGibbsInfo samplers.PersistentGibbsState samplers.PopulationAnnealingInfo
        samplers.PopulationAnnealingState""",
    "plain numbers and names": """
        config.Betas config.DatasetFacts config.Recipe config.Structure config.System config.recipe
        evaluation.Evaluation evaluation.ImageNLL models.PRETRAINED numerics.Tag numerics.integer_seed
        priors.LogPartition published.PublishedNLL""",
    "the average of what `DVAE.share` gives; held by tests/reliability/test_replicas.py": "models.average",
    "files and arrays of data": """
        data.DataError data.Images data.batch_indices data.binarize_once data.check data.from_arrays
        data.likely_shape data.load data.read_array archives.ArchiveError archives.NpzFile archives.read_npy
        archives.read_npz""",
    "files of a run, and what they say": """
        export.save export.signatures models.load models.load_weights models.save_weights
        provenance.cpu provenance.describe provenance.git_commit provenance.versions
        run_files.file_in run_files.read_recipe run_files.read_result run_folder.Checkpoint
        run_folder.RunFolder run_folder.config_differences storage.DamagedFileError storage.StorageError
        storage.assign_variables storage.check_variables storage.read_arrays storage.read_json
        storage.sealed storage.variable_arrays storage.write_arrays storage.write_bytes storage.write_json
        training.result_record""",
    "pictures": """
        plots.png plots.show_the_end plots.tile plots.write_run_pictures report.curves_png
        report.pictures report.read_history""",
    "loops of the host over batches; what they call is a case (models.DVAE)": """
        evaluation.active_units evaluation.evaluate evaluation.image_nll training.History
        training.Monitor training.TrainingError training.TrainingLoop training.compiled_loop
        training.train training.Interrupted training.STEPS_PER_CALL training.TrainingWarning""",
}
NOT_TENSOR_CODE = {name: reason for reason, names in _REASONS.items() for name in names.split()}
