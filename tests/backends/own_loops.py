"""Training loops as one writes them by hand, for the networks of `networks/`; they run in a backend's own process."""

import importlib
import random
import sys
from pathlib import Path

import numpy as np
from cases import DEVICE

NETWORKS = Path(__file__).parent / "networks"
MOMENTUM = 0.9


def _seed(seed):
    random.seed(seed)
    np.random.seed(seed)


def _function(module, name):
    sys.path.insert(0, str(NETWORKS))
    try:
        return getattr(importlib.import_module(module), name)
    finally:
        sys.path.remove(str(NETWORKS))


def torch_loop(name, x, y, plan):
    """Return the loss of every update, float32[steps], of SGD with momentum."""
    import torch
    import torch.nn.functional as F

    from clrbench.backends.torch.own_network import draw_from_torch

    build = _function("torch_networks", name)
    _seed(plan.network.seed)
    torch.manual_seed(plan.network.seed)
    module = build(x.shape[1:], 10).to(DEVICE)
    if DEVICE == "cuda":
        draw_from_torch(module)
    inputs, labels = torch.tensor(x, device=DEVICE), torch.tensor(y, device=DEVICE).long()
    inputs = inputs.permute(0, 3, 1, 2).contiguous() if inputs.ndim == 4 else inputs
    if any(torch.nn.parameter.is_lazy(one) for one in module.parameters()):
        with torch.no_grad():
            module.eval()(inputs[:2])
    module.train()
    optimizer = torch.optim.SGD(
        [one for one in module.parameters() if one.requires_grad], lr=0.0, momentum=MOMENTUM, fused=True
    )
    _seed(plan.dropout_seed)
    torch.manual_seed(plan.dropout_seed)
    losses = []
    for batch, lr in zip(plan.batches, plan.lr.tolist(), strict=True):
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        loss = F.cross_entropy(module(inputs[torch.tensor(batch)]), labels[batch])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    module.eval()
    with torch.no_grad():
        final = F.cross_entropy(module(inputs[plan.rows.validation]), labels[plan.rows.validation]).item()
    return np.array(losses, np.float32), final


def keras_loop(name, x, y, plan):
    """Return the loss of every update, float32[steps], of SGD with momentum."""
    import keras
    import tensorflow as tf

    build = _function("keras_networks", name)
    keras.utils.set_random_seed(plan.network.seed)
    model = build(x.shape[1:], 10)
    inputs, labels = tf.constant(x), tf.constant(y)
    if not model.built:
        model(inputs[:2])
    optimizer = keras.optimizers.SGD(0.0, momentum=MOMENTUM)
    losses = []
    for batch, lr in zip(plan.batches, plan.lr, strict=True):
        optimizer.learning_rate.assign(lr)
        with tf.GradientTape() as tape:
            logits = model(tf.gather(inputs, batch), training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(tf.gather(labels, batch), logits))
            objective = loss + sum(model.losses)
        gradients = tape.gradient(objective, [one.value for one in model.trainable_variables])
        optimizer.apply(gradients, model.trainable_variables)
        losses.append(float(loss))
    rows = plan.rows.validation
    logits = model(tf.gather(inputs, rows), training=False)
    final = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(tf.gather(labels, rows), logits))
    return np.array(losses, np.float32), float(final)
