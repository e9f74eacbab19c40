"""Scripts that answer one question each and write result folders."""
