"""What Fluxbase seals, and where: by release, and what an operator adds."""
