"""What happens before the first write: checks, plan, sample, resume, estimate."""
