"""How much there is to do in a benchmark, for its ETA alone.

The unit is a token that an artifact decodes by itself. Rates are rough: they say how kinds of work
compare, and the ETA goes by how fast all of it has gone so far.
"""

from srl_edge.devices.bench.measure import Model
from srl_edge.devices.runtimes.chat import asked_of
from srl_edge.recipe import Bench

OF_MINUTE = 60 * 100.0  # of decoding without a pause
OF_LOADING = 500.0  # a model, by a process that begins
_TORCH = 6.0  # fp32 in PyTorch takes about so much longer a token
_TOGETHER = 5.0  # and so much less where it replies to many at once
_READ = 8.0  # tokens that are read in the time of one that is decoded
_STEPS = 3  # replies to a problem that is solved step by step


def of_turn(model: Model, settings: Bench) -> float:
    """Of a turn in which a model is timed."""
    if model.answers_only:
        return 0.0
    loading = OF_LOADING / (settings.repeats + 1)
    return loading + (settings.decode_tokens + settings.prompt_tokens / _READ) * _slowness(model)


def of_problem(model: Model, settings: Bench) -> float:
    """Of a problem that is solved among others."""
    slow = _slowness(model)
    return _tokens(model, settings) * settings.samples * (slow / _TOGETHER if slow > 1 else slow)


def of_one_alone(model: Model, settings: Bench) -> float:
    """Of a problem that is solved by itself as well."""
    return 0.0 if model.answers_only else _tokens(model, settings) * _slowness(model)


def of_step(model: Model, settings: Bench) -> float:
    """Of a step whose likeness to the expert's is measured."""
    return _tokens(model, settings) / _STEPS * _slowness(model)


def _slowness(model: Model) -> float:
    return _TORCH if model.kind in ("torch", "adapter") else 1.0


def _tokens(model: Model, settings: Bench) -> float:
    most = model.max_new_tokens or settings.max_new_tokens
    if (model.asked or asked_of(model.path)).whole:
        return most / 2
    if model.kind == "torch" and model.answers_only:
        return most * settings.max_steps  # what nothing was taught ends no reply by itself
    return min(most, 48) / 2 * min(settings.max_steps, _STEPS)
