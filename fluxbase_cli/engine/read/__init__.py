"""Reading every value without writing: the audit and the dry run."""
