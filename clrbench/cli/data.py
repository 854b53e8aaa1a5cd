"""The commands on data sets: `data list`, `fetch`, `verify` and `bench`."""

from typing import TYPE_CHECKING, Any

import click

from clrbench.answer import Answer
from clrbench.cli.options import SPEC, data_dir_option, job_of, out_option, quiet_option
from clrbench.cli.printing import answering

if TYPE_CHECKING:
    from clrbench.data import Library
    from clrbench.progress import Display


@click.group()
def data() -> None:
    """List data sets, fetch and check them, and measure how fast they reach the network."""


@data.command("list")
@data_dir_option
@answering
def list_data(library: "Library") -> Answer:
    """List the named data sets: rows, shape, size, licence, location, verified or not."""
    from clrbench.commands.data import list_datasets

    return list_datasets(library)


@data.command("fetch")
@click.argument("name")
@data_dir_option
@quiet_option
@answering
def fetch_data(name: str, library: "Library", display: "Display") -> Answer:
    """Fetch the data set NAME, or make it, unless it is here; verify and convert it."""
    from clrbench.commands.data import fetch_dataset

    return fetch_dataset(library, name, display.counting)


@data.command("verify")
@click.argument("name")
@data_dir_option
@answering
def verify_data(name: str, library: "Library") -> Answer:
    """Check every byte of the data set NAME against its checksums."""
    from clrbench.commands.data import verify_dataset

    return verify_dataset(library, name)


@data.command("bench")
@click.argument("spec", type=SPEC)
@out_option
@data_dir_option
@click.option("--threads", type=click.IntRange(1), help="Threads of each backend.  [default: 1]")
@quiet_option
@answering
def bench_data(**options: Any) -> Answer:
    """Measure how many images a second each input pipeline brings to the network of SPEC, alone and in training."""
    from clrbench.commands.data_bench import bench_pipelines

    return bench_pipelines(job_of(**options))


COMMANDS = (data,)
