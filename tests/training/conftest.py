"""The fixtures of training: a tiny network's run, one thread."""

from training_fixtures import _one_thread, config  # noqa: F401
