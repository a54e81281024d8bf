"""What the providers that use a service of AWS have in common: the connection, and the texts of errors."""
