"""How a likelihood learns its own parameters, where the decoder's output is known."""

import torch


def learn(likelihood, output, x):
    """Set a likelihood's parameters to those that make data most probable."""
    optimizer = torch.optim.LBFGS(likelihood.parameters(), line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = -likelihood.distribution(output).log_prob(x).mean()
        value.backward()
        return value

    for _ in range(5):
        optimizer.step(loss)


def standard_errors(log_density, values, x, step=1e-3):
    """Of estimates of some parameters from independent data, by the scores' covariance.

    Args:
        log_density: of data and parameters, as scipy's.
        values: of the parameters.
        x: data, a vector.
    """
    scores = []
    for i, value in enumerate(values):
        above, below = (
            log_density(x, *values[:i], value + s * step, *values[i + 1 :]) for s in (1, -1)
        )
        scores.append(torch.as_tensor((above - below) / (2 * step)).double())
    scores = torch.stack(scores)
    return torch.linalg.inv(scores @ scores.mT).diagonal().sqrt().tolist()
