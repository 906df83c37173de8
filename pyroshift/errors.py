"""The errors that pyroshift raises on purpose: each says what was wrong and what to do about it."""


class PyroshiftError(Exception):
    """Base of every error that pyroshift raises on purpose."""


class DataError(PyroshiftError, ValueError):
    """The data, or the way they are to be cut, can't be used as asked."""


class MissingPixelsError(DataError):
    """No window is without missing pixels."""


class ReaderError(DataError):
    """A file can't be read: missing reader, foreign or damaged content, unknown channel."""


class SpecificationError(PyroshiftError, ValueError):
    """A model, a site, a prior or a training option is specified in a way that can't work."""


class ModelFileError(PyroshiftError, ValueError):
    """A saved model or checkpoint is damaged, foreign, or does not fit the model."""


class TrainingError(PyroshiftError, RuntimeError):
    """Training can't go on, for instance since the loss is no longer a number."""


class ClusterError(PyroshiftError, RuntimeError):
    """A cluster, or a worker of it, can't be reached or can't do the work."""


class TrainingWarning(UserWarning):
    """A training as it is set up will not end where its options say."""


class LatentWarning(UserWarning):
    """Encoded latents look collapsed, or pile up where the prior has no room for them."""
