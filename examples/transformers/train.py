"""A tiny BERT with random weights, which learns by the Hugging Face Trainer whether a sentence is about fruit or about tools."""

import sys
from pathlib import Path

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

import clrbench  # clrbench

run = clrbench.current_run()  # clrbench
set_seed(int(sys.argv[1]))
lines = [line.split("\t") for line in Path(__file__).with_name("sentences.tsv").read_text().splitlines()]
words = {word: number for number, word in enumerate(sorted({word for _, text in lines for word in text.split()}), 1)}


def row(label, text):
    """Return a sentence as the model takes it: token ids, filled up with 0."""
    ids = [words[word] for word in text.split()]
    return {
        "input_ids": torch.tensor(ids + [0] * (8 - len(ids))),
        "attention_mask": torch.tensor([1] * len(ids) + [0] * (8 - len(ids))),
        "labels": torch.tensor(int(label)),
    }


rows = [row(*line) for line in lines]
train, test = rows[: len(rows) // 2], rows[len(rows) // 2 :]
sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
config = BertConfig(
    vocab_size=len(words) + 1, max_position_embeddings=8, num_labels=2, hidden_dropout_prob=0.0, **sizes
)
model = BertForSequenceClassification(config)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)


class Log(TrainerCallback):
    """Passes on what the Trainer logs: the loss of every step, before its update."""

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            run.log(state.global_step, train_loss=logs["loss"])  # clrbench


arguments = TrainingArguments(
    output_dir=sys.argv[2],
    seed=int(sys.argv[1]),
    max_steps=run.num_steps,  # clrbench
    per_device_train_batch_size=16,
    logging_steps=1,
    save_strategy="no",
    report_to="none",
    disable_tqdm=True,
    use_cpu=True,
)


def accuracy(found):
    """Return the accuracy of predictions."""
    return {"accuracy": float((found.predictions.argmax(1) == found.label_ids).mean())}


optimizers = (optimizer, run.torch_scheduler(optimizer))  # clrbench
trainer = Trainer(
    model,
    arguments,
    train_dataset=train,
    eval_dataset=test,
    compute_metrics=accuracy,
    optimizers=optimizers,
    callbacks=[Log()],
)
trainer.train()
found = trainer.evaluate()
run.log(run.num_steps, test_loss=found["eval_loss"], test_accuracy=found["eval_accuracy"])  # clrbench
