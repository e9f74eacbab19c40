"""The only place that builds and runs Brian2 objects."""
