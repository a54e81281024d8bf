"""What rules read from the database: a module for each kind of fact."""
