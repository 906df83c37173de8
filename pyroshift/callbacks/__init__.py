"""What `fit(..., callbacks=[...])` can call after each epoch: pictures in a notebook, TensorBoard.

A callback of your own is any function of the model and the epoch's record, such as
`lambda model, record: record.loss < 10`, which stops the training once it returns True. If it has
a method `finish`, that is called with the model when the training has ended.
"""

from pyroshift.callbacks.live import Live
from pyroshift.callbacks.tensorboard import TensorBoard

__all__ = ["Live", "TensorBoard"]
