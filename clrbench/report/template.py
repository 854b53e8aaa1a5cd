"""The templates of the report, filled in."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def fill_template(name: str, **values: object) -> str:
    """Return a template of the report with its values filled in, each escaped."""
    environment = Environment(
        loader=PackageLoader("clrbench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(**values)
