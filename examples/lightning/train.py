"""A LightningModule on points in two rings."""

import logging
import sys

import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import clrbench  # clrbench

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
run = clrbench.current_run()  # clrbench


def rings(rows, seed):
    """Return points, and whether they lie in the outer ring."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (rows,), generator=draw)
    angle, noise = torch.rand(rows, generator=draw) * 6.28, torch.randn(rows, generator=draw) * 0.25
    radius = 1 + labels + noise
    return TensorDataset(torch.stack([radius * angle.cos(), radius * angle.sin()], 1), labels)


class Net(lightning.LightningModule):
    """A small dense network."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 2))

    def training_step(self, batch, _number):
        loss = nn.functional.cross_entropy(self.layers(batch[0]), batch[1])
        run.log(self.global_step + 1, train_loss=loss.item())  # clrbench
        return loss

    def test_step(self, batch, _number):
        logits = self.layers(batch[0])
        self.log("test_loss", nn.functional.cross_entropy(logits, batch[1]))
        self.log("test_accuracy", (logits.argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        scheduler = run.torch_scheduler(optimizer)  # clrbench
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


lightning.seed_everything(int(sys.argv[1]), verbose=False)
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
trainer = lightning.Trainer(max_steps=run.num_steps, accelerator="cpu", **quiet)  # clrbench
trainer.fit(model := Net(), DataLoader(rings(640, 0), 32, shuffle=True))
(found,) = trainer.test(model, DataLoader(rings(2000, 1), 2000), verbose=False)
run.log(run.num_steps, **found)  # clrbench
