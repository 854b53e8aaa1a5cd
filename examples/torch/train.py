"""A small CNN on noisy pictures of crosses and circles, in a plain torch loop."""

import argparse

import numpy as np
import torch
from torch import nn

import clrbench  # clrbench

BATCH, EPOCHS = 32, 4


def pictures(rows, rng):
    """Return noisy 12 x 12 pictures and their classes: cross, circle, square, stripes."""
    y, x = np.mgrid[-1:1:12j, -1:1:12j]
    shapes = np.stack(
        [abs(x * y) < 0.1, abs(np.hypot(x, y) - 0.7) < 0.2, np.maximum(abs(x), abs(y)) < 0.5, np.sin(9 * x) > 0]
    )
    labels = rng.integers(4, size=rows)
    return (shapes[labels] + rng.normal(0, 1.6, (rows, 12, 12))).astype(np.float32)[:, None], labels


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    run = clrbench.current_run()  # clrbench
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)  # the same data for every seed
    train, validation, test = (tuple(map(torch.from_numpy, pictures(rows, rng))) for rows in (640, 400, 800))
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(200, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    scheduler = run.torch_scheduler(optimizer)  # clrbench
    step, loss_of = 0, nn.CrossEntropyLoss()
    while step < run.num_steps:  # clrbench
        for rows in torch.randperm(len(train[0])).split(BATCH):
            loss = loss_of(model(train[0][rows]), train[1][rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            run.log(step, lr=optimizer.param_groups[0]["lr"], train_loss=loss.item())  # clrbench
            scheduler.step()
            if run.evaluate_at(step):
                scores = evaluate(model, "validation", *validation) | evaluate(model, "test", *test)
                run.log(step, **scores)  # clrbench
            if step == run.num_steps:
                break


@torch.no_grad()
def evaluate(model, split, images, labels):
    """Return loss and accuracy on a split, named as clrbench names them."""
    logits = model(images)
    accuracy = (logits.argmax(1) == labels).float().mean().item()
    return {f"{split}_loss": nn.functional.cross_entropy(logits, labels).item(), f"{split}_accuracy": accuracy}


main()
