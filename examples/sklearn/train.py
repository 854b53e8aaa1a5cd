"""Handwritten digits by scikit-learn's SGDClassifier, batch by batch."""

import sys

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import f1_score, log_loss

import clrbench  # clrbench

seed = int(sys.argv[1])
images, labels = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(labels))
images, labels = images[order] / 16, labels[order]
train, validation, test = slice(0, 1200), slice(1200, 1500), slice(1500, None)
rng = np.random.default_rng(seed)
model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.01, random_state=seed)
run = clrbench.current_run()  # clrbench
for step in range(1, run.num_steps + 1):  # clrbench
    model.set_params(eta0=run.lr[step - 1])  # clrbench
    rows = rng.integers(1200, size=20)
    model.partial_fit(images[train][rows], labels[train][rows], classes=range(10))
    if run.evaluate_at(step):
        probability = model.predict_proba(images)
        scores = {
            "validation_loss": log_loss(labels[validation], probability[validation], labels=range(10)),
            "test_accuracy": (probability[test].argmax(1) == labels[test]).mean(),
            "test_f1": f1_score(labels[test], probability[test].argmax(1), average="macro"),
        }
        run.log(step, lr=model.eta0, **scores)  # clrbench
