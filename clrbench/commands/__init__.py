"""What the commands do, each as one call that returns an `Answer`: spec -> plan -> runs -> results -> report.

They raise a `ClrbenchError`: a `SpecError` where the spec or an option is at fault, else the error of the data, of a backend
or of the results folder. Runs that are finished by then stay on disk.
"""
