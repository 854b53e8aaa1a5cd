"""MNIST by AdamW, OneCycleLR, schedule-free AdamW or Prodigy, by the arm: one plain torch loop for all of them."""

import argparse

import torch
from prodigyopt import Prodigy
from schedulefree import AdamWScheduleFree
from torch import nn

import clrbench  # clrbench
from clrbench.data import Library

BATCH, TRAIN_ROWS, VALIDATION_ROWS, WEIGHT_DECAY = 100, 5_000, 5_000, 0.01
OPTIMIZERS = {"schedule_free": AdamWScheduleFree, "prodigy": Prodigy}
"""Of all other arms, and of the range test: AdamW."""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    run = clrbench.current_run()  # clrbench
    torch.manual_seed(args.seed)
    train, validation, test = splits()
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 50), nn.ReLU(), nn.Linear(50, 10)
    )
    optimizer = OPTIMIZERS.get(run.arm, torch.optim.AdamW)(
        model.parameters(), lr=1.0, betas=(0.9, 0.999), weight_decay=WEIGHT_DECAY
    )
    # torch's OneCycleLR cycles the momentum, too. clrbench checks that its rates are those of the arm.
    if run.arm == "one_cycle":
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max(run.lr), run.num_steps)
    else:
        scheduler = run.torch_scheduler(optimizer)  # clrbench
    step, loss_of = 0, nn.CrossEntropyLoss()
    while step < run.num_steps:  # clrbench
        set_mode(optimizer, "train")
        for rows in torch.randperm(TRAIN_ROWS).split(BATCH):
            loss = loss_of(model(train[0][rows]), train[1][rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            run.log(step, lr=optimizer.param_groups[0]["lr"], train_loss=loss.item())  # clrbench
            scheduler.step()
            if run.evaluate_at(step):
                set_mode(optimizer, "eval")
                scores = evaluate(model, "validation", *validation) | evaluate(model, "test", *test)
                run.log(step, **scores)  # clrbench
                set_mode(optimizer, "train")
            if step == run.num_steps:
                break


def splits():
    """Return images and labels to train on, to choose rates by, and to test on, the same for every seed."""
    mnist = Library().load("mnist")
    order = torch.randperm(len(mnist.y_train), generator=torch.Generator().manual_seed(0))
    images, labels = torch.from_numpy(mnist.x_train), torch.from_numpy(mnist.y_train).long()
    cuts = order[: TRAIN_ROWS + VALIDATION_ROWS].split([TRAIN_ROWS, VALIDATION_ROWS])
    parts = [(images[rows], labels[rows]) for rows in cuts]
    parts.append((torch.from_numpy(mnist.x_test), torch.from_numpy(mnist.y_test).long()))
    return [(x.float() / 255, y) for x, y in parts]


def set_mode(optimizer, mode):
    """Switch a schedule-free optimizer between the weights it trains and their average; others have one set of weights."""
    if isinstance(optimizer, AdamWScheduleFree):
        getattr(optimizer, mode)()


@torch.no_grad()
def evaluate(model, split, images, labels):
    """Return loss and accuracy on a split, named as clrbench names them."""
    logits = model(images)
    accuracy = (logits.argmax(1) == labels).float().mean().item()
    return {f"{split}_loss": nn.functional.cross_entropy(logits, labels).item(), f"{split}_accuracy": accuracy}


main()
