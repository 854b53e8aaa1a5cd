"""A third opinion: an mlp and its optimizers in plain numpy float64, in Keras's arithmetic."""

import numpy as np


def forward(weights, images):
    """Return logits and the input of every dense layer; relu between layers."""
    names = sorted(name.removesuffix(".kernel") for name in weights if name.endswith(".kernel"))
    inputs, values = [], images.reshape(len(images), -1)
    for name in names:
        inputs.append(values if name == names[0] else np.maximum(values, 0))
        values = inputs[-1] @ weights[f"{name}.kernel"] + weights[f"{name}.bias"]
    return names, inputs, values


def cross_entropy(logits, labels):
    """Return the loss of every row, and the softmax."""
    shifted = logits - logits.max(1, keepdims=True)
    log_softmax = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return -log_softmax[np.arange(len(labels)), labels], np.exp(log_softmax)


def gradients(weights, images, labels):
    """Return mean loss, accuracy, and the gradient of the loss by every weight."""
    names, inputs, logits = forward(weights, images)
    losses, softmax = cross_entropy(logits, labels)
    upstream = (softmax - np.eye(softmax.shape[1])[labels]) / len(labels)
    found = {}
    for name, values in zip(reversed(names), reversed(inputs), strict=True):
        found |= {f"{name}.kernel": values.T @ upstream, f"{name}.bias": upstream.sum(0)}
        upstream = (upstream @ weights[f"{name}.kernel"].T) * (values > 0)
    return losses.mean(), (logits.argmax(1) == labels).mean(), found


def update(settings, slots, gradient, weight, lr, step):
    """Return the weight after one update; `slots` is what the optimizer keeps for it, and changes."""
    if settings.name == "adamw":
        weight = weight - settings.weight_decay * lr * weight
    else:
        gradient = gradient + settings.weight_decay * weight
    match settings.name:
        case "sgd":
            slots["v"] = settings.momentum * slots.get("v", 0) - lr * gradient
            return weight + (settings.momentum * slots["v"] - lr * gradient if settings.nesterov else slots["v"])
        case "adam" | "adamw":
            slots["m"] = 0.9 * slots.get("m", 0) + 0.1 * gradient
            slots["v"] = 0.999 * slots.get("v", 0) + 0.001 * gradient**2
            corrected = lr * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            return weight - corrected * slots["m"] / (np.sqrt(slots["v"]) + 1e-7)
        case "rmsprop":
            slots["v"] = 0.9 * slots.get("v", 0) + 0.1 * gradient**2
            return weight - lr * gradient / np.sqrt(slots["v"] + 1e-7)
        case "adagrad":
            slots["v"] = slots.get("v", 0.1) + gradient**2
            return weight - lr * gradient / np.sqrt(slots["v"] + 1e-7)
        case "adadelta":
            slots["v"] = 0.95 * slots.get("v", 0) + 0.05 * gradient**2
            change = gradient * np.sqrt(slots.get("d", 0) + 1e-7) / np.sqrt(slots["v"] + 1e-7)
            slots["d"] = 0.95 * slots.get("d", 0) + 0.05 * change**2
            return weight - lr * change


def train(plan, dataset):
    """Return losses and accuracies of every step of a plan, and the weights after it."""
    weights = {name: weight.astype(np.float64) for name, weight in plan.weights.items()}
    slots = {name: {} for name in weights}
    losses, accuracies = [], []
    for step, (rows, lr) in enumerate(zip(plan.batches, plan.lr.astype(np.float64), strict=True), start=1):
        loss, accuracy, found = gradients(weights, dataset.x_train[rows] / 255, dataset.y_train[rows])
        losses.append(loss)
        accuracies.append(accuracy)
        for name, weight in weights.items():
            weights[name] = update(plan.optimizer, slots[name], found[name], weight, lr, step)
    return np.array(losses), np.array(accuracies), weights


def evaluate(weights, images, labels):
    """Return the mean loss, and which rows are right."""
    _, _, logits = forward({name: weight.astype(np.float64) for name, weight in weights.items()}, images / 255)
    return cross_entropy(logits, labels)[0].mean(), logits.argmax(1) == labels
